"""Where account, history and list stand in the requests and answers of an API that is not ours."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self
from urllib.parse import parse_qs

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

    @property
    def needs_body(self) -> bool:
        """Whether account or history stand in the body of a request."""
        return any(place is not None and place[0] == "$" for place in (self.account, self.history))

    def request(
        self, path: str, query: bytes, headers: Mapping[str, str], body: bytes | None
    ) -> Seen:
        """Read a request; what is not there, or not as expected, is None."""
        document = _json(body) if self.needs_body else None

        def at(place: str | None) -> Any:
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
                return values[0] if values else None
            if source == "path":
                parts = path.strip("/").split("/")
                return parts[int(name)] if int(name) < len(parts) else None
            cookies = [one.strip() for one in headers.get("cookie", "").split(";")]
            named = [one.partition("=")[2] for one in cookies if one.partition("=")[0] == name]
            return named[0] if named else None

        who = at(self.account)
        known = isinstance(who, str | int) and not isinstance(who, bool) and who != ""
        return Seen(str(who)[:LONGEST] if known else None, _ids(at(self.history)))

    def served(self, body: bytes) -> tuple[ItemId, ...] | None:
        """The list in an answer, best first; None where there is none."""
        found = [match.value for match in self._parsed[self.list].find(_json(body))]
        return _ids(found[0] if len(found) == 1 and isinstance(found[0], list) else found)

    def shortened(self, body: bytes, length: int) -> bytes:
        """An answer whose list has at most so many items; as it came where there is none."""
        document = _json(body)
        whole = parse(self.list.rpartition("[*]")[0] or self.list)
        matches = whole.find(document)
        if len(matches) == 1 and isinstance(matches[0].value, list):
            document = matches[0].full_path.update(document, matches[0].value[:length])
            return json.dumps(document, ensure_ascii=False).encode()
        return body


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
