"""From an example of a request to the file of a target: what stands for the history, k and secrets.

Guesses go by names and shapes; each is told, and whoever knows better writes the placeholder into
the example.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from pydantic import ValidationError

from recsec.errors import ConfigError
from recsec.targets.http.config import HttpConfig, explained
from recsec.targets.http.placeholders import SECRET, mentioned

__all__ = ["Example", "Imported", "id_field", "stands_for", "target_file"]

SECRET_ENV: Final = "TARGET_SECRET"  # noqa: S105 - the name of a variable
PARTS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
KEYS: Final = re.compile("authorization|token|key|apikey|secret|password|passwd|pwd|auth")
USERS: Final = re.compile("user|uid|account|visitor|customer|client|member|person|profile")
LENGTHS: Final = re.compile("k|n|limit|count|top|topk|size|num|max")
BESIDE: Final = re.compile("id|of|per|page|number|items|results|recommendations|products")
"""Words that may stand beside those of a user or a length and change nothing."""
HISTORIES: Final = re.compile(
    "history|items|ids|sequence|events|clicks|clicked|viewed|views|basket|cart|products|recent|"
    "interactions|session|skus"
)
IDS: Final = (
    "id",
    "item_id",
    "itemid",
    "sku",
    "item",
    "product_id",
    "productid",
    "asin",
    "movie_id",
)
DROPPED: Final = re.compile(
    "host|content-length|content-type|accept-encoding|connection|user-agent|origin|referer|cookie|"
    "sec-.*|dnt|cache-control|pragma|priority|te|upgrade-insecure-requests",
    re.IGNORECASE,
)
"""Headers that describe who asked, or that a client sets by itself."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A request as somebody sent or described it.

    Attributes:
        url: with its query.
        method: in capitals.
        headers: by name.
        request: fields of the body; None without one.
        form: the body is a form, not JSON.
        response: JSONPath to the ids, if known.
        secret: header and prefix of a secret that has no value here.
    """

    url: str
    method: str
    headers: Mapping[str, str] = field(default_factory=dict)
    request: Any = None
    form: bool = False
    response: str | None = None
    secret: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A target file, and what was guessed.

    Attributes:
        text: TOML, without secrets.
        config: the same, read.
        notes: what each guess took for what, what was left out, and what to set.
    """

    text: str
    config: HttpConfig
    notes: tuple[str, ...]


def target_file(example: Example) -> Imported:
    """The file of a target that asks as an example does.

    Raises:
        ConfigError: it carries no history, names what is no placeholder, or holds more than one
            secret.
    """
    notes: list[str] = []
    settings: dict[str, Any] = {"url": example.url, "method": example.method}
    parts = urlsplit(example.url)
    query = _fields(parse_qsl(parts.query, keep_blank_values=True))
    secrets: list[tuple[str, str | None]] = []
    query = _without_secrets(query, secrets)
    body = _without_secrets(example.request, secrets)
    bare = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    asked = _guessed(query, "query", notes)
    if example.method in ("GET", "DELETE"):
        settings |= {"url": bare, "request": asked}
    else:
        pairs = "&".join(f"{quote(name)}={_kept(value)}" for name, value in _pairs(asked))
        settings["url"] = bare + (f"?{pairs}" if pairs else "")
        settings["request"] = _guessed(body, "body", notes) or {}
        if example.form:
            settings["body"] = "form"
    if example.response is not None:
        settings["response"] = example.response
    else:
        notes.append('response = "$.items" was not told; --response says where the ids are')
    settings |= _headers(example, secrets, notes)
    try:
        text = _toml(settings)
        text.encode()
        config = HttpConfig.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise ConfigError(
            explained("of this request", error),
            hint="write {history}, {k} and {account} into the request where they belong, or start "
            "from examples/target-sessions.toml",
        ) from error
    except ValueError as error:
        raise ConfigError(f"the request holds what a TOML file cannot hold: {error}") from error
    return Imported(text=text, config=config, notes=tuple(notes))


def _has(pattern: re.Pattern[str], name: str) -> bool:
    """Whether a word of a name in any style, or the whole of it, is one of those."""
    words = [*PARTS.findall(name), re.sub("[^A-Za-z]", "", name)]
    return any(pattern.fullmatch(word.lower()) for word in words)


def _is(pattern: re.Pattern[str], name: str) -> bool:
    """Whether it has such a word, and none but those and such as change nothing."""
    words = [word.lower() for word in PARTS.findall(name)]
    others = [word for word in words if pattern.fullmatch(word) is None]
    return len(others) < len(words) and all(BESIDE.fullmatch(word) for word in others)


def id_field(example: Mapping[str, Any]) -> str | None:
    """The field that is the id of an item; None where none looks like it."""
    return next((name for one in IDS for name in example if name.lower() == one), None)


def stands_for(name: str, value: Any) -> Any:
    """The placeholder that takes the place of a field, or None.

    Args:
        name: of the field.
        value: its example.

    >>> stands_for("userId", "42"), stands_for("limit", 10), stands_for("clicked", [1, 2])
    ('{account}', '{k}', '{history}')
    """
    if any(mentioned(value)):
        return None
    if isinstance(value, list) and _has(HISTORIES, name):
        return _list_of(value)
    if isinstance(value, bool | Mapping | list) or value is None:
        return None
    if _has(HISTORIES, name) and re.fullmatch(r"[^,\s]+(,[^,\s]+)+", str(value)):
        return "{history}"
    if _is(USERS, name):
        return "{account}"
    if _is(LENGTHS, name) and re.fullmatch(r"\d+", str(value)):
        return "{k}"
    return None


