"""One door to every data set: by name, by path, or made up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from recsec.data.dataset import Dataset, Origin
from recsec.data.dialect import Dialect
from recsec.data.filters import Filters
from recsec.data.made_up.synthetic import SyntheticConfig, generate
from recsec.data.photos.loading import is_photos
from recsec.data.reading import Reading
from recsec.data.sources.archive import open_archive
from recsec.data.sources.cache import locate
from recsec.data.sources.items import with_items
from recsec.data.sources.known import KNOWN, is_path, known
from recsec.data.sources.layouts import read_known
from recsec.data.sources.object_store import fetched, in_store
from recsec.data.sources.own import read_own
from recsec.errors import ConfigError

__all__ = ["load", "load_as"]


def load(
    name: str | Path,
    *,
    source: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    dialect: Dialect | None = None,
    filters: Filters | None = None,
    catalog: str | Path | None = None,
) -> Dataset:
    """Load a data set. Never downloads; ``recsec data get`` does.

    Args:
        name: a known name (``ml-1m``), ``synthetic`` with or without settings
            (``synthetic:users=500,items=200,seed=1``), or the path of a table (CSV, JSON Lines,
            Parquet, a folder of parts) or of an S3-Rec file; or Parquet in an object store
            (``s3://bucket/log/``), fetched anew by each call.
        source: an archive of a known data set to read in place of the cache or mirror.
        columns: for own files, our column names (user, item, time, rating) to theirs.
        dialect: for own files, what the user says about the table.
        filters: rules; the defaults of ``Filters`` if None.
        catalog: a table of items: ids, titles, genres, years; None: what the data say.

    Raises:
        DataError: missing, broken or empty data.
        ConfigError: a name that is neither a known set nor a path, one of photos, settings of
            ``synthetic`` that do not fit, or columns of a set that is known.
    """
    text = str(name)
    reading = Reading(
        columns=dict(columns or {}),
        filters=Filters() if filters is None else filters,
        catalog=None if catalog is None else os.path.abspath(os.path.expanduser(catalog)),
        **({} if dialect is None else dialect.model_dump(include=set(Dialect.model_fields))),
    )
    made_up = text == "synthetic" or text.startswith("synthetic:")
    if (columns or dialect) and (made_up or text in KNOWN):
        raise ConfigError(f"{text} has a table of its own; columns and the like are for own files")
    origin = Origin(text, reading)
    title, terms = text, ""
    if made_up:
        raw = generate(SyntheticConfig.parse(text.partition(":")[2]))
    elif text in KNOWN:
        data = known(text)
        with open_archive(locate(data, source=source)) as archive:
            raw = read_known(archive, data)
        terms = data.license
    elif is_photos(text):
        raise ConfigError(
            f"{text} holds photos; interactions of users with items were expected",
            hint="recsec data list says which is which",
        )
    elif in_store(text):
        with fetched(text) as path:
            raw = read_own(path, columns=columns, dialect=dialect)
        title = PurePosixPath(text).stem
    else:
        path = Path(text)
        if not path.exists() and not is_path(text):
            known(text)
        raw = read_own(path, columns=columns, dialect=dialect)
        title, origin = path.stem, Origin(os.path.abspath(path), reading)
    if catalog is not None:
        raw = with_items(raw, Path(catalog).expanduser())
    found = Dataset.from_raw(title, raw, filters=filters, synthetic=made_up, license=terms)
    return replace(found, origin=origin)


def load_as(name: str | Path, reading: Reading) -> Dataset:
    """``load`` with everything that there is to say about it.

    Raises:
        RecsecError: as ``load``.
    """
    return load(
        name,
        columns=reading.columns or None,
        dialect=reading.dialect,
        filters=reading.filters,
        catalog=reading.catalog,
    )
