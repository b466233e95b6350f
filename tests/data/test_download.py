"""Getting data: from a path, a mirror and a server, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from small_archives import csv_members, dat_members, pack

from recsec.data import download
from recsec.data.download import get
from recsec.data.sources.cache import locate, read_receipt
from recsec.data.sources.known import KNOWN
from recsec.errors import ConfigError, DataError


def files(cache: Path) -> set[str]:
    """What lies in the cache, locks aside."""
    return {path.name for path in cache.rglob("*") if path.is_file() and path.name != ".lock"}


def test_from_a_path_checked_by_content(small: Path, cache: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    receipt = get("ml-1m", source=small, progress=lambda *said: heard.append(said))
    content = small.read_bytes()
    assert receipt.path.read_bytes() == content
    assert receipt.checked == "content"
    assert receipt.sha256 == hashlib.sha256(content).hexdigest()
    assert (receipt.users, receipt.items, receipt.interactions) == (6, 6, 36)
    assert files(cache) == {"ml-1m.zip", "receipt.json"}
    assert heard[-1][1:] == (len(content), len(content))
    assert read_receipt(KNOWN["ml-1m"]) == receipt
    assert locate(KNOWN["ml-1m"]) == receipt.path


def test_the_publishers_own_archive_is_recognized(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    md5 = hashlib.md5(small.read_bytes()).hexdigest()
    monkeypatch.setitem(KNOWN, "ml-1m", KNOWN["ml-1m"].model_copy(update={"md5": md5}))
    assert get("ml-1m", source=small).checked == "publisher"


def test_the_mirror_needs_no_network_and_the_cache_no_mirror(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSEC_MIRROR", str(small.parent))
    monkeypatch.setattr(download, "_download", None)
    assert locate(KNOWN["ml-1m"]) == small
    assert get("ml-1m").source == str(small)
    monkeypatch.delenv("RECSEC_MIRROR")
    small.unlink()
    assert get("ml-1m").interactions == 36


def test_what_the_user_chose_wins_over_the_mirror(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other" / small.name
    other.parent.mkdir()
    other.write_bytes(small.read_bytes())
    monkeypatch.setenv("RECSEC_MIRROR", str(small.parent))
    receipt = get("ml-1m", source=other)
    assert receipt.source == str(other)
    assert locate(KNOWN["ml-1m"]) == receipt.path


def test_nothing_at_hand_says_what_to_do(cache: Path) -> None:
    with pytest.raises(DataError) as caught:
        locate(KNOWN["beauty"])
    assert caught.value.hint == "recsec data get beauty --from PATH"
    with pytest.raises(DataError, match="no address to download from"):
        get("beauty")
    with pytest.raises(DataError, match="only `recsec data get` downloads"):
        locate(KNOWN["ml-1m"], source="https://example.org/ml-1m.zip")
    with pytest.raises(ConfigError, match="no data set called 'ml-9'; known: ml-100k"):
        get("ml-9")
    with pytest.raises(ConfigError, match="made up when it is loaded"):
        get("synthetic:users=5")


def other_counts(path: Path) -> None:
    members = dat_members()
    members["ml-1m/ratings.dat"] += b"7::1::3::900000001\n"
    pack(path, members)


def malformed(path: Path) -> None:
    pack(path, dat_members() | {"ml-1m/ratings.dat": b"1::2::3::4\n1::2\n"})


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def no_ratings(path: Path) -> None:
    pack(path, {"ml-1m/movies.dat": b""})


BREAKAGES: dict[Callable[[Path], None], str] = {
    other_counts: "holds 7 users, 6 items and 37 interactions, expected 6 users",
    malformed: "ratings.dat, line 2: found '1::2'",
    truncated: "not a whole zip archive",
    no_ratings: "has no member ratings.dat",
    Path.unlink: "no file",
}


@pytest.mark.parametrize(("damage", "said"), BREAKAGES.items())
def test_a_broken_archive_leaves_the_cache_as_it_was(
    small: Path, cache: Path, tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    before = get("ml-1m", source=small)
    broken = tmp_path / "other" / "ml-1m.zip"
    broken.parent.mkdir()
    broken.write_bytes(small.read_bytes())
    damage(broken)
    with pytest.raises(DataError) as caught:
        get("ml-1m", source=broken)
    assert said in caught.value.message
    assert str(broken) in caught.value.message
    assert "unfinished" not in caught.value.message
    assert get("ml-1m") == before
    assert files(cache) == {"ml-1m.zip", "receipt.json"}


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_nothing_behind(
    small: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, step: str, code: int
) -> None:
    def full(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(download.os, step, full)
        with pytest.raises(DataError, match="the disk is full") as caught:
            get("ml-1m", source=small)
    assert "RECSEC_CACHE" in str(caught.value.hint)
    assert files(cache) == set()
    assert get("ml-1m", source=small).interactions == 36


def test_a_cache_that_cannot_be_written(small: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="cannot write to the cache"):
        get("ml-1m", source=small)


def killed(source: Path) -> None:
    get(
        "ml-latest-small",
        source=source,
        progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL),
    )


def test_a_killed_process_leaves_nothing_that_counts(latest: Path, cache: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=killed, args=(latest,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert len(files(cache)) == 1
    with pytest.raises(DataError, match="not in the cache"):
        locate(KNOWN["ml-latest-small"])
    assert get("ml-latest-small", source=latest).interactions == 36
    assert files(cache) == {"ml-latest-small.zip", "receipt.json"}


def test_an_archive_without_its_receipt_does_not_count(small: Path, cache: Path) -> None:
    receipt = get("ml-1m", source=small)
    (cache / "ml-1m" / "receipt.json").unlink()
    assert read_receipt(KNOWN["ml-1m"]) is None
    get("ml-1m", source=small)
    receipt.path.write_bytes(b"changed afterwards")
    assert read_receipt(KNOWN["ml-1m"]) is None


def at_once(source: Path, results: multiprocessing.Queue[str]) -> None:
    results.put(get("ml-latest-small", source=source).sha256)


def test_several_processes_at_once(latest: Path, tmp_path: Path, cache: Path) -> None:
    other = pack(tmp_path / "other.zip", csv_members() | {"ml/README.txt": b"another packing"})
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    sources = [latest, other, latest, other]
    processes = [context.Process(target=at_once, args=(path, results)) for path in sources]
    for process in processes:
        process.start()
    found = {results.get(timeout=120) for _ in processes}
    for process in processes:
        process.join(60)
    assert found == {hashlib.sha256(path.read_bytes()).hexdigest() for path in (latest, other)}
    receipt = read_receipt(KNOWN["ml-latest-small"])
    assert receipt is not None
    assert hashlib.sha256(receipt.path.read_bytes()).hexdigest() == receipt.sha256
    assert files(cache) == {"ml-latest-small.zip", "receipt.json"}


class Publisher(BaseHTTPRequestHandler):
    """A server on loopback that serves one archive well or badly."""

    content = b""
    status = 200
    promised: int | None = None

    def do_GET(self) -> None:
        self.send_response(self.status)
        length = len(self.content) if self.promised is None else self.promised
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def publisher(small: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Publisher]]:
    """The publisher of ``ml-1m``, with the right checksum."""
    handler = type("Handler", (Publisher,), {"content": small.read_bytes()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        md5 = hashlib.md5(handler.content).hexdigest()
        url = f"http://127.0.0.1:{server.server_port}/ml-1m.zip"
        served = KNOWN["ml-1m"].model_copy(update={"url": url, "md5": md5})
        monkeypatch.setitem(KNOWN, "ml-1m", served)
        yield handler
        server.shutdown()
        thread.join()


def test_a_download(publisher: type[Publisher], cache: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    receipt = get("ml-1m", progress=lambda *said: heard.append(said))
    assert receipt.checked == "publisher"
    assert receipt.path.read_bytes() == publisher.content
    assert receipt.source == KNOWN["ml-1m"].url
    assert (len(publisher.content), len(publisher.content)) in {said[1:] for said in heard}


def test_a_wrong_checksum_is_refused(
    publisher: type[Publisher], tmp_path: Path, cache: Path
) -> None:
    repacked = pack(tmp_path / "new.zip", dat_members() | {"ml-1m/README": b"other terms"})
    publisher.content = repacked.read_bytes()
    with pytest.raises(DataError, match=r"wrong checksum: .* its publisher says"):
        get("ml-1m")
    assert files(cache) == set()
    url = str(KNOWN["ml-1m"].url)
    assert get("ml-1m", source=url.replace("ml-1m.zip", "elsewhere")).checked == "content"


@pytest.mark.parametrize(("status", "promised"), [(404, None), (500, None), (200, 10**6)])
def test_a_failed_download(
    publisher: type[Publisher], cache: Path, status: int, promised: int | None
) -> None:
    publisher.status, publisher.promised = status, promised
    with pytest.raises(DataError, match=r"the download of http://127\.0\.0\.1:.* failed") as caught:
        get("ml-1m")
    assert "--from PATH" in str(caught.value.hint)
    assert files(cache) == set()


def test_other_kinds_of_addresses_are_refused(small: Path) -> None:
    with pytest.raises(DataError, match="only http and https"):
        get("ml-1m", source="ftp://127.0.0.1/ml-1m.zip")
