"""Servers that mean harm, met by the commands: one sentence, the right exit code, no secret."""

from __future__ import annotations

import json
import re
from pathlib import Path

import liar
import pytest
from liar import Liar, status

from recsec.cli.main import main

SECRET = 'pa"ss-wd-123'
HALVES = re.compile("pa.{0,6}ss-wd|ss-wd-123|cGEic3Mtd2QtMTIz", re.IGNORECASE)


@pytest.fixture
def server():
    with Liar() as running:
        yield running


@pytest.fixture
def log(tmp_path: Path) -> str:
    rows = [f"{user},{(user + step) % 40 + 1},{step}" for user in range(80) for step in range(8)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["user,item,time", *rows]) + "\n")
    return str(path)


def evaluate(model: object, log: str, *more: str) -> int:
    return main(["evaluate", "--model", str(model), "--data", log, "--users", "3", *more])


@pytest.mark.hostile(kind="server", what="3xx without a place to go")
@pytest.mark.parametrize(
    ("code", "place"),
    [
        (304, None),
        (300, None),
        (302, None),
        (302, "http://[::1"),
        (302, "http://127.0.0.1:99999/x"),
        (302, "data:text/plain,hi"),
    ],
)
def test_a_redirect_without_a_place_is_a_status_like_others(
    server: Liar, log: str, capsys: pytest.CaptureFixture[str], code: int, place: str | None
) -> None:
    server.otherwise = status(code, b"", **({} if place is None else {"location": place}))
    assert evaluate(server.url, log) == 3
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("error:")] == [
        f"error: {server.url} answered HTTP {code}: nothing"
    ]


@pytest.mark.hostile(kind="server", what="a secret that ends in a line end")
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_a_secret_with_a_line_end_is_refused_before_any_request(
    server: Liar,
    log: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    end: str,
) -> None:
    target = tmp_path / "target.toml"
    target.write_text(f'url = "{server.url}"\nauth_env = "SHOP_TOKEN"\n')
    monkeypatch.setenv("SHOP_TOKEN", f"tok-abc123{end}")
    assert evaluate(target, log) == 2
    header = tmp_path / "header.toml"
    header.write_text(f'url = "{server.url}"\n[headers]\nX-Key = {json.dumps("s3cr3t" + end)}\n')
    assert evaluate(header, log) == 2
    told = capsys.readouterr().err
    assert "the value of SHOP_TOKEN (of the header Authorization) holds a character that" in told
    assert "the value of X-Key holds a character that no header may hold" in told
    assert "tok" not in told
    assert "s3cr3t" not in told
    assert server.seen == []


@pytest.mark.hostile(kind="server", what="the secret repeated in a list, an error or a redirect")
@pytest.mark.parametrize("whence", ["id", "page", "redirect", "header"])
def test_a_repeated_secret_is_in_no_output_and_no_file(
    server: Liar,
    log: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    whence: str,
) -> None:
    """The thief meets it, so that there is a run directory, and a report of what failed."""
    echoes = {
        "id": lambda h: h.send(json.dumps({"items": [h.headers["A"]]}).encode()),
        "page": lambda h: h.send(repr(h.headers["A"]).encode(), status=400),
        "redirect": lambda h: h.send(b"", status=302, headers={"location": "/pa%22ss-wd-123"}),
        "header": lambda h: h.connection.sendall(
            b"HTTP/1.1 200 OK\r\n" + h.headers["A"].encode() + b" : 1\r\n\r\n"
        ),
    }

    def later(handler: liar.Handler) -> None:
        if handler.body["account"] in ("owner", "preflight"):
            return liar.good(handler)
        handler.close_connection = True
        return echoes[whence](handler)

    server.otherwise = later
    target = tmp_path / "target.toml"
    target.write_text(
        f'url = "{server.url}"\nauth_env = "SHOP_TOKEN"\nauth_header = "A"\nauth_prefix = ""\n'
        'retries = 0\nrequest = {history = "{history}", k = "{k}", account = "{account}"}\n'
    )
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    out = tmp_path / "run"
    words = ["extract", "--model", str(target), "--data", log, "--out", str(out), "--calls", "200"]
    assert main([*words, "--debug"]) in (3, 4)
    assert "***" in (out / "report.json").read_text()
    streams = capsys.readouterr()
    assert not HALVES.search(streams.out + streams.err)
    files = [path for path in out.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert not HALVES.search(path.read_bytes().decode("latin-1")), path
