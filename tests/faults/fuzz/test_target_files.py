"""Whatever a target's TOML file holds, it opens or is explained, and no secret of it is shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fuzzing import BOUNDED, corpus, near
from hypothesis import given

from recsec.data.catalog import Catalog
from recsec.errors import RecsecError
from recsec.targets import HttpTarget, open_target

CATALOG = Catalog.from_ids(range(1, 41))
SECRETS = ("abc-secret-1", "abc-secret-2", "dXNlcjphYmMtc2VjcmV0LTM=", "tok-abc123")
WORDS = (
    b'url = "', b"[headers]\n", b"\x00", b"[" * 2000, b"{a = " * 500, b"9" * 5000, b"nan", b"-inf",
    b"1979-05-27T07:32:00Z", b'"""', b"\\u0000", b"\\ud800", b"\xff", b"{history}",
    b"checkpoint = 1\n", b":99999", b"@", b"%zz", b"xn--", b"$..*", b"request = 1\n",
    b"a.b.c = 1\n", b"\r",
)  # fmt: skip


def opened(path: Path) -> str:
    """What can be seen of the file afterwards: the target, or the error that refuses it."""
    try:
        target = open_target(str(path), CATALOG)
    except RecsecError as error:
        return f"{error!r} {error.message} {error.hint}"
    if isinstance(target, HttpTarget):
        target.close()
        return f"{target!r} {target.config!r} {target.name}"
    return repr(target)


@given(near("targets", words=WORDS))
@BOUNDED
@pytest.mark.hostile(kind="server", what="mutated target files (fuzzed)", cases=120)
def test_mutated_target_files(
    tmp_path_factory: pytest.TempPathFactory, found: tuple[str, bytes]
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_bytes(found[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "SHOP_TOKEN", "tok-abc123")
        shown = opened(path)
    assert not any(secret in shown for secret in SECRETS)


@pytest.mark.parametrize("path", corpus("targets"), ids=lambda path: path.name)
def test_the_corpus_opens(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "tok-abc123")
    monkeypatch.chdir(tmp_path)
    assert ("HttpTarget" in opened(path)) == (path.name != "guarded.toml")
