"""Photos that are published as a list of addresses, brought into a folder of one's own."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

import polars as pl
from PIL import Image

from recsec.data.photos.files import Fault, open_photo, strict_pillow
from recsec.data.sources.tables import Dialect, Field, choose, open_table, write_table
from recsec.errors import DataError
from recsec.runs import atomic_write_bytes
from recsec.types import Progress

if TYPE_CHECKING:
    import httpx

__all__ = ["Fetched", "fetch_photos"]

AGENT = "recsec"
LARGEST = 20 * 2**20
"""Bytes of the largest photo, and of a ``robots.txt``, that is taken."""
ATTEMPTS = 4
LONGEST_WAIT = 60.0
"""Seconds that a server may tell us to wait before the next attempt."""
HOSTS = 8
"""Hosts that are asked at the same time, each by one connection."""
JOURNAL = "fetched.jsonl"
URL = Field("text", ("image_url", "url", "image", "photo", "picture", "link"), filled=False)
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}


@dataclass(frozen=True)
class Fetched:
    """What came of a list.

    Attributes:
        folder: with the photos and ``labels.csv``.
        addresses: different ones in the list.
        here: of these, photos that are in the folder now.
        failed: why the others are not, and how many; an example address each.
    """

    folder: Path
    addresses: int
    here: int
    failed: Mapping[str, tuple[int, str]]


class _NoPhotoError(Exception):
    """No photo at an address; the words say why."""


@dataclass(eq=False)
class _Host:
    """One host: its manners, and when it may be asked again."""

    client: httpx.Client
    root: str
    pause: float
    stopped: threading.Event
    due: float = 0.0
    robots: RobotFileParser | None = field(default=None)

    def photo(self, url: str) -> bytes:
        """The bytes at an address.

        Raises:
            _NoPhotoError: there are none to be had.
        """
        if self.robots is None:
            self.robots = self._read_robots()
            delay = self.robots.crawl_delay(AGENT)
            if delay is not None:
                self.pause = max(self.pause, min(float(delay), LONGEST_WAIT))
        if not self.robots.can_fetch(AGENT, url):
            raise _NoPhotoError("robots.txt forbids it")
        return self._get(url)

    def _read_robots(self) -> RobotFileParser:
        """RFC 9309: without the file all is allowed, while it cannot be had nothing is."""
        rules = RobotFileParser()
        try:
            text = self._get(f"{self.root}/robots.txt").decode("utf-8", "replace")
        except _NoPhotoError as error:
            missing = str(error).startswith("status 4") and str(error) != "status 429"
            text = "" if missing else "User-agent: *\nDisallow: /"
        rules.parse(text.splitlines())
        return rules

    def _get(self, url: str) -> bytes:
        import httpx  # a quarter of a second that reading data does not need

        for attempt in range(ATTEMPTS):
            self.stopped.wait(max(0.0, self.due - time.monotonic()))
            if self.stopped.is_set():
                raise _NoPhotoError("stopped")
            self.due = time.monotonic() + self.pause
            try:
                return self._once(url)
            except _NoPhotoError as error:
                wrong = error
                if not isinstance(error, _LaterError):
                    raise
                asked = error.seconds
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                wrong, asked = _NoPhotoError(f"no answer ({type(error).__name__})"), None
            pause = self.pause * 2**attempt if asked is None else asked
            self.due = time.monotonic() + min(pause, LONGEST_WAIT)
        raise _NoPhotoError(str(wrong))

    def _once(self, url: str) -> bytes:
        with self.client.stream("GET", url) as answer:
            status = answer.status_code
            if status == 429 or status >= 500:
                said = answer.headers.get("retry-after", "")
                raise _LaterError(f"status {status}", float(said) if said.isdecimal() else None)
            if status != 200:
                raise _NoPhotoError(f"status {status}")
            found = bytearray()
            for part in answer.iter_bytes():
                found += part
                if len(found) > LARGEST:
                    raise _NoPhotoError(f"more than {LARGEST // 2**20} MiB")
        return bytes(found)


class _LaterError(_NoPhotoError):
    """The server asks for patience."""

    def __init__(self, words: str, seconds: float | None) -> None:
        super().__init__(words)
        self.seconds = seconds


def fetch_photos(
    table: Path,
    out: Path,
    *,
    columns: Mapping[str, str] | None = None,
    dialect: Dialect | None = None,
    rate: float = 2.0,
    progress: Progress | None = None,
) -> Fetched:
    """Bring the photos of a table of addresses into a folder that ``load_photos`` reads.

    A photo is kept as ``images/HASH.SUFFIX`` by what it holds. ``fetched.jsonl`` is the journal:
    the same call goes on where it was killed, and asks again for what failed. ``labels.csv`` is the
    table with the file's name as ``image`` and the address as ``url``.

    Args:
        table: with a column of http(s) addresses; its other columns stay as they are.
        out: the folder.
        columns: ``{"url": NAME}`` where the column has no usual name.
        dialect: what the user says about the table.
        rate: requests per second to one host, at most; ``Crawl-delay`` may ask for fewer.
        progress: told about addresses.

    Raises:
        ConfigError: ``columns`` has another key.
        DataError: the table is broken or has no address.
    """
    opened = open_table(table, dialect=dialect, wanted=URL.names)
    hint = "--columns url=COLUMN"
    chosen = choose(opened.name, opened.columns, {"url": URL}, columns or {}, hint=hint)["url"]
    texts = {name: Field("text", needed=False, filled=False) for name in opened.columns}
    rows = opened.read(texts, {name: name for name in opened.columns}).rows
    listed = rows[chosen].str.strip_chars()
    urls = [one for one in listed.unique(maintain_order=True).drop_nulls() if one]
    if not any(_host(one) for one in urls):
        raise DataError(f"{table}: no http(s) address in the column {chosen!r}", hint=hint)
    known = _read_journal(out)
    failed: dict[str, str] = {}
    _fetch([one for one in urls if one not in known], out, known, failed, rate, progress)
    files = [known.get(one or "") for one in listed]
    labels = rows.drop(chosen).with_columns(
        pl.Series("image", files, dtype=pl.String), pl.Series("url", listed)
    )
    write_table(out / "labels.csv", labels)
    counts = Counter(failed.values())
    examples = {why: url for url, why in reversed(failed.items())}
    return Fetched(
        out,
        len(urls),
        len(urls) - len(failed),
        {why: (count, examples[why]) for why, count in counts.most_common()},
    )


def _host(url: str) -> str | None:
    """``scheme://host:port``; None for what is no web address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return f"{parts.scheme}://{parts.netloc}"


