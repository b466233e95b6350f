"""Whatever bytes a server sends, the client ends in a list or in one short sentence."""

from __future__ import annotations

from pathlib import Path

import httpcore
import httpx
import numpy as np
import pytest
from fuzzing import BOUNDED, corpus, near
from hypothesis import given
from hypothesis import strategies as st

from recsec.data.catalog import Catalog
from recsec.targets import HttpConfig, HttpTarget, PartialAnswer

CATALOG = Catalog.from_ids(range(1, 41))
SECRET = "tok-abc123"
PATHS = ("$.items", "$..items", "$.items[*]", "$", "$..*")
WORDS = (
    b"\r\n", b"\r\n\r\n", b"HTTP/1.1 ", b" 200 ", b"content-length: 99\r\n", b"transfer-encoding: ",
    b"content-encoding: gzip, gzip\r\n", b"location: http://[::1\r\n", b"location: //:99999\r\n",
    b"retry-after: 99999999999999999999\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"0\r\n\r\n",
    b"[" * 3000, b'{"items":', b"9" * 5000, b"\\ud800", b"\x1b[2J", b"\xe2\x80\xae", b"NaN",
    b"1e999", SECRET.encode(), b"tok%2Dabc123",
)  # fmt: skip


def wire(content: bytes) -> httpx.AsyncHTTPTransport:
    """A connection on which the server sends these bytes and hangs up."""
    transport = httpx.AsyncHTTPTransport(verify=False)  # reads no certificates: it is quicker
    backend = httpcore.AsyncMockBackend([content] if content else [])
    transport._pool = httpcore.AsyncConnectionPool(network_backend=backend)
    return transport


def answer(content: bytes, response: str = "$.items") -> list[int] | str:
    """The list, or what is said instead."""
    config = HttpConfig(url="http://127.0.0.1/r", response=response, auth_env="T", retries=0)
    target = HttpTarget(config, CATALOG, environ={"T": SECRET}, transport=wire(content))
    with target:
        try:
            lists = target.query("a", np.array([[3, 5]]), 3)
        except PartialAnswer as error:
            return f"{error.message} | {error.hint}"
    assert lists.shape == (1, 3)
    assert ((lists >= 0) & (lists <= len(CATALOG))).all()
    found: list[int] = lists[0].tolist()
    return found


@given(near("answers", words=WORDS), st.sampled_from(PATHS))
@BOUNDED
@pytest.mark.hostile(kind="server", what="mutated HTTP answers (fuzzed)", cases=120)
def test_mutated_answers(found: tuple[str, bytes], response: str) -> None:
    said = answer(found[1], response)
    if isinstance(said, str):
        assert said.isprintable()
        assert len(said) < 1000
        assert SECRET not in said
        assert "recsec cannot read" not in said, "an exception that nobody expected"


@pytest.mark.parametrize("path", corpus("answers"), ids=lambda path: path.stem)
def test_the_corpus_is_answered(path: Path) -> None:
    said = answer(path.read_bytes())
    expected = {
        "text-ids": "' 6 '",
        "deep": "finds nothing",
        "empty": [0, 0, 0],
        "redirect": "redirects to http://127.0.0.1/x;",
        "busy": "HTTP 429",
        "secret": "Bearer ***",
    }.get(path.stem, [4, 5, 6])
    assert said == expected or (isinstance(said, str) and str(expected) in said)
