"""The public data sets that recsec knows by name: what ``known.toml`` says of them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from recsec.errors import ConfigError

__all__ = ["KNOWN", "KNOWN_LOGS", "KNOWN_PHOTOS", "KnownData", "is_path", "known"]


class KnownData(BaseModel):
    """One public data set.

    Attributes:
        name: what the user types.
        layout: which reader understands it.
        url: where its publisher keeps it; None if there is no stable address.
        md5: the publisher's checksum; None if it publishes none.
        archive: file name in a mirror folder.
        members: files that an archive must hold.
        counts: distinct users, items with interactions, interactions; None where the publisher
            changes them without notice.
        license: the terms in two lines.
        about: one line for the list.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    layout: Literal[
        "movielens-tab",
        "movielens-dat",
        "movielens-csv",
        "s3rec",
        "yoochoose",
        "trivago",
        "fashion",
        "deepfashion",
    ]
    url: str | None = None
    md5: str | None = None
    archive: str
    members: tuple[str, ...]
    counts: tuple[int, int, int] | None = None
    license: str = Field(repr=False)
    about: str


def _read(table: Mapping[str, Any], terms: Mapping[str, str]) -> dict[str, KnownData]:
    """One kind of sets by name; an entry names its terms, which several sets share."""
    return {
        name: KnownData(name=name, license=terms[entry.pop("terms")], **entry)
        for name, entry in table.items()
    }


_LISTED = tomllib.loads(files("recsec.data.sources").joinpath("known.toml").read_text("utf-8"))

KNOWN: dict[str, KnownData] = _read(_LISTED["interactions"], _LISTED["terms"])
"""Interactions of users with items."""
KNOWN_LOGS: dict[str, KnownData] = _read(_LISTED["logs"], _LISTED["terms"])
"""Logs of what users did with lists; nothing to train on."""
KNOWN_PHOTOS: dict[str, KnownData] = _read(_LISTED["photos"], _LISTED["terms"])
"""Photos of items."""


def is_path(name: str) -> bool:
    """Whether what names data can only be a path: it has a folder or an ending.

    Such a word that leads nowhere is missing data; another one is a wrong word.

    >>> [is_path(name) for name in ("ml-9", "shop.csv", "data/shop")]
    [False, True, True]
    """
    path = Path(name)
    return bool(path.suffix) or path.name != name


def known(name: str) -> KnownData:
    """The data set called ``name``.

    Raises:
        ConfigError: no such data set.
    """
    if name.partition(":")[0] in ("synthetic", "photos"):
        raise ConfigError(
            f"{name} is made up when it is loaded; there is nothing to get",
            hint=f"recsec data analyze {name}",
        )
    if name not in KNOWN:
        raise ConfigError(
            f"no data set called {name!r}; known: {', '.join((*KNOWN, *KNOWN_PHOTOS))}, synthetic, "
            "photos, or a path to a CSV, Parquet or S3-Rec file or a folder of photos",
            hint="recsec data list",
        )
    return KNOWN[name]
