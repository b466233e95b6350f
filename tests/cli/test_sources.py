"""The table of sources and commands, cell by cell; and ``--help`` offers what is opened."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from liar import Liar
from PIL import Image

from recsec.cli.main import COMMANDS, load_command, main
from recsec.data import load_photos
from recsec.sources import COMMANDS as ROWS
from recsec.sources import KINDS, SAID, Command, SourceKind, lacking

PHOTOS = "photos:items=60,categories=3,seed=1"
OPTIONS = ("--model", "--suspect", "--control")
OFFERED = {
    "checkpoint": "checkpoint folder",
    "encoder": "checkpoint folder of an encoder",
    "callable": "callable:module:function",
    "scores": "scores:module:function",
    "address": "http(s) address",
    "toml": "TOML file",
}
"""Kind -> how the help of an option names it."""

WORDS = {
    "data traffic --model": "data traffic shop.csv --out NEW --users 5",
    "evaluate --model": "evaluate --data shop.csv",
    "recommend --model": "recommend --data shop.csv",
    "similar --model": f"similar --data {PHOTOS} --item 10001 --out NEW.png",
    "compare --model": "compare --data shop.csv --model model --genre-bias 0 --users 20",
    "evade --model": f"evade --data {PHOTOS} --attack fgsm --n 2 --out NEW",
    "extract --model": "extract --data shop.csv --out NEW --calls 60 --twins 0 --set length=5 "
    "--set sessions=4 --set surrogate_settings.embedding_dim=8 --surrogate meanpool "
    "--set surrogate_settings.epochs=1 --device cpu",
    "verify --suspect": "verify --key key --data shop.csv --queries 20",
    "verify --control": "verify --key key --data shop.csv --queries 20 --suspect model",
    "harden --model": f"harden --method fast --data {PHOTOS} --out NEW --set epochs=1 --device cpu",
    "screen --model": f"screen photo.png --listing 10001 --data {PHOTOS}",
    "certify --model": f"certify --data {PHOTOS} --pairs 1 --draws 8",
    "try --model": "try --no-browser --data shop.csv",
    "detect fit --model": "detect fit --data shop.csv --out NEW --detector off-list --queries 6",
}
"""For each option that names a recommender, the rest of a small command."""


EXTRACT = WORDS["extract --model"]
EXAMPLES = {
    "evaluate": WORDS["evaluate --model"],
    "evaluate --guard truncate": "evaluate --data shop.csv --guard truncate:length=3",
    "evaluate --guard misinform": "evaluate --data shop.csv --guard misinform:key=key",
    "evaluate --unseen": "evaluate --data shop.csv --guard truncate --unseen 20",
    "recommend": WORDS["recommend --model"],
    "compare": WORDS["compare --model"],
    "extract": EXTRACT,
    "extract --guard truncate": f"{EXTRACT} --guard truncate:length=3",
    "extract --guard misinform": f"{EXTRACT} --guard misinform:key=key",
    "audit": "audit plan.toml --out NEW",
    "verify": WORDS["verify --suspect"],
    "data traffic": WORDS["data traffic --model"],
    "detect fit": WORDS["detect fit --model"],
    "harden": "harden --method gro --data shop.csv --out NEW --set epochs=1 --device cpu",
    "target check": "target check --data shop.csv",
}
"""A small command for each row of the table that is about sequences."""

CELLS = [
    pytest.param(row, kind, id=f"{row.words} on {kind.name}")
    for row in ROWS.values()
    for kind in KINDS
    if row.threat == kind.threat == "extraction"
]

PLAN = """[target]
model = "SPEC"
data = "shop.csv"
twins = 0
[[extraction]]
policies = "random"
calls = 60
seeds = 0
length = 5
sessions = 4
surrogate = "meanpool"
surrogate_settings = { embedding_dim = 8, epochs = 1 }
[gate]
"""


def options() -> Iterator[tuple[str, str]]:
    """Command and option, and the help of every option that names a recommender."""
    for name in COMMANDS:
        command = load_command(name)
        leaves = {name: command}
        leaves |= {f"{name} {sub}": leaf for sub, leaf in getattr(command, "commands", {}).items()}
        for path, leaf in leaves.items():
            for option in leaf.params:
                for word in set(option.opts) & set(OPTIONS):
                    yield f"{path} {word}", option.help


HELP = dict(options())


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with each kind of recommender, and what the commands name."""
    folder = tmp_path_factory.mktemp("shop")
    pairs = [(user, step) for user in range(60) for step in range(8)]
    rows = [f"{user},{(user * 7 + step) % 40 + 1},{step}" for user, step in pairs]
    (folder / "shop.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    (folder / "offered_shop.py").write_text(
        "def recommend(histories, k):\n"
        "    return [[i for i in range(1 + h[-1] % 40, 41) if i not in h][:k] for h in histories]\n"
        "def score(histories, items):\n"
        "    return [[-((i - h[-1]) % 41) for i in items] for h in histories]\n"
    )
    small = ["--set", "size=16", "--set", "stem=8", "--set", "widths=[16]", "--set", "shift=2"]
    with pytest.MonkeyPatch.context() as patch, Liar() as server:
        patch.chdir(folder)
        assert main(["train", "markov", "--data", "shop.csv", "--out", "model", "-q"]) == 0
        neural = ["train", "meanpool", "--data", "shop.csv", "--out", "neural", "--device", "cpu"]
        assert main([*neural, "--set", "epochs=1", "--set", "embedding_dim=8", "-q"]) == 0
        train = ["train", "encoder", "--data", PHOTOS, "--out", "encoder", "--set", "epochs=1"]
        assert main([*train, *small, "--device", "cpu", "-q"]) == 0
        assert main(["verify", "keygen", "--out", "key", "-q"]) == 0
        photo = load_photos(PHOTOS).pixels([0], 16)[0].transpose(1, 2, 0)
        Image.fromarray(photo).save("photo.png")
        (folder / "target.toml").write_text(f'url = "{server.url}"\nresponse = "$.items"\n')
        (folder / "address").write_text(server.url)
        yield folder


