"""Every command that prints what others wrote: nothing of it steers the terminal or is markup."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from PIL import Image
from small_photos import encode, picture

from recsec.cli.main import main

EVIL = "[/][bold]x\x1b[31m\x9b2J\u202ey\x07<b>"
"""Markup that closes nothing and markup that opens, ESC, C1, right-to-left, a bell, HTML."""
MARKUP = "[/][bold]x"
STEERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
SIZE = ["size=16", "stem=8", "widths=[8, 16]", "epochs=1", "batch_size=16"]

Run = Callable[..., str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a log, photos, a callable and models, all with hostile names."""
    folder = tmp_path_factory.mktemp("world")
    rows = [
        f"{EVIL}{user},{EVIL}{(user + step) % 20},{step}" for user in range(60) for step in range(8)
    ]
    (folder / "log[a].csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    shop = folder / "shop[b]"
    (shop / "images").mkdir(parents=True)
    labels = ["id,category,title,image"]
    for at in range(60):
        (shop / "images" / f"{at}.png").write_bytes(encode(picture(at)))
        labels.append(f"{EVIL}{at},{EVIL}{at % 3},{EVIL} {at},images/{at}.png")
    (shop / "labels.csv").write_text("\n".join(labels) + "\n")
    (folder / "evil_api.py").write_text(
        f"EVIL = {EVIL!r}\n"
        "def fails(histories, k):\n"
        "    raise ValueError(EVIL)\n"
        "def lies(histories, k):\n"
        "    return [[EVIL] for _ in histories]\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for words in (
            ["train", "markov", "--data", "log[a].csv", "--out", "markov[c]"],
            ["train", "popularity", "--data", "log[a].csv", "--out", "popular[/c]"],
            ["train", "encoder", "--data", "shop[b]", "--out", "encoder[d]", "--device", "cpu"]
            + [word for setting in SIZE for word in ("--set", setting)],
        ):
            assert main([*words, "--quiet"]) == 0
    return folder


@pytest.fixture
def run(world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command twice, for people and as JSON; returns what the first one said."""
    monkeypatch.chdir(world)
    monkeypatch.syspath_prepend(str(world))
    monkeypatch.setenv("COLUMNS", "400")

    def both(*words: str, code: int = 0, stdin: str = "", json_lines: bool = True) -> str:
        said = []
        for more in ([], ["--json"], ["--debug"])[: 3 if json_lines else 1]:
            monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
            assert main([*words, *more]) == code, capsys.readouterr().err
            streams = capsys.readouterr()
            for stream in streams:
                assert STEERS.search(stream) is None
            said.append(streams.out + streams.err)
            if more == ["--json"]:
                assert [json.loads(line) for line in streams.out.splitlines()]
        return said[0]

    return both


pytestmark = pytest.mark.hostile(
    kind="text", what="markup, ESC, C1 and bidirectional marks in ids, titles, paths and errors"
)


def test_data(run: Run) -> None:
    run("data", "analyze", "log[a].csv")
    assert MARKUP in run("data", "analyze", "shop[b]")
    assert f"absent{MARKUP}" in run("data", "analyze", f"absent{EVIL}.csv", code=3)


def test_train_prints_the_folder_that_is_there(run: Run) -> None:
    said = run("train", "markov", "--data", "log[a].csv", "--out", "outs[a]")
    assert re.search(r"^checkpoint: outs\[a\]$", said, re.MULTILINE)
    assert Path("outs[a]").is_dir()
    assert "checkpoint: out[/]" in run("train", "markov", "--data", "log[a].csv", "--out", "out[/]")


def test_wrong_words(run: Run) -> None:
    given = ["--data", "log[a].csv", "--out", "o"]
    for words in (
        ["list", EVIL],
        ["train", EVIL, *given],
        ["train", "markov", *given, f"--{EVIL}"],
    ):
        assert MARKUP in run(*words, code=2)


def test_evaluate(run: Run) -> None:
    run("evaluate", "--model", "markov[c]", "--data", "log[a].csv")
    for function, code in (("fails", 3), ("lies", 3)):
        words = ["evaluate", "--model", f"callable:evil_api:{function}", "--data", "log[a].csv"]
        assert MARKUP in run(*words, "--users", "5", code=code)
    assert MARKUP in run("evaluate", "--model", f"absent{EVIL}", "--data", "log[a].csv", code=3)


def test_recommend(run: Run) -> None:
    lines = f"popular 3\nsearch x\nadd {EVIL}1\nrecommend 3\nshow\n{EVIL}\nadd {EVIL}\n"
    words = ["recommend", "--model", "markov[c]", "--data", "log[a].csv"]
    assert MARKUP in run(*words, stdin=lines)
    said = run("recommend", "--model", "callable:evil_api:fails", *words[3:], stdin=lines)
    assert MARKUP in said


def test_compare(run: Run) -> None:
    words = ["compare", "--data", "log[a].csv", "--model", "markov[c]"]
    assert MARKUP in run(*words, "--model", "popular[/c]", "--history", f"{EVIL}1,{EVIL}2")
    assert MARKUP in run(*words, "--model", "callable:evil_api:fails", "--users", "5", code=3)


def test_detect(run: Run) -> None:
    fit = ["detect", "fit", "--model", "markov[c]", "--data", "log[a].csv", "--out", "D[e]"]
    run(*fit, "--queries", "5")
    run(
        "data",
        "traffic",
        "log[a].csv",
        "--model",
        "markov[c]",
        "--out",
        "t[f].parquet",
        "--users",
        "9",
    )
    log = pl.read_parquet("t[f].parquet", glob=False)
    log.with_columns(account=pl.lit(EVIL) + pl.col("account").cast(pl.String)).write_parquet(
        "e[q].parquet"
    )
    assert MARKUP in run("detect", "e[q].parquet", "--detectors", "D[e]")


def test_extract_audit_and_report(run: Run, world: Path) -> None:
    words = ["extract", "--model", "callable:evil_api:fails", "--data", "log[a].csv"]
    assert MARKUP in run(*words, "--calls", "20", "--out", "x[g]", code=3)
    (world / "plan[h].toml").write_text(
        '[target]\nmodel = "markov[c]"\ndata = "log[a].csv"\ntwins = 0\n'
        '[extraction]\npolicies = "mixed"\ncalls = [20]\nseeds = 0\nlength = 5\nsessions = 4\n'
        "surrogate_settings = { embedding_dim = 8, blocks = 1, max_length = 5, epochs = 1 }\n"
        '[evaluation]\nresamples = 100\n[gate]\nfail_at = "never"\n'
        '[engine]\nworkers = 1\ndevice = "cpu"\n'
    )
    assert "run[i]" in run("audit", "plan[h].toml", "--out", "run[i]")
    assert "page[/j]" in run("report", "run[i]", "--out", "page[/j]")
    unnamed = (world / "plan[h].toml").read_text().replace('"mixed"', json.dumps(EVIL))
    (world / "evil.toml").write_text(unnamed)
    assert MARKUP in run("audit", "evil.toml", "--out", "run2", code=2)


def test_verify(run: Run, world: Path) -> None:
    assert "key[k]" in run("verify", "keygen", "--out", "key[k]", json_lines=False)
    words = ["verify", "--key", "key[k]", "--data", "log[a].csv", "--queries", "20"]
    assert "p = " in run(*words, "--suspect", "markov[c]", "--control", "popular[/c]")
    assert MARKUP in run(*words, "--suspect", "callable:evil_api:fails", code=3)


@pytest.mark.filterwarnings("ignore:Glyph")
def test_photos(run: Run, world: Path) -> None:
    given = ["--model", "encoder[d]", "--data", "shop[b]"]
    run("evaluate", *given)
    assert MARKUP in run("similar", *given, "--item", f"{EVIL}3", "--out", "sheet[l].png")
    assert MARKUP in run("similar", *given, "--item", EVIL, "--out", "sheet.png", code=3)
    pair = ["--item", f"{EVIL}3", "--target-item", f"{EVIL}4", "--attack", "fgsm"]
    assert "one[m]" in run("evade", *given, *pair, "--out", "one[m]", "--device", "cpu")
    assert "many[n]" in run(
        "evade", *given, "--attack", "fgsm", "--n", "2", "--stage", "valid", "--out", "many[n]",
        "--device", "cpu",
    )  # fmt: skip
    Image.open("shop[b]/images/3.png").save("up[o].png")
    assert MARKUP in run("screen", "up[o].png", "--listing", f"{EVIL}3", *given)
    run("certify", *given, "--pairs", "2", "--draws", "100")
    words = ["harden", *given, "--method", "fast", "--out", "hard[p]", "--device", "cpu"]
    assert "hard[p]" in run(*words, "--set", "epochs=1", json_lines=False)
