"""Settings of an HTTP target, from a TOML file or from a bare URL."""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.parser import parse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from recsec.errors import ConfigError

__all__ = ["HttpConfig", "is_loopback", "public_url"]

HISTORY = "{history}"


def public_url(url: str) -> str:
    """A URL without what may be secret: user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    place = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit((parts.scheme, f"{place}{port}", parts.path, "", ""))


def is_loopback(url: str) -> bool:
    """Does the URL name this machine? Names other than ``localhost`` are not resolved."""
    host = urlsplit(url).hostname or ""
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
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected http://host/path or https://host/path")
        if parts.username or parts.password:
            raise ValueError("a URL must not hold a password; use auth_env")
        return url

    @field_validator("request")
    @classmethod
    def _carries_the_history(cls, request: dict[str, Any]) -> dict[str, Any]:
        if not _mentions(request, HISTORY):
            raise ValueError(f"the request must carry {HISTORY} somewhere")
        return request

    @field_validator("response")
    @classmethod
    def _is_a_path(cls, path: str) -> str:
        try:
            parse(path)
        except (JSONPathError, AttributeError) as error:
            raise ValueError(f"{path!r} is not a JSONPath: {error}") from error
        return path

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a TOML file.

        Raises:
            ConfigError: the file is missing, is no TOML, or a setting does not fit.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"cannot read the target file {path}: {error}") from error
        except ValidationError as error:
            raise ConfigError(_explain(str(path), error)) from error

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
