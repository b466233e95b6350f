"""Words on the command line that name too much, the same twice, or nothing that is a number."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsec.cli.main import main
from recsec.data.photos.files import Fault, open_photo

DATA = ["--data", "synthetic:users=60,items=40,length=8"]


@pytest.mark.hostile(kind="words", what="a list as long as memory, a setting twice, NaN to a guard")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evaluate", "--model", "m", *DATA, "--k", "1000000000"], "the catalog has"),
        (
            ["train", "markov", "--data", "synthetic:users=9,users=99", "--out", "x"],
            "users is given twice",
        ),
        (
            ["extract", "--model", "m", *DATA, "--out", "x", "--guard", "quantize:near=nan"],
            "near",
        ),
    ],
)
def test_words_that_mean_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "popularity", *DATA, "--out", "m", "-q"]) == 0
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main(words) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert said in told
    assert "should not" not in told
    assert sorted(path.name for path in tmp_path.iterdir()) == before, "nothing is left behind"


@pytest.mark.hostile(kind="photos", what="text, nothing and noise under the name of a photo")
@pytest.mark.parametrize("content", [b"<html>", b"", bytes(range(256)), b"%PDF-1.7"])
def test_what_is_no_image_is_said_to_be_none(content: bytes) -> None:
    found = open_photo(content)
    assert isinstance(found, Fault)
    assert "cannot identify" in found.reason
