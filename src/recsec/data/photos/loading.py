"""One door to every catalog of photos: by name, by folder, or made up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from recsec.data.photos.catalog import PhotoReport, Photos
from recsec.data.photos.files import ResizeRule
from recsec.data.photos.layouts.deepfashion import read_deepfashion
from recsec.data.photos.layouts.fashion import read_styles
from recsec.data.photos.layouts.listing import Listing
from recsec.data.photos.layouts.own import read_labels
from recsec.data.photos.names import match_names
from recsec.data.photos.store import SUFFIXES, PhotoFiles, PhotoStore, look_at
from recsec.data.photos.synthetic import SyntheticPhotos, SyntheticPhotosConfig
from recsec.data.sources.cache import locate
from recsec.data.sources.known import KNOWN_PHOTOS, KnownData, is_path
from recsec.data.sources.tables import Dialect, holds_table
from recsec.errors import ConfigError, DataError
from recsec.runs import digest
from recsec.settings import parse_words
from recsec.types import Progress

__all__ = ["check_photos", "is_photos", "load_photos", "read_listing"]


def is_photos(name: str) -> bool:
    """Whether a ``--data`` name means photos; if not, it means interactions.

    Photos are ``photos``, the known sets of photos, zip archives, and folders other than those that
    hold the parts of a table.
    """
    head = _split(name)[0]
    return head == "photos" or head in KNOWN_PHOTOS or _is_store(Path(head))


def load_photos(
    name: str,
    *,
    source: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    dialect: Dialect | None = None,
    progress: Progress | None = None,
) -> Photos:
    """Load a catalog of photos. Never downloads.

    Photos that repeat an earlier one, are broken or are huge are left out and counted.

    Args:
        name: ``fashion``, ``deepfashion``, ``photos`` with or without settings
            (``photos:items=600,categories=12,seed=0``), or a folder or zip archive of images with
            a CSV of labels. Real photos may be followed by how they become squares:
            ``fashion:fit=squash,trim=true``.
        source: an archive or folder of a known set to read in place of the cache or mirror.
        columns: for own photos, our names (id, category, image, title, attributes) to the table's.
        dialect: for own photos, what the user says about the table of labels.
        progress: told about photos while they are looked at for the first time.

    Raises:
        DataError: missing or broken data, no photo that can be read.
        ConfigError: a name that is neither a known set nor a path, settings or columns that do not
            fit.
    """
    head, text = _split(name)
    settings = parse_words(text, where=head)
    if (columns or dialect) and not _is_store(Path(head)):
        raise ConfigError(f"{head} has a table of its own; columns and the like are for own photos")
    if head == "photos":
        made = SyntheticPhotos(SyntheticPhotosConfig.checked(settings))
        attributes = ("color", "texture")
        report = PhotoReport(made.config.items)
        return Photos(name, made.table, attributes, made, report=report, synthetic=True)
    rule = _rule(head, settings)
    if head in KNOWN_PHOTOS:
        data = KNOWN_PHOTOS[head]
        store = PhotoStore(locate(data, source=source))
        listing, terms = read_listing(store, data), data.license
    elif _is_store(Path(head)):
        store = PhotoStore(Path(head))
        listing, terms = read_labels(store, columns=columns, dialect=dialect), ""
        name = Path(name).name
    else:
        kind = DataError if is_path(head) else ConfigError
        raise kind(
            f"no photos called {name!r}; known: {', '.join(KNOWN_PHOTOS)}, photos, or the path of "
            "a folder or zip archive with images and a CSV of labels",
            hint="recsec data list",
        )
    table, files, report = _choose(store, listing, progress)
    return Photos(name, table, listing.attributes, files, rule, report, terms)


def read_listing(store: PhotoStore, data: KnownData) -> Listing:
    """Labels of a known set of photos.

    Raises:
        DataError: a table is absent or malformed, or the store is neither folder nor archive.
    """
    return read_deepfashion(store) if data.layout == "deepfashion" else read_styles(store)


def check_photos(store: PhotoStore, data: KnownData) -> tuple[int, int]:
    """Read the tables of a known set, and look for its photos without opening them.

    Returns:
        Labeled photos that are there, and their categories.

    Raises:
        DataError: a table is absent or malformed, or no photo is there.
    """
    table = read_listing(store, data).table.drop_nulls(["id", "category"])
    found = table.filter(_files(store, table).is_not_null())
    if found.height == 0:
        raise DataError(
            f"{store.path} has none of the {table.height:,} photos that its tables name, such as "
            f"{next(iter(table['name']), '(nothing)')}"
        )
    return found.height, found["category"].n_unique()


def _files(store: PhotoStore, table: pl.DataFrame) -> pl.Series:
    """The file of each row in the store; null where there is none."""
    names = match_names(table["name"].to_list(), store.images)
    return pl.Series("name", names, dtype=pl.String)


def _is_store(path: Path) -> bool:
    if path.is_dir():
        return not holds_table(path, SUFFIXES)
    return path.suffix.lower() == ".zip" and path.is_file()


def _split(name: str) -> tuple[str, str]:
    """The name and its settings; a path may hold colons of its own."""
    if _is_store(Path(name)):
        return name, ""
    head, _, text = name.rpartition(":") if ":" in name else (name, "", "")
    return head, text


def _choose(
    store: PhotoStore, listing: Listing, progress: Progress | None
) -> tuple[pl.DataFrame, PhotoFiles, PhotoReport]:
    """The photos that can be read, each once.

    Raises:
        DataError: none is left.
    """
    there = set(store.images)
    called = listing.table
    listed = called.with_columns(_files(store, called).fill_null(called["name"]))
    labeled = listed.drop_nulls(["id", "category"])
    unique = labeled.unique("id", keep="first", maintain_order=True)
    found = unique.filter(pl.col("name").is_in(list(there)))
    absent = unique.filter(~pl.col("name").is_in(list(there)))["name"].to_list()
    sample = f"the {len(there):,} images are called like {min(there, default='(none)')!r}"
    seen = look_at(store, found["name"].to_list(), progress=progress)
    both = pl.concat([found, seen.drop("name")], how="horizontal")
    kept = both.filter(pl.col("fault").is_null() & pl.col("repeats").is_null())
    faults = seen.drop_nulls("fault")
    if kept.height == 0:
        first = f"; {faults['name'][0]}: {faults['reason'][0]}" if faults.height else ""
        raise DataError(
            f"{store.path} has no labeled photo that can be read: {listed.height:,} rows, "
            f"{len(there):,} images, {found.height:,} rows with an image, {faults.height:,} of "
            f"them broken or huge{first}"
            + (f"; the table names {absent[0]!r}, {sample}" if absent else "")
        )
    sizes = kept.group_by("width", "height").len("photos")
    report = PhotoReport(
        listed=listed.height,
        unlabeled=listed.height - labeled.height + len(there - set(listed["name"])),
        repeated_ids=labeled.height - unique.height,
        missing=unique.height - found.height,
        broken=int((faults["fault"] == "broken").sum()),
        huge=int((faults["fault"] == "huge").sum()),
        exact=int((seen["repeats"] == "exact").sum()),
        near=int((seen["repeats"] == "near").sum()),
        faults=(
            *faults.select("name", "reason").head(20).iter_rows(),
            *((name, f"no such file; {sample}") for name in absent[:3]),
        ),
        notes=listing.notes,
        sizes=tuple(sizes.sort("photos", "width", "height", descending=True).iter_rows()),
    )
    files = PhotoFiles(store, tuple(kept["name"]), digest(kept["sha"].to_list()))
    return kept.drop("name", *(set(seen.columns) - {"name"})), files, report


def _rule(head: str, settings: Mapping[str, Any]) -> ResizeRule:
    try:
        return ResizeRule.model_validate(settings)
    except ValueError as error:
        raise ConfigError(
            f"{head}: {dict(settings)} does not say how photos become squares",
            hint="fit=letterbox or fit=squash, trim=true or trim=false",
        ) from error