def _read_journal(out: Path) -> dict[str, str]:
    """Addresses whose photos are here. A line that a kill cut short is no line."""
    try:
        lines = (out / JOURNAL).read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        try:
            url, name = json.loads(line)
        except (ValueError, TypeError):
            continue
        if isinstance(url, str) and isinstance(name, str) and (out / name).is_file():
            found[url] = name
    return found


def _fetch(
    urls: Sequence[str],
    out: Path,
    known: dict[str, str],
    failed: dict[str, str],
    rate: float,
    progress: Progress | None,
) -> None:
    """Fetch into ``known``, or say in ``failed`` why not."""
    import httpx

    by_host: dict[str, list[str]] = {}
    for url in urls:
        host = _host(url)
        if host is None:
            failed[url] = "no http(s) address"
        else:
            by_host.setdefault(host, []).append(url)
    (out / "images").mkdir(parents=True, exist_ok=True)
    stopped, lock, total = threading.Event(), threading.Lock(), len(urls)
    headers = {"user-agent": AGENT, "accept": "image/*"}
    limits = {"timeout": 30.0, "follow_redirects": True, "max_redirects": 5, "headers": headers}

    with (
        (out / JOURNAL).open("a", encoding="utf-8") as journal,
        httpx.Client(**limits) as client,  # type: ignore[arg-type]
        ThreadPoolExecutor(HOSTS) as pool,
        strict_pillow(),
    ):
        journal.write("\n")  # ends a line that a kill cut short

        def all_of(root: str) -> None:
            host = _Host(client, root, 1 / rate, stopped)
            for url in by_host[root]:
                try:
                    name, why = _keep(host.photo(url), out, lock), ""
                except _NoPhotoError as error:
                    name, why = "", str(error)
                if stopped.is_set():
                    return
                with lock:
                    if why:
                        failed[url] = why
                    else:
                        known[url] = name
                        journal.write(json.dumps([url, name]) + "\n")
                        journal.flush()
                    if progress is not None:
                        progress("photos", len(failed) + len(known), total)

        jobs: list[Future[None]] = [pool.submit(all_of, root) for root in by_host]
        try:
            wait(jobs)
        finally:
            stopped.set()
        for job in jobs:
            job.result()


def _keep(data: bytes, out: Path, lock: threading.Lock) -> str:
    """Write a photo under its hash; its name in the folder.

    Raises:
        _NoPhotoError: the bytes are no photo.
    """
    photo = open_photo(data)
    if isinstance(photo, Fault):
        raise _NoPhotoError("no photo" if photo.kind == "broken" else "too many pixels")
    with Image.open(io.BytesIO(data)) as image:
        kind = image.format or ""
    suffix = _SUFFIXES.get(kind, f".{kind.lower()}")
    name = f"images/{hashlib.sha256(data).hexdigest()[:32]}{suffix}"
    with lock:  # another host may have the same photo
        if not (out / name).exists():
            atomic_write_bytes(out / name, data)
    return name
