"""Where account, history and list stand in the requests and answers of an API that is not ours."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlencode

from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.parser import parse
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from recsec.types import ItemId

__all__ = ["Places", "Seen"]

SOURCES = ("header", "query", "cookie", "path")
LONGEST = 200
"""Characters of an account's name."""


@dataclass(frozen=True)
class Seen:
    """What a request says.

    Attributes:
        account: who asks, as the API calls it; None where the request does not say.
        history: item ids, oldest first; None where they are not to be found.
    """

    account: str | None
    history: tuple[ItemId, ...] | None


class Places(BaseModel):
    """The part of a policy that describes an API.

    A place is ``header:NAME``, ``query:NAME``, ``cookie:NAME``, ``path:N`` (the N-th part of the
    path, from 0), or a JSONPath such as ``$.user`` into the body.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))

    path: str = Field(description="requests whose path begins so are watched")
    account: str = Field(description="place of the account")
    history: str | None = Field(None, description="place of the history; ids, or ids with commas")
    list: str = Field("$.items", description="JSONPath in the answer, to the ids")

    @field_validator("account", "history")
    @classmethod
    def _is_a_place(cls, place: str | None) -> str | None:
        if place is None or place.startswith("$"):
            return place if place is None else cls._is_a_path(place)
        source, colon, name = place.partition(":")
        if source not in SOURCES or not colon or not name:
            raise ValueError("expected header:, query:, cookie: or path: and a name, or a JSONPath")
        if source == "path" and not name.isdecimal():
            raise ValueError("expected path:N with a number")
        return place

    @field_validator("list")
    @classmethod
    def _is_a_path(cls, path: str) -> str:
        try:
            parse(path)
        except (JSONPathError, AttributeError) as error:
            raise ValueError(f"{path!r} is not a JSONPath") from error
        return path

    @model_validator(mode="after")
    def _path_begins_with_a_slash(self) -> Self:
        if not self.path.startswith("/"):
            raise ValueError("path begins with /")
        return self

    @cached_property
    def _parsed(self) -> dict[str, Any]:
        places = (self.account, self.history, self.list)
        return {place: parse(place) for place in places if place and place.startswith("$")}

    def told(self) -> str:
        """Where things stand, in one clause."""
        history = "no history" if self.history is None else f"history {self.history}"
        return f"{self.path}: account {self.account}, {history}, list {self.list}"

    def watches(self, path: str) -> bool:
        """Whether requests of a path are watched, also where it takes a detour."""
        if path.startswith(self.path):
            return True
        if "//" not in path and "/." not in path:
            return False
        return re.sub(r"/+", "/", posixpath.normpath(path)).startswith(self.path.rstrip("/"))

    @property
    def needs_body(self) -> bool:
        """Whether account or history stand in the body of a request."""
        return any(place is not None and place[0] == "$" for place in (self.account, self.history))

    def request(
        self, path: str, query: bytes, headers: Mapping[str, str], body: bytes | None
    ) -> Seen:
        """Read a request; what is not there, or not as expected, is None."""
        document = _json(body) if self.needs_body else None

        def at(place: str | None, *, many: bool = False) -> Any:
            if place is None:
                return None
            if place in self._parsed:
                found = [match.value for match in self._parsed[place].find(document)]
                return found[0] if len(found) == 1 else (found or None)
            source, _, name = place.partition(":")
            if source == "header":
                return headers.get(name.lower())
            if source == "query":
                values = parse_qs(query.decode("latin-1")).get(name)
                return values if many and values and values[1:] else values and values[0]
            if source == "path":
                parts = path.strip("/").split("/")
                return parts[int(name)] if int(name) < len(parts) else None
            cookies = [one.strip() for one in headers.get("cookie", "").split(";")]
            named = [one.partition("=")[2] for one in cookies if one.partition("=")[0] == name]
            return named[0] if named else None

        who = at(self.account)
        known = isinstance(who, str | int) and not isinstance(who, bool) and who != ""
        name = str(who)[:LONGEST].encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        return Seen(name if known else None, _ids(at(self.history, many=True)))

    def moved(
        self, query: bytes, body: bytes, move: Callable[[ItemId], ItemId]
    ) -> tuple[bytes, bytes] | None:
        """Query and body of a request with other items in its history; None where that fails."""
        place = self.history or ""
        source, _, name = place.partition(":")
        if source == "query":
            pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
            changed = [
                (
                    key,
                    ",".join(str(move(one)) for one in _ids(value) or ()) if key == name else value,
                )
                for key, value in pairs
            ]
            return urlencode(changed).encode("ascii"), body
        if place not in self._parsed:
            return None
        document = _json(body)
        for match in self._parsed[place].find(document):
            many = isinstance(match.value, list)
            found = _ids(match.value if many else [match.value])
            if found is None:
                return None
            others = [move(one) for one in found]
            document = match.full_path.update(document, others if many else others[0])
        return query, json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")

    def served(self, body: bytes) -> tuple[ItemId, ...] | None:
        """The list in an answer, best first; None where there is none."""
        found = [match.value for match in self._parsed[self.list].find(_json(body))]
        return _ids(found[0] if len(found) == 1 and isinstance(found[0], list) else found)

    def kept(self, body: bytes, length: int | None, without: Container[str] = ()) -> bytes:
        """An answer with a part of its list; as it came where there is none.

        Args:
            body: the answer.
            length: most items; None: all.
            without: items that are left out, as texts.
        """
        document = _json(body)
        whole = parse(self.list.rpartition("[*]")[0] or self.list)
        matches = whole.find(document)
        if len(matches) != 1 or not isinstance(matches[0].value, list):
            return body
        kept = matches[0].value
        ids = self.served(body) or ()
        if len(ids) == len(kept):
            kept = [one for one, item in zip(kept, ids, strict=True) if str(item) not in without]
        document = matches[0].full_path.update(document, kept[:length])
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")


def _json(body: bytes | None) -> Any:
    try:
        return json.loads(body or b"null")
    except (ValueError, RecursionError):
        return None


def _ids(found: Any) -> tuple[ItemId, ...] | None:
    if isinstance(found, str):
        found = [part for part in found.split(",") if part]
    if not isinstance(found, Sequence) or not all(
        isinstance(one, str | int) and not isinstance(one, bool) for one in found
    ):
        return None
    return tuple(found)
