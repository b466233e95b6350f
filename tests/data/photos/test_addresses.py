"""Photos by address: kept once, resumed, polite, and nothing but photos."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from recsec.data import fetch_photos, load_photos
from recsec.data.photos import addresses
from recsec.errors import DataError


def photo(seed: int, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


class Shop(ThreadingHTTPServer):
    """Answers by path; counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.pages: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        shop = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                shop.asked.append(self.path)
                status, body, headers = shop.pages.get(self.path, (404, b"", {}))
                if status == 503 and shop.asked.count(self.path) > 1:
                    status, body = 200, photo(9)
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def listed(shop: Shop, tmp_path: Path) -> Path:
    """Eight rows of a shop, half of which work."""
    shop.pages |= {
        "/robots.txt": (200, b"User-agent: *\nDisallow: /private/", {}),
        "/a.png": (200, photo(1), {}),
        "/again.png": (200, photo(1), {}),
        "/b": (200, photo(2, "JPEG"), {}),
        "/moved": (302, b"", {"location": "/b"}),
        "/busy.png": (503, b"", {"retry-after": "0"}),
        "/page.jpg": (200, b"<html>", {}),
        "/private/c.png": (200, photo(3), {}),
    }
    paths = ["/a.png", "/again.png", "/b", "/moved", "/busy.png"]
    paths += ["/page.jpg", "/private/c.png", "/gone.png"]
    urls = [*(shop.url + path for path in paths), "ftp://shop/x.png", None]
    table = pl.DataFrame({"sku": [f"s{at}" for at in range(10)], "image_url": urls, "type": "shoe"})
    table.write_csv(tmp_path / "shop.csv")
    return tmp_path / "shop.csv"


@pytest.mark.hostile(kind="server", what="addresses of pages, private files and other protocols")
def test_a_list_becomes_a_catalog(shop: Shop, listed: Path, tmp_path: Path) -> None:
    found = fetch_photos(listed, tmp_path / "out", rate=1000)
    assert (found.addresses, found.here) == (9, 5)
    assert {why: count for why, (count, _) in found.failed.items()} == {
        "no photo": 1,
        "robots.txt forbids it": 1,
        "status 404": 1,
        "no http(s) address": 1,
    }
    assert "/private/c.png" not in shop.asked
    assert shop.asked.count("/busy.png") == 2
    labels = pl.read_csv(tmp_path / "out" / "labels.csv")
    assert labels.columns == ["sku", "type", "image", "url"]
    assert labels["image"].is_not_null().to_list() == [True] * 5 + [False] * 5
    assert labels["image"][0] == labels["image"][1]
    assert labels["image"][2].endswith(".jpg")
    photos = load_photos(str(tmp_path / "out"), columns={"id": "sku", "category": "type"})
    assert sorted(photos.table["id"]) == ["s0", "s2", "s4"]


def test_the_same_call_asks_only_for_what_failed(
    shop: Shop, listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_photos(listed, tmp_path / "out", rate=1000)
    journal = tmp_path / "out" / addresses.JOURNAL
    lost = json.loads(journal.read_text().splitlines()[1])
    (tmp_path / "out" / lost[1]).unlink()
    journal.write_text(journal.read_text() + '["http://cut')
    shop.pages["/gone.png"] = (200, photo(4), {})
    shop.asked.clear()
    found = fetch_photos(listed, tmp_path / "out", rate=1000)
    assert found.here == 6
    again = {"/a.png", "/again.png", "/gone.png", "/page.jpg", "/robots.txt"}
    assert set(shop.asked) == again


@pytest.mark.hostile(kind="server", what="a photo without end, a wait of years, no robots.txt")
def test_limits(shop: Shop, listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "LARGEST", 500)
    monkeypatch.setattr(addresses, "LONGEST_WAIT", 0.01)
    shop.pages["/a.png"] = (200, bytes(600), {})
    shop.pages["/b"] = (429, b"", {"retry-after": "99999999"})
    found = fetch_photos(listed, tmp_path / "out", rate=1000)
    assert {"more than 0 MiB", "status 429"} <= set(found.failed)
    assert shop.asked.count("/b") == 2 * addresses.ATTEMPTS  # once more as /moved
    shop.pages["/robots.txt"] = (500, b"", {})
    shop.asked.clear()
    fetch_photos(listed, tmp_path / "other", rate=1000)
    assert set(shop.asked) == {"/robots.txt"}


def test_no_address_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("sku,image\n1,a.png\n")
    with pytest.raises(DataError, match=r"no http\(s\) address in the column 'image'"):
        fetch_photos(tmp_path / "t.csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()
