"""Parquet on object stores: polars reads them itself, with the credentials of the environment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import polars as pl

from recsec.data.sources.tables import BROKEN, first_line
from recsec.errors import DataError

__all__ = ["fetched", "in_store"]

STORES = ("s3://", "gs://", "az://")


def in_store(name: str) -> bool:
    """Whether a name is an address in an object store.

    >>> [in_store(name) for name in ("s3://shop/log/", "shop.csv")]
    [True, False]
    """
    return name.startswith(STORES)


@contextmanager
def fetched(url: str) -> Iterator[Path]:
    """A local copy, as one file, of a Parquet file or of all parts of a folder; gone afterwards.

    Args:
        url: ``s3://``, ``gs://`` or ``az://``, a bucket and a path; what does not end in
            ``.parquet`` is a folder.

    Raises:
        DataError: it is missing, broken or no Parquet, or the store does not let us in.
    """
    place = PurePosixPath(url)
    if place.suffix not in {"", ".parquet"}:
        raise DataError(
            f"{url} is no Parquet file, and others are not read from object stores",
            hint="write it as Parquet, or copy it to this machine and name the copy",
        )
    with TemporaryDirectory(prefix="recsec-fetched-") as folder:
        path = Path(folder) / f"{place.stem}.parquet"
        try:
            whole = pl.scan_parquet(url if place.suffix else f"{url.rstrip('/')}/")
            whole.sink_parquet(path, compression="lz4")
        except (OSError, *BROKEN) as error:
            raise DataError(
                f"cannot read {url}: {first_line(error):.300}",
                hint="look at the address and at the credentials: recsec takes those that the "
                "store's own tools take from the environment, such as AWS_ACCESS_KEY_ID",
            ) from error
        try:
            yield path
        except DataError as error:
            raise DataError(error.message.replace(str(path), url), hint=error.hint) from error
