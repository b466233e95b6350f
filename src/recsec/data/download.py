"""Getting a known data set into the cache: fetched, checked, and only then in its place."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path

from recsec.data.photos.loading import check_photos
from recsec.data.photos.store import PhotoStore
from recsec.data.sources.archive import open_archive
from recsec.data.sources.cache import RECEIPT, Receipt, locked_folder, mirrored, read_receipt
from recsec.data.sources.known import KNOWN_PHOTOS, KnownData, known
from recsec.data.sources.layouts import check_content
from recsec.errors import DataError
from recsec.runs import atomic_write_json
from recsec.runs.atomic import UNFINISHED
from recsec.types import Progress

__all__ = ["get"]

CHUNK = 2**20


def get(
    name: str, *, source: str | Path | None = None, progress: Progress | None = None
) -> Receipt:
    """Put a data set into the cache, unless it is there.

    Several processes may do this at once: one works, the others wait and find it done. A killed
    one leaves a file that the next one deletes, never a broken archive. A folder of photos is
    noted where it lies and not copied.

    Args:
        name: a known data set, also of photos.
        source: a path or an http(s) address to take it from; it replaces what is cached. If None:
            the cache, the folder in ``RECSEC_MIRROR``, or the publisher, in this order.
        progress: told about bytes.

    Raises:
        DataError: unknown name, nothing to get it from, a failed or broken download, content that
            is not this data set, or a full disk. The cache is as it was before.
    """
    data = KNOWN_PHOTOS.get(name) or known(name)
    with locked_folder(data) as folder:
        cached = read_receipt(data)
        if cached is not None and source is None:
            return cached
        chosen = str(source or mirrored(data) or data.url or "")
        if not chosen:
            raise DataError(
                f"{name} has no address to download from",
                hint=f"recsec data get {name} --from PATH ({data.archive})",
            )
        if name in KNOWN_PHOTOS and Path(chosen).expanduser().is_dir():
            return _note(Path(chosen).expanduser().resolve(), data, folder)
        staged = folder / f".{data.archive}.{os.getpid()}{UNFINISHED}"
        staged_receipt = folder / f".{RECEIPT}.{os.getpid()}{UNFINISHED}"
        try:
            _fetch(chosen, staged, data, progress or (lambda what, done, total: None))
            receipt = _check(staged, chosen, data, folder)
            # Both are on the disk before the old ones go: from here on only names change.
            atomic_write_json(staged_receipt, receipt.model_dump(mode="json"))
            (folder / RECEIPT).unlink(missing_ok=True)
            os.replace(staged, receipt.path)
            os.replace(staged_receipt, folder / RECEIPT)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise DataError(f"cannot get {name} from {chosen}: {error}") from error
            raise DataError(
                f"the disk is full: {chosen} does not fit into {folder}; nothing of it was kept",
                hint="make room, or set RECSEC_CACHE to a folder on another disk",
            ) from error
        finally:
            for path in (staged, staged_receipt):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
    return receipt


def _fetch(source: str, staged: Path, data: KnownData, progress: Progress) -> None:
    """Copy or download to ``staged``."""
    if "://" in source:
        _download(source, staged, data, progress)
        return
    path = Path(source).expanduser()
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no file"
        raise DataError(f"{path} is {what}; expected the archive {data.archive}")
    size, done = path.stat().st_size, 0
    with path.open("rb") as original, staged.open("wb") as copy:
        while chunk := original.read(CHUNK):
            copy.write(chunk)
            done += len(chunk)
            progress(f"copying {data.name} | bytes", done, size)
        copy.flush()
        os.fsync(copy.fileno())


def _download(url: str, staged: Path, data: KnownData, progress: Progress) -> None:
    import requests  # with pooch, half a second that reading files does not need
    from pooch.downloaders import HTTPDownloader

    if not url.startswith(("http://", "https://")):
        raise DataError(f"cannot download {url}: only http and https addresses are known")
    bar = _Bar(data.name, progress)
    downloader = HTTPDownloader(progressbar=bar, chunk_size=CHUNK)  # type: ignore[no-untyped-call]
    try:
        downloader(url, str(staged), None)
    except requests.RequestException as error:
        if error.response is not None:  # pooch leaves it open
            error.response.close()
        raise DataError(
            f"the download of {url} failed: {error}",
            hint=f"try again, or fetch it elsewhere: recsec data get {data.name} --from PATH",
        ) from error
    if url == data.url and data.md5 is not None:
        md5 = _hash(staged, "md5")
        if md5 != data.md5:
            raise DataError(
                f"wrong checksum: {url} has MD5 {md5}, its publisher says {data.md5}; not kept",
                hint="try again; if it stays so, the file was changed on its way or at its source",
            )


class _Bar:
    """What pooch expects of a progress bar, passed on to a ``Progress``."""

    def __init__(self, name: str, progress: Progress) -> None:
        self.name, self.progress = name, progress
        self.total, self.done = 0, 0

    def update(self, count: int) -> None:
        self.done += count
        self.progress(f"downloading {self.name} | bytes", self.done, max(self.total, self.done))

    def reset(self) -> None:
        """Pooch rewinds at the end and counts the total again; there is nothing to say then."""
        self.done = 0

    def close(self) -> None:
        """Nothing to close."""


def _note(photos: Path, data: KnownData, folder: Path) -> Receipt:
    """Check a folder of photos, and remember where it is.

    Raises:
        DataError: it does not hold this set.
    """
    store = PhotoStore(photos)
    count, categories = check_photos(store, data)
    receipt = Receipt(
        name=data.name,
        path=photos,
        source=str(photos),
        bytes=sum(size for _, size, _ in store.files),
        md5=None,
        sha256=store.stamp,
        checked="content",
        photos=count,
        categories=categories,
    )
    atomic_write_json(folder / RECEIPT, receipt.model_dump(mode="json"))
    return receipt


def _check(staged: Path, source: str, data: KnownData, folder: Path) -> Receipt:
    """Read the whole archive; errors name its source, not the staged copy."""
    counts: dict[str, int] = {}
    try:
        if data.name in KNOWN_PHOTOS:
            counts["photos"], counts["categories"] = check_photos(PhotoStore(staged), data)
        else:
            with open_archive(staged) as archive:
                found = check_content(archive, data)
            counts |= dict(zip(("users", "items", "interactions"), found, strict=True))
    except DataError as error:
        message = error.message.replace(str(staged), source)
        raise DataError(message, hint=error.hint) from error
    md5 = _hash(staged, "md5")
    return Receipt(
        name=data.name,
        path=folder / data.archive,
        source=source,
        bytes=staged.stat().st_size,
        md5=md5,
        sha256=_hash(staged, "sha256"),
        checked="publisher" if md5 == data.md5 else "content",
        **counts,
    )


def _hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
