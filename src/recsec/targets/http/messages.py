"""Settings of the requests that one question takes: the steps around it, its pages, its token."""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.parser import parse
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from recsec.targets.http.addresses import fits_header, is_header_name, parsed_url
from recsec.targets.http.placeholders import asked_per_item, mentioned

__all__ = ["Message", "Pages", "Request", "Step", "Token", "is_a_path"]

Request = dict[str, Any] | list[Any]

BARE: Final = frozenset({"GET", "DELETE"})
"""Methods whose request travels in the address."""


def is_a_path(path: str) -> str:
    """The JSONPath itself, where it is one.

    Raises:
        ValueError: it is none.
    """
    try:
        parse(path)
    except (JSONPathError, AttributeError) as error:
        raise ValueError(f"{path!r} is not a JSONPath: {error}") from error
    return path


class Message(BaseModel):
    """One request as a template; see ``recsec.targets.http.placeholders``.

    With GET and DELETE ``request`` goes into the query, else it is the body: JSON, or a form.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )

    url: str = Field(repr=False)
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: dict[str, str] = Field({}, repr=False)
    body: Literal["json", "form"] = "json"
    request: Request = Field({}, repr=False)

    @property
    def in_query(self) -> bool:
        """Whether ``request`` travels in the address."""
        return self.method in BARE

    @property
    def per_item(self) -> bool:
        """Whether it is sent once for each item of the history."""
        return asked_per_item(self.url, self.headers, self.request)

    def mentions(self) -> set[str]:
        """The placeholders that it names."""
        return {*mentioned(self.url), *mentioned(self.headers), *mentioned(self.request)}

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = parsed_url(url)
        if parts.userinfo:
            raise ValueError("a URL must not hold a password; use auth_env")
        if "{" in url.split("://", 1)[1].partition("/")[0]:
            raise ValueError("a placeholder cannot stand in the name of the host")
        return url

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not is_header_name(name):
                raise ValueError(f"{name!r} is not the name of a header")
            if not fits_header(value):
                raise ValueError(f"the value of {name} holds a character that no header may hold")
        return headers

    @field_validator("request")
    @classmethod
    def _is_json(cls, request: Request) -> Request:
        try:
            json.dumps(request, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the request holds what JSON has not: {error}") from None
        return request

    @model_validator(mode="after")
    def _fits_its_form(self) -> Message:
        if self.in_query or self.body == "form":
            kind = "query" if self.in_query else "form"
            values = self.request.values() if isinstance(self.request, dict) else [{}]
            nested = [
                one for value in values for one in (value if isinstance(value, list) else [value])
            ]
            if self.request and any(isinstance(one, dict | list) for one in nested):
                raise ValueError(f"a {kind} holds fields of texts, numbers and lists of them")
        return self


class Step(Message):
    """A request before or after the question. Where it names ``{item}`` outside of a list it is
    sent once for each item of the history, oldest first.

    ``keep`` names values of the answer by JSONPath; later requests of the question have them as
    placeholders.
    """

    keep: dict[str, str] = {}

    @field_validator("keep")
    @classmethod
    def _are_paths(cls, keep: dict[str, str]) -> dict[str, str]:
        for name, path in keep.items():
            if not name.isidentifier():
                raise ValueError(f"{name!r} cannot be a placeholder; use letters, digits and _")
            is_a_path(path)
        return keep


class Token(Message):
    """How a token is asked for: before the first request, and again when one is answered by 401.

    ``{secret}`` is the value of the environment variable that ``auth_env`` names.
    """

    response: str = Field("$.access_token", description="JSONPath to the token")

    @field_validator("response")
    @classmethod
    def _is_a_path(cls, path: str) -> str:
        return is_a_path(path)


class Pages(BaseModel):
    """How further pages are asked for, until the list is long enough.

    The request names ``{page}`` (counted from ``first``), ``{offset}`` (ids that came so far) or
    ``{cursor}`` (found by ``next`` in the page before; left out of the first request). With
    ``size`` ``{k}`` is at most that, and a shorter page is the last.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    size: int | None = Field(None, ge=1)
    first: int = Field(1, ge=0)
    next: str | None = None

    @field_validator("next")
    @classmethod
    def _is_a_path(cls, path: str | None) -> str | None:
        return None if path is None else is_a_path(path)
