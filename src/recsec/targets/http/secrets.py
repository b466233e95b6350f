"""What a target must not repeat, and how it is found in whatever form it comes back."""

from __future__ import annotations

import base64
import html
import logging
import re
import weakref
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["Secrets"]

HIDDEN: Final = "***"
BACKSLASHES: Final = r"\\{0,8}+"
"""Before a character, as repr and JSON write them, also of each other; possessive, so that a body
of backslashes takes no longer than another."""
SHORTEST_CORE: Final = 4
"""Characters of base64 below which a find means nothing."""
LEARNED: Final = 16
"""Tokens of servers that are remembered; older ones have had their day."""


def _escaped(character: str) -> list[str]:
    """Patterns of one character where it stands for itself no more: escape, percent, HTML."""
    code = ord(character)
    return [
        "".join(f"%(?:25){{0,4}}{byte:02x}" for byte in character.encode("utf-8", "replace")),
        rf"\\{{1,8}}+(?:x0{{0,2}}|u0{{0,4}}){code:x}",
        rf"&\#(?:0{{0,7}}{code}|x0{{0,7}}{code:x});",
    ]


def _character(character: str, *, quoted: bool) -> str:
    """A pattern of all spellings of one character; ``quoted``: backslashes may precede it."""
    spellings = [(BACKSLASHES if quoted else "") + re.escape(character), *_escaped(character)]
    if character == " ":
        spellings.append(r"\+")
    if character in "\n\r\t":
        spellings.append(rf"\\{{1,8}}+{repr(character)[2]}")
    if (named := html.escape(character)) != character:
        spellings.append(named)
    return f"(?:{'|'.join(spellings)})"


def _spelled(secret: str) -> str:
    r"""A pattern of the whole secret. A run of backslashes is one part: each may be doubled."""
    parts, quoted = [], True
    for run in re.findall(r"\\+|[^\\]", secret, re.DOTALL):
        if run[0] == "\\":
            count = len(run)
            each = "|".join(_escaped("\\"))
            parts.append(rf"(?:\\{{{count},{8 * count}}}+|(?:{each}){{{count}}}+)")
        else:
            parts.append(_character(run, quoted=quoted))
        quoted = run[0] != "\\"
    return "".join(parts)


def _in_base64(secret: bytes) -> Iterable[str]:
    """What base64 makes of the secret after 0, 1 or 2 other bytes, without the mixed edges."""
    for offset in range(3):
        written = base64.b64encode(bytes(offset) + secret).decode("ascii").rstrip("=")
        core = written[(0, 2, 3)[offset] : -1 if (offset + len(secret)) % 3 else None]
        if len(core) >= SHORTEST_CORE:
            pattern = re.escape(core).replace(r"\+", "[+-]").replace("/", "[/_]")
            edges = r"[\w+/-]{0,3}" if offset else ""
            yield rf"{edges}{pattern}[\w+/-]{{0,2}}={{0,2}}"


class Secrets:
    """Texts that leave this machine for the target only.

    They are found raw, with the escapes of repr, JSON, URLs and HTML (also of each other), in hex
    and in base64, in any letter case. Whoever hides a secret in another way, from us who gave it
    to him, can: this is against servers that repeat what they are sent, and proxies that quote it.

    Args:
        values: the secrets; empty ones are left out.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._values = {value for value in values if value}
        self._learned: deque[str] = deque(maxlen=LEARNED)
        self._made: re.Pattern[str] | None = None

    def learn(self, value: str) -> None:
        """Hide this too: a token that a server gave. The last few are known."""
        if value and value not in self._learned:
            self._learned.append(value)
            self._made = None

    def _pattern(self) -> re.Pattern[str] | None:
        """All forms of all secrets; made when it is needed, as a long token takes a second."""
        made = self._made
        if made is None:
            made = self._made = self._all_forms()
        return made

    def _all_forms(self) -> re.Pattern[str] | None:
        values = sorted(self._values.union(self._learned), key=len, reverse=True)
        patterns = [_spelled(value) for value in values]
        for value in values:
            raw = value.encode("utf-8", "replace")
            patterns += [raw.hex(), *_in_base64(raw)]
        return re.compile("|".join(patterns), re.IGNORECASE) if patterns else None

    def hide(self, text: str) -> str:
        """``text`` with ``***`` where a secret stood."""
        pattern = self._pattern()
        return pattern.sub(HIDDEN, text) if pattern else text

    def hide_in(self, document: Any) -> Any:
        """A JSON document with every text and number in it hidden that holds a secret."""
        if isinstance(document, dict):
            return {self.hide(key): self.hide_in(value) for key, value in document.items()}
        if isinstance(document, list):
            return [self.hide_in(value) for value in document]
        if document is None or isinstance(document, bool):
            return document
        hidden = self.hide(str(document))
        return document if hidden == str(document) else hidden

    def keep_from(self, log: str, owner: object) -> None:
        """Hide the secrets in what is logged there, as long as the owner lives.

        httpx logs every address, and some APIs want their key in it.

        Args:
            log: name of the logger that writes; those below it are not covered.
            owner: who has the secrets.
        """
        hiding = _Hiding(self)
        logging.getLogger(log).addFilter(hiding)
        weakref.finalize(owner, logging.getLogger(log).removeFilter, hiding)


class _Hiding(logging.Filter):
    """Lets every record pass, without the secrets."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._secrets.hide(record.getMessage()), None
        return True
