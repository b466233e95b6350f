"""A server that means harm: it gets one deadline, one size, and nothing that it asks for."""

from __future__ import annotations

import gc
import gzip
import json
import socket
import threading
import time
import tracemalloc
import warnings
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import liar
import numpy as np
import pytest
from liar import good_list, raw, status

from recsec.errors import ConfigError, TargetError
from recsec.targets import HttpConfig, HttpTarget, PartialAnswer
from recsec.targets.http import addresses, exchange, patience, sender

HISTORIES = np.array([[3, 5, 0], [8, 0, 0], [1, 2, 9]])
LIMIT = 0.4


def without_end(start, piece, *, every=0.02):
    """Sends ``start``, then ``piece`` again and again until somebody hangs up."""

    def behavior(handler):
        handler.close_connection = True
        try:
            handler.connection.sendall(start)
            while not handler.server.released.wait(every):
                handler.connection.sendall(piece)
        except OSError:
            return

    return behavior


STORED_NOTHING = b"\x00\x00\x00\xff\xff"  # a block of deflate that holds no byte
CHUNKED_GZIP = (
    b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
    b"a\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\r\n"
)


@pytest.mark.hostile(kind="server", what="an answer without end, byte by byte")
@pytest.mark.parametrize(
    "behavior",
    [
        without_end(b"HTTP/1.1 200 OK\r\n", b"x"),
        without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, every=0),
        without_end(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n", b" "),
        without_end(b"HTTP/1.1 200 OK\r\n\r\n", b" "),
        without_end(CHUNKED_GZIP, b"5\r\n" + STORED_NOTHING + b"\r\n"),
        without_end(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1;a=b\r\n \r\n"),
        without_end(b"HTTP/1.1 500 Oops\r\ncontent-length: 5000\r\n\r\n", b" "),
        liar.slow,
    ],
    ids=[
        "header", "continue", "continues", "body", "body to the end", "gzip of nothing", "chunks",
        "error page", "silence",
    ],
)  # fmt: skip
def test_one_deadline_ends_the_whole_attempt(server, ask, behavior):
    server.otherwise = behavior
    began = time.monotonic()
    with pytest.raises(TargetError, match=f"no response within {LIMIT} s"):
        ask(timeout=LIMIT)
    assert time.monotonic() - began < 100 * LIMIT
    assert len(server.seen) == 1


@pytest.fixture
def deaf():
    """A port that takes connections and reads nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        taken = []
        thread = threading.Thread(target=lambda: taken.append(listening.accept()), daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(5)
        for connection, _ in taken:
            connection.close()


@pytest.mark.hostile(kind="server", what="a request that is not read, a handshake that never ends")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_deadline_holds_before_there_is_an_answer(deaf, ask, scheme):
    began = time.monotonic()
    with pytest.raises(TargetError, match=f"no response within {LIMIT} s"):
        ask(
            timeout=LIMIT,
            url=f"{scheme}://127.0.0.1:{deaf}/r",
            request={"history": "{history}", "ballast": "x" * 8_000_000},
        )
    with warnings.catch_warnings():  # httpcore leaves a cut handshake to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    assert time.monotonic() - began < 100 * LIMIT


def bomb(layers):
    """Zeros by the gigabyte in few bytes."""
    content = gzip.compress(bytes(100_000_000), 9)
    for _ in range(layers - 1):
        content = gzip.compress(content, 9)
    return content


@pytest.mark.hostile(kind="server", what="a small answer that unpacks to gigabytes")
@pytest.mark.parametrize(
    ("encoding", "content", "words"),
    [
        ("gzip", bomb(1), "answered more than 1,000,000 bytes in gzip"),
        ("gzip, gzip", bomb(2), "the content encoding 'gzip, gzip' where none was asked for"),
        ("deflate", zlib.compress(b"[1]"), "content encoding 'deflate'"),
        ("br", b"\x0b\x01\x80[1]\x03", "content encoding 'br'"),
        ("zstd", b"(\xb5/\xfd", "content encoding 'zstd'"),
        ("gzip", b"[1]", "answered what is no gzip"),
        (
            "gzip",
            gzip.compress(b'{"items": [1]}', mtime=0)[:-9],
            "answered gzip that ends too early",
        ),
    ],
)
def test_encodings_are_bounded(server, ask, encoding, content, words):
    server.otherwise = status(200, content, content_encoding=encoding)
    tracemalloc.start()
    try:
        with pytest.raises(TargetError, match=words):
            ask()
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["gzip", "X-GZIP", "identity", ""])
def test_no_encoding_is_asked_for_and_one_gzip_is_read(server, ask, encoding):
    content = json.dumps({"items": [4, 5]}).encode()
    content = gzip.compress(content) if "gzip" in encoding.lower() else content
    server.otherwise = status(200, content, content_encoding=encoding)
    assert ask().tolist() == [[4, 5, 0]]
    assert server.seen[0][2]["accept-encoding"] == "identity"


@pytest.mark.hostile(kind="server", what="a redirect to nowhere, to itself, to another host")
@pytest.mark.parametrize("code", [300, 301, 302, 303, 304, 305, 307, 308])
@pytest.mark.parametrize(
    "place",
    [
        None, "", "http://[::1", "http://127.0.0.1:99999/x", "http://127.0.0.1:-1/x", "data:,hi",
        "javascript:alert(1)", "file:///etc/passwd", "https://a\x80b/", "?" * 9000, "//",
        "/recommend", "/elsewhere", "https://127.0.0.1/", "http://169.254.169.254/latest/",
    ],
)  # fmt: skip
def test_no_redirect_is_followed(server, ask, code, place):
    named = {} if place is None else {"location": place}
    server.otherwise = status(code, b"", **named)
    with pytest.raises(TargetError, match=f"answered HTTP {code}: ") as caught:
        ask(retries=2)
    assert len(server.seen) == 1
    assert ("redirects to" in caught.value.message) == (
        place is not None and place.startswith(("/", "https://1", "http://169", "?"))
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:65536/", "http://127.0.0.1:-1/", "http://[::1/", "http://:80/",
        "http://localhost:0/", "http:///x", "http://xn--ls8h\x00.example/",
        "https://" + "a" * 70_000, "http://ann@localhost/",
    ],
)  # fmt: skip
def test_addresses_that_are_none(catalog, url):
    with pytest.raises(ConfigError, match="url: "):
        HttpTarget.from_spec(url, catalog)


@pytest.mark.parametrize("url", ["http://127.0.0.1\\@evil.example/", "http://127.0.0.1#@e.example"])
def test_what_is_called_loopback_is_what_is_asked(catalog, url):
    try:
        target = HttpTarget.from_spec(url, catalog)
    except ConfigError:
        return
    assert addresses.parsed_url(url).host == "127.0.0.1"
    target.close()


@pytest.mark.hostile(kind="server", what="an absurd Retry-After")
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("9" * 400, float("inf")),
        ("1e999", None),
        ("-3", None),
        ("²", None),
        ("٣", None),
        ("nan", None),
        ("", None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("Fri, 99 Foo 2030 99:99:99 +9999", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Mon, 01 Jan 0000 00:00:00 GMT", 0.0),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0),
        ("1" * 5000 + " Jan 2030 00:00 GMT", None),
    ],
)
def test_what_retry_after_asks_for(text, seconds):
    assert patience.retry_after(text) == seconds


def test_a_retry_date_at_the_end_of_time_ends_the_run(server, ask):
    until = format_datetime(datetime.max.replace(tzinfo=UTC) - timedelta(days=1))
    server.otherwise = status(429, retry_after=until)
    with pytest.raises(TargetError, match=r"asks to wait \d{10,} s, more than max_wait"):
        ask(retries=3)


@pytest.mark.hostile(kind="server", what="cookies that tell one request from the next")
def test_cookies_are_not_kept(server, ask):
    def baking(handler):
        answer = {"items": good_list(handler.body["history"], handler.body["k"])}
        cookie = {"set-cookie": "sid=1; Path=/; Expires=Fri, 99 Foo 99999 00:00:00 GMT"}
        handler.send(json.dumps(answer).encode(), headers=cookie)

    server.otherwise = baking
    ask(HISTORIES)
    assert [headers.get("cookie") for _, _, headers, _ in server.seen] == [None] * 3


@pytest.mark.hostile(kind="server", what="ids that only look like numbers")
@pytest.mark.parametrize(
    "item",
    [" 10 ", "+10", "010", "1_0", "１０", "٣", "10\n", "10.0", "1e1", "", "0x0a"],
)
def test_an_id_is_the_number_only_when_it_is_written_so(server, ask, item):
    server.otherwise = liar.answers({"items": ["9", item]})
    with pytest.raises(TargetError, match="answered an unknown item"):
        ask()


@pytest.mark.hostile(kind="server", what="JSON made to break its reader")
@pytest.mark.parametrize(
    "content",
    [
        b'{"items": [' + b"1" * 5000 + b"]}",
        b'{"items": [1e999, -1e999]}',
        b'{"items": ["\\ud800"]}',
        b'{"items": ["\\u001b[2J\\u202e"]}',
        b'{"items": ' * 900 + b"1" + b"}" * 900,
        b"[" * 900 + b"]" * 900,
        b'{"items": ["' + b"x" * 900_000 + b'"]}',
        b'{"items": [NaN, Infinity]}',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe\x00",
        b"\x00" * 1000,
    ],
    ids=range(11),
)
def test_its_words_are_short_printable_and_no_defect_of_ours(server, ask, content):
    server.otherwise = raw(content)
    for path in ("$.items", "$..items", "$[*]", "$.items[*].id"):
        with pytest.raises(TargetError) as caught:
            ask(response=path)
        assert "recsec cannot read" not in caught.value.message
        assert len(caught.value.message) < 1000
        assert caught.value.message.isprintable()


@pytest.mark.hostile(kind="server", what="HTTP that breaks its own rules")
@pytest.mark.parametrize(
    "content",
    [
        b"hello\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: \x1b[2J\r\n y\x00\r\n\r\n",
        b"",
    ],
    ids=range(11),
)
def test_broken_http_is_an_error_of_the_target(server, ask, content):
    def behavior(handler):
        handler.close_connection = True
        handler.connection.sendall(content)

    server.otherwise = behavior
    with pytest.raises(TargetError) as caught:
        ask()
    assert "recsec cannot read" not in caught.value.message
    assert len(caught.value.message) < 1000
    assert caught.value.message.isprintable()


def test_rows_answered_are_kept_whatever_comes_next(server, ask, monkeypatch):
    def broken(*_, **__):
        raise OverflowError("no such number")

    server.script.extend([liar.good, status(429, retry_after="1")])
    monkeypatch.setattr(sender, "retry_after", broken)
    with pytest.raises(PartialAnswer, match=r"recsec cannot read .* \(OverflowError: no such") as e:
        ask(HISTORIES)
    assert e.value.answered.tolist() == [True, False, False]
    np.testing.assert_array_equal(e.value.lists[0], good_list([3, 5], 3))
    assert "test_hostile_server.py:" in e.value.hint


@pytest.mark.parametrize("closed", [True, False])
def test_no_thread_outlives_a_target(server, catalog, closed):
    def carrying():
        return [thread for thread in threading.enumerate() if thread.name == exchange.THREAD]

    target = HttpTarget(HttpConfig(url=server.url), catalog)
    target.query("a", HISTORIES, 3)
    assert len(carrying()) == 1
    if closed:
        target.close()
    del target
    gc.collect()
    assert carrying() == []