def named(kind: str, folder: Path) -> str:
    """The words for a recommender of a kind."""
    words = {
        "checkpoint": "model",
        "encoder": "encoder",
        "callable": "callable:offered_shop:recommend",
        "scores": "scores:offered_shop:score",
        "python-callable": f"python:{sys.executable}:callable:offered_shop:recommend",
        "python-scores": f"python:{sys.executable}:scores:offered_shop:score",
        "address": (folder / "address").read_text(),
        "toml": "target.toml",
    }
    return words[kind]


def offered(text: str) -> set[str]:
    """The kinds that the help of an option names."""
    found = {kind for kind, words in OFFERED.items() if re.search(re.escape(words), text)}
    return found - {"checkpoint"} if "encoder" in found else found


def test_every_option_that_names_a_recommender_is_tried() -> None:
    assert set(HELP) == set(WORDS)
    assert all(offered(text) for text in HELP.values())


def test_every_row_of_the_table_is_tried_and_its_help_offers_the_rest() -> None:
    rows = {row.words for row in ROWS.values() if row.threat == "extraction"}
    assert set(EXAMPLES) == rows
    kinds = {kind.name for kind in KINDS if kind.threat == "extraction"} & set(OFFERED)
    for option in ("evaluate --model", "verify --suspect", "data traffic --model"):
        assert offered(HELP[option]) == kinds


@pytest.mark.parametrize(("row", "kind"), CELLS)
def test_a_cell_of_the_table_holds(
    row: Command,
    kind: SourceKind,
    shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where nothing is lacking the command ends well; else it says what, and leaves nothing."""
    monkeypatch.chdir(shop)
    monkeypatch.setattr("sys.stdin", io.StringIO("add 1\nrecommend\n"))
    gradients = row.words == "harden" and kind.name == "checkpoint"
    spec = "neural" if gradients else named(kind.name, shop)
    words = EXAMPLES[row.words].replace("NEW", str(tmp_path / "new")).split()
    if row.words == "audit":
        plan = tmp_path / "plan.toml"
        plan.write_text(PLAN.replace("SPEC", spec))
        words[1] = str(plan)
    else:
        words += [row.option, spec] if row.option else [spec]
    code = main([*words, "--quiet"])
    said = capsys.readouterr().err
    missing = lacking(row.words, kind.gives)
    if missing:
        assert code == 2, said
        assert all(SAID[one] in said for one in missing)
        assert "a checkpoint folder" in said
        assert not (tmp_path / "new").exists()
    else:
        assert code in ((0, 1, 4) if row.words == "audit" else (0,)), said


@pytest.mark.parametrize("kind", sorted(set(OFFERED) - {"encoder"}))
@pytest.mark.parametrize("option", ["harden --model"])
def test_what_is_offered_is_opened_and_nothing_else(
    option: str,
    kind: str,
    shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(shop)
    monkeypatch.setattr("sys.stdin", io.StringIO("add 1\nrecommend\n"))
    monkeypatch.setattr("recsec.trying.serve", lambda app, opened: opened.close())
    kinds = offered(HELP[option])
    photos = PHOTOS in WORDS[option]
    spec = named("encoder" if photos and kind == "checkpoint" else kind, shop)
    words = WORDS[option].replace("NEW", str(tmp_path / "new")).split()
    code = main([*words, option.rpartition(" ")[2], spec, "--quiet"])
    said = capsys.readouterr().err
    if kind in kinds or (kind == "checkpoint" and "encoder" in kinds):
        assert code == 0, said
    else:
        assert code == 2, said
        assert "checkpoint folder" in said
