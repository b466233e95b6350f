"""One door to every data set: by name, by path, or made up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from recsec.data.dataset import Dataset
from recsec.data.filters import Filters
from recsec.data.made_up.synthetic import SyntheticConfig, generate
from recsec.data.photos.loading import is_photos
from recsec.data.sources.archive import open_archive
from recsec.data.sources.cache import locate
from recsec.data.sources.known import KNOWN, is_path, known
from recsec.data.sources.layouts import read_known
from recsec.data.sources.own import read_own
from recsec.data.sources.tables import Dialect
from recsec.errors import ConfigError

__all__ = ["load"]


def load(
    name: str | Path,
    *,
    source: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    dialect: Dialect | None = None,
    filters: Filters | None = None,
) -> Dataset:
    """Load a data set. Never downloads; ``recsec data get`` does.

    Args:
        name: a known name (``ml-1m``), ``synthetic`` with or without settings
            (``synthetic:users=500,items=200,seed=1``), or the path of a table (CSV, JSON Lines,
            Parquet, a folder of parts) or of an S3-Rec file.
        source: an archive of a known data set to read in place of the cache or mirror.
        columns: for own files, our column names (user, item, time, rating) to theirs.
        dialect: for own files, what the user says about the table.
        filters: rules; the defaults of ``Filters`` if None.

    Raises:
        DataError: missing, broken or empty data.
        ConfigError: a name that is neither a known set nor a path, one of photos, settings of
            ``synthetic`` that do not fit, or columns of a set that is known.
    """
    text = str(name)
    made_up = text == "synthetic" or text.startswith("synthetic:")
    if (columns or dialect) and (made_up or text in KNOWN):
        raise ConfigError(f"{text} has a table of its own; columns and the like are for own files")
    if made_up:
        config = SyntheticConfig.parse(text.partition(":")[2])
        return Dataset.from_raw(text, generate(config), filters=filters, synthetic=True)
    if text in KNOWN:
        data = known(text)
        with open_archive(locate(data, source=source)) as archive:
            raw = read_known(archive, data)
        return Dataset.from_raw(text, raw, filters=filters, license=data.license)
    if is_photos(text):
        raise ConfigError(
            f"{text} holds photos; interactions of users with items were expected",
            hint="recsec data list says which is which",
        )
    path = Path(text)
    if not path.exists() and not is_path(text):
        known(text)
    raw = read_own(path, columns=columns, dialect=dialect)
    return Dataset.from_raw(path.stem, raw, filters=filters)