def _list_of(value: list[Any]) -> Any:
    """A list of ids, or of objects that have one, as a template; None for other lists."""
    if value and isinstance(value[0], Mapping):
        name = id_field(value[0])
        return None if name is None else [{**value[0], name: "{item}"}]
    return None if any(isinstance(one, list) for one in value) else "{history}"


def _guessed(request: Any, where: str, notes: list[str]) -> Any:
    """An example with placeholders; the only list of it is the history whatever it is called."""
    known = any(name in ("history", "item") for name in mentioned(request))
    lists = [one for one in _lists(request) if _list_of(one) is not None]

    def walk(value: Any, name: str, path: str) -> Any:
        found = stands_for(name, value)
        if found is None and not known and len(lists) == 1 and value is lists[0]:
            found = _list_of(value)
        if found is not None and not (known and isinstance(value, list)):
            notes.append(f"{where}: {path} = {_inline(found)}")
            return found
        if isinstance(value, Mapping):
            kept = {key: one for key, one in value.items() if one is not None}
            notes.extend(f"{where}: {key} = null is left out" for key in value if key not in kept)
            return {
                key: walk(one, key, key if path == "the body" else f"{path}.{key}")
                for key, one in kept.items()
            }
        return value

    found = None if request is None else walk(request, "", "the body")
    return ["{item}"] if found == "{history}" else found


def _lists(value: Any) -> list[list[Any]]:
    if isinstance(value, Mapping):
        return [found for one in value.values() for found in _lists(one)]
    return [value] if isinstance(value, list) else []


def _fields(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Fields of a query or form; one that repeats is a list, one element per item."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            known = found[name] if isinstance(found[name], list) else [found[name]]
            found[name] = [*known, value]
        else:
            found[name] = value
    lists = [name for name, value in found.items() if isinstance(value, list)]
    return {name: ["{item}"] if lists == [name] else value for name, value in found.items()}


def _pairs(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, str(one))
        for name, value in fields.items()
        for one in (value if isinstance(value, list) else [value])
    ]


def _kept(value: str) -> str:
    return value if any(mentioned(value)) else quote(value)


def _without_secrets(request: Any, found: list[tuple[str, str | None]]) -> Any:
    """A request with ``{secret}`` for each field that looks like one; their names go to ``found``.

    A field that says so already is one too.
    """
    if isinstance(request, list):
        return [_without_secrets(one, found) for one in request]
    if not isinstance(request, Mapping):
        return request
    kept = {}
    for name, value in request.items():
        named = isinstance(value, str) and SECRET in mentioned(value)
        looks = isinstance(value, str | int) and not isinstance(value, bool) and value != ""
        if named or (_has(KEYS, name) and looks and not any(mentioned(value))):
            found.append((name, None))
            kept[name] = value if named else f"{{{SECRET}}}"
        else:
            kept[name] = _without_secrets(value, found)
    return kept


def _headers(
    example: Example, secrets: list[tuple[str, str | None]], notes: list[str]
) -> dict[str, Any]:
    """Headers to send, and where the secret goes.

    Args:
        example: the request.
        secrets: those of query and body: names, without a prefix.
        notes: takes what was decided.
    """
    kept: dict[str, str] = {}
    secrets += [] if example.secret is None else [example.secret]
    for name, value in example.headers.items():
        if name.lower() == "cookie":
            notes.append("cookies are left out: an answer depends on its request alone")
        elif _has(KEYS, name):
            scheme, space, _ = value.partition(" ")
            secrets.append((name, f"{scheme} " if space else ""))
        elif DROPPED.fullmatch(name) is None and value not in ("", "*/*"):
            kept[name] = value
    if len(secrets) > 1:
        raise ConfigError(
            f"{' and '.join(name for name, _ in secrets)} look like secrets, and a target file "
            "has one",
            hint="leave out the one that the API does not need",
        )
    found: dict[str, Any] = {"headers": kept} if kept else {}
    for name, prefix in secrets:
        found["auth_env"] = SECRET_ENV
        if prefix is not None:
            found |= {"auth_header": name, "auth_prefix": prefix}
        after = f"what follows {prefix!r} in {name}" if prefix else f"the value of {name}"
        coded = ", the base64 of name:password" if (prefix or "").lower() == "basic " else ""
        notes.append(f"the secret is not written: set {SECRET_ENV} to {after}{coded}")
    return found


def _toml(settings: Mapping[str, Any]) -> str:
    """Settings as TOML: plain ones first, then tables with a line per field."""
    request = settings["request"]
    tables = {name: settings[name] for name in ("request", "headers") if name in settings}
    plain = {name: value for name, value in settings.items() if name not in tables}
    if isinstance(request, list):
        plain["request"] = tables.pop("request")
    lines = [f"{name} = {_inline(value)}" for name, value in plain.items()]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{_key(key)} = {_inline(one)}" for key, one in table.items())]
    return "\n".join(lines) + "\n"


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(key)} = {_inline(one)}' for key, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _inline(name)
