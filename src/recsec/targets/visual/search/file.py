"""The small file that says how a visual search is asked: ``[search]`` of ``--model shop.toml``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.parser import parse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from recsec.errors import ConfigError
from recsec.sources import Capability, kind_of_source
from recsec.targets.http.addresses import parsed_url

__all__ = ["SearchFile", "is_search", "read_search_file"]

TABLE = "search"


class SearchFile(BaseModel):
    """How to ask. ``{k}``, ``{item}`` and ``{target}`` in addresses and fields are filled in.

    ``search``: a photo is uploaded, ids of similar items come back. ``relist``: the photo of one's
    own item ``{item}`` is replaced, and the neighbors of ``{target}`` are read.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )

    url: str = Field(repr=False, description="where the photo is uploaded")
    method: Literal["POST", "PUT"] = "POST"
    surface: Literal["search", "relist"] = "search"
    send: Literal["multipart", "raw"] = Field(
        default="multipart", description="a form with a file, or the PNG as the whole body"
    )
    field: str = Field(default="image", description="name of the file in the form")
    form: dict[str, str] = Field(default={}, repr=False, description="further fields of the form")
    response: str = Field(default="$.items", description="JSONPath to the list of ids")
    scores: str | None = Field(
        default=None,
        description="JSONPath to the scores, one per id: similarities, or distances that rise",
    )
    read: str | None = Field(
        default=None, repr=False, description="relist: address of the neighbors of {target}"
    )
    wait: float = Field(default=0.0, ge=0, description="relist: seconds until they are new")
    k: int = Field(default=50, ge=1, le=10_000, description="length of the lists")
    size: int = Field(default=224, ge=8, le=2048, description="side of the uploaded photos")
    headers: dict[str, str] = Field(default={}, repr=False)
    auth_env: str | None = Field(
        default=None, description="environment variable that holds the secret"
    )
    auth_header: str = "Authorization"
    auth_prefix: str = "Bearer "
    timeout: float = Field(default=30.0, gt=0, description="seconds for one attempt")
    retries: int = Field(default=5, ge=0, description="further attempts after the first")
    backoff: float = Field(default=0.5, ge=0, description="seconds before the first retry")
    max_wait: float = Field(default=60.0, ge=0, description="longest wait before a retry")
    rate: float | None = Field(default=None, gt=0, description="requests per second")
    max_bytes: int = Field(default=1_000_000, gt=0, description="largest response that is read")
    ranks: Path | None = Field(
        default=None,
        description="a table item,neighbor,place of the user's own system, reproduced first",
    )

    @field_validator("url", "read")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is not None and parsed_url(_filled(url)).userinfo:
            raise ValueError("a URL must not hold a password; use auth_env")
        return url

    @field_validator("response", "scores")
    @classmethod
    def _is_a_path(cls, path: str | None) -> str | None:
        if path is None:
            return None
        try:
            parse(path)
        except (JSONPathError, AttributeError) as error:
            raise ValueError(f"{path!r} is not a JSONPath: {error}") from error
        return path

    @model_validator(mode="after")
    def _fits(self) -> SearchFile:
        if (self.surface == "relist") != (self.read is not None):
            raise ValueError("read belongs to surface = 'relist', which needs it")
        if self.surface == "relist" and "{target}" not in (self.read or ""):
            raise ValueError("read must name {target}: whose neighbors are read")
        if self.surface == "relist" and "{item}" not in "".join([self.url, *self.form.values()]):
            raise ValueError("the upload must name {item}: whose photo is replaced")
        return self

    @property
    def gives(self) -> frozenset[Capability]:
        """What it can do."""
        return frozenset({"ids"} if self.scores is None else {"ids", "scores"})

    @property
    def asked(self) -> dict[str, Any]:
        """What decides its answers."""
        names = {"url", "method", "surface", "send", "response", "read", "k", "size"}
        scored = {} if self.scores is None else {"scores": self.scores}
        return self.model_dump(mode="json", include=names) | scored


def _filled(text: str) -> str:
    return text.replace("{k}", "1").replace("{item}", "1").replace("{target}", "1")


def is_search(spec: str) -> bool:
    """Whether ``--model`` names a visual search: an address, or a file with ``[search]``."""
    return kind_of_source(spec, "evasion").name in ("search", "search-file")


def read_search_file(spec: str) -> SearchFile:
    """An address with the defaults, or the table ``[search]`` of a file.

    Raises:
        ConfigError: a setting that there is not, or that does not fit. Values are not repeated:
            they may be secret.
    """
    table = {"url": spec}
    if not spec.startswith(("http://", "https://")):
        table = tomllib.loads(Path(spec).expanduser().read_text(encoding="utf-8"))[TABLE]
    try:
        return SearchFile.model_validate(table)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or TABLE}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_input=False, include_url=False)
        )
        raise ConfigError(
            f"[{TABLE}] does not fit: {faults}",
            hint=f"settings: {', '.join(SearchFile.model_fields)}",
        ) from error
