"""Settings of an HTTP target, from a TOML file or from a bare URL."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit, urlunsplit

import httpx
from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.parser import parse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from recsec.errors import ConfigError

__all__ = ["HttpConfig", "fits_header", "is_loopback", "parsed_url", "public_url"]

HISTORY = "{history}"
NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE: Final = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?")
LAST_PORT: Final = 65535
DESCRIBING: Final = frozenset(
    {"accept", "accept-encoding", "accept-language", "content-type", "user-agent"}
)
"""Headers that hold no secret."""
SHORTEST_SECRET: Final = 6
LONGEST_KEY: Final = 1000


def parsed_url(url: str) -> httpx.URL:
    """The URL as the client that sends the requests reads it.

    Raises:
        ValueError: no http or https, no host, or a port that there is not.
    """
    try:
        parsed = httpx.URL(url)
        host = parsed.host  # decoded here, where it can fail
    except (httpx.InvalidURL, ValueError):
        raise ValueError("expected http://host/path or https://host/path") from None
    if parsed.scheme not in ("http", "https") or not host:
        raise ValueError("expected http://host/path or https://host/path")
    if parsed.port is not None and not 0 < parsed.port <= LAST_PORT:
        raise ValueError(f"there is no port {parsed.port}; the last is {LAST_PORT}")
    return parsed


def public_url(url: str) -> str:
    """A URL without what may be secret: user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "that is no URL"
    place = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, f"{place}:{port}" if port else place, parts.path, "", ""))


def fits_header(value: str) -> bool:
    """May a header hold this? Printed ASCII, and blanks inside; no line end, also not the last."""
    return VALUE.fullmatch(value) is not None


def is_loopback(url: str) -> bool:
    """Does the URL name this machine? Names other than ``localhost`` are not resolved."""
    host = parsed_url(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _mentions(template: Any, placeholder: str) -> bool:
    if isinstance(template, dict):
        return any(_mentions(value, placeholder) for value in template.values())
    if isinstance(template, list):
        return any(_mentions(value, placeholder) for value in template)
    return isinstance(template, str) and placeholder in template


def _fixed(template: Any) -> list[str]:
    """The texts of a request that stay as they are."""
    if isinstance(template, dict):
        return [text for value in template.values() for text in _fixed(value)]
    if isinstance(template, list):
        return [text for value in template for text in _fixed(value)]
    return [template] if isinstance(template, str) and "{" not in template else []


def _basic(scheme: str, rest: str) -> list[str]:
    """Name and password of a header in the Basic scheme, together and apart."""
    if scheme.lower() != "basic":
        return []
    try:
        pair = base64.b64decode(rest, validate=True).decode("utf-8")
    except ValueError:
        return []
    return [pair, *pair.split(":", 1)]


class HttpConfig(BaseModel):
    """How to ask a recommender over HTTP.

    ``request`` is sent as the JSON body (with GET as query parameters). A string that is exactly
    ``{history}`` becomes the list of external ids, oldest first; ``{k}`` becomes the number,
    ``{account}`` the account. Inside a longer string the ids are joined by commas.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )

    url: str = Field(repr=False)
    method: Literal["GET", "POST", "PUT"] = "POST"
    headers: dict[str, str] = Field({}, repr=False)
    request: dict[str, Any] = Field({"history": HISTORY, "k": "{k}"}, repr=False)
    response: str = Field("$.items", description="JSONPath to the list of ids, or to each id")
    auth_env: str | None = Field(None, description="environment variable that holds the secret")
    auth_header: str = "Authorization"
    auth_prefix: str = Field("Bearer ", description="what precedes the secret in the header")
    timeout: float = Field(10.0, gt=0, description="seconds for one attempt")
    retries: int = Field(5, ge=0, description="further attempts after the first")
    backoff: float = Field(0.5, ge=0, description="seconds before the first retry, then doubled")
    max_wait: float = Field(60.0, ge=0, description="longest wait before a retry, in seconds")
    rate: float | None = Field(None, gt=0, description="requests per second, all together")
    concurrency: int = Field(4, ge=1, le=256, description="requests under way at a time")
    max_bytes: int = Field(1_000_000, gt=0, description="largest response that is read")

    def decides(self) -> dict[str, Any]:
        """The part on which answers depend: whom to ask, and how to read what comes back."""
        return self.model_dump(mode="json", include={"url", "method", "request", "response"})

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = parsed_url(url)
        if parts.userinfo:
            raise ValueError("a URL must not hold a password; use auth_env")
        return url

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if NAME.fullmatch(name) is None:
                raise ValueError(f"{name!r} is not the name of a header")
            if not fits_header(value):
                raise ValueError(f"the value of {name} holds a character that no header may hold")
        return headers

    @field_validator("auth_header")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is not the name of a header")
        return name

    @field_validator("request")
    @classmethod
    def _carries_the_history(cls, request: dict[str, Any]) -> dict[str, Any]:
        if not _mentions(request, HISTORY):
            raise ValueError(f"the request must carry {HISTORY} somewhere")
        try:
            json.dumps(request, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the request holds what JSON has not: {error}") from None
        return request

    @field_validator("response")
    @classmethod
    def _is_a_path(cls, path: str) -> str:
        try:
            parse(path)
        except (JSONPathError, AttributeError) as error:
            raise ValueError(f"{path!r} is not a JSONPath: {error}") from error
        return path

    def confidential(self) -> Iterator[str]:
        """The values that may be secret: of headers, of the query and fixed ones of the request.

        Those shorter than 6 characters are left out: they guard nothing, and words are not to be
        torn. Fixed texts beyond a thousand are no keys.
        """
        found = [value for _, value in parsed_url(self.url).params.multi_items()]
        found += [text for text in _fixed(self.request) if len(text) <= LONGEST_KEY]
        for name, value in self.headers.items():
            if name.lower() not in DESCRIBING:
                scheme, _, rest = value.rpartition(" ")
                found += [value, rest, *_basic(scheme, rest)]
        return (value for value in found if len(value) >= SHORTEST_SECRET)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a TOML file.

        Raises:
            ConfigError: the file is missing, is no TOML, or a setting does not fit.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except RecursionError:
            raise ConfigError(f"the target file {path} is nested too deep") from None
        except ValidationError as error:
            raise ConfigError(_explain(str(path), error)) from error
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot read the target file {path}: {error}") from error

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The defaults: POST ``{"history": [...], "k": k}``, answered by ``{"items": [...]}``.

        Raises:
            ConfigError: not an HTTP address.
        """
        try:
            return cls.model_validate({"url": url})
        except ValidationError as error:
            raise ConfigError(_explain(public_url(url), error)) from error


def _explain(source: str, error: ValidationError) -> str:
    """The problems without the values, which may be secret."""
    lines = [
        f"{'.'.join(str(part) for part in problem['loc'])}: "
        f"{problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_input=False, include_url=False)
    ]
    return f"the HTTP target {source} does not fit: {'; '.join(lines)}"
