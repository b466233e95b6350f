"""The table of sources and commands, cell by cell; and ``--help`` offers what is opened."""

from __future__ import annotations

import io
import json
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
import visual_shop
from liar import Liar
from PIL import Image

from recsec.audit import load_plan
from recsec.cli.main import COMMANDS, load_command, main
from recsec.data import load_photos
from recsec.sources import COMMANDS as ROWS
from recsec.sources import KINDS, SAID, Command, SourceKind, lacking

README = Path(__file__).parents[2] / "README.md"
PHOTOS = "photos:items=60,categories=3,seed=1"
OPTIONS = ("--model", "--suspect", "--control")
SEEN = 32
"""Side of what the tiny networks see."""

WORDS = {
    "data traffic --model": "data traffic shop.csv --out NEW --users 5",
    "evaluate --model": "evaluate --data shop.csv",
    "recommend --model": "recommend --data shop.csv",
    "similar --model": f"similar --data {PHOTOS} --item 10001 --out NEW.png",
    "compare --model": "compare --data shop.csv --model model --genre-bias 0 --users 20",
    "evade --model": f"evade --data {PHOTOS} --attack square-3 --n 2 --out NEW",
    "extract --model": "extract --data shop.csv --out NEW --calls 60 --twins 0 --set length=5 "
    "--set sessions=4 --set surrogate_settings.embedding_dim=8 --surrogate meanpool "
    "--set surrogate_settings.epochs=1 --device cpu",
    "verify --suspect": "verify --key key --data shop.csv --queries 20",
    "verify --control": "verify --key key --data shop.csv --queries 20 --suspect model",
    "harden --model": f"harden --method fast --data {PHOTOS} --out NEW --set epochs=1 --device cpu",
    "screen --model": f"screen photo.png --listing 10001 --data {PHOTOS}",
    "certify --model": f"certify --data {PHOTOS} --pairs 1 --draws 8",
    "try --model": "try --no-browser --data shop.csv",
    "audit --model": "audit init NEW --data shop.csv",
    "detect fit --model": "detect fit --data shop.csv --out NEW --detector off-list --queries 6 "
    "--users 20 --set patterns.window.window=20",
}
"""For each option that names a recommender, the rest of a small command."""


EXTRACT, EVADE = WORDS["extract --model"], f"evade --data {PHOTOS} --n 2 --out NEW --device cpu"
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
    "try": WORDS["try --model"],
    "target check photos": f"target check --data {PHOTOS}",
    "evaluate photos": f"evaluate --data {PHOTOS}",
    "evaluate --attack pgd photos": f"evaluate --data {PHOTOS} --attack pgd --steps 1",
    "similar": WORDS["similar --model"],
    "evade": f"{EVADE} --attack square-3",
    "evade --attack transfer": f"{EVADE} --attack transfer-2 --set surrogates=['encoder']",
    "evade --attack apgd": f"{EVADE} --attack apgd-2",
    "evade --goal hub": f"{EVADE} --goal hub --attack square-2 --targets 2",
    "screen": WORDS["screen --model"],
    "certify": WORDS["certify --model"],
    "audit photos": "audit plan.toml --out NEW",
    "harden photos": WORDS["harden --model"],
    "try photos": f"try --no-browser --data {PHOTOS}",
}
"""A small command for each row of the table."""

CELLS = [
    pytest.param(row, kind, id=f"{row.words} on {kind.name}")
    for row in ROWS.values()
    for kind in KINDS
    if row.threat == kind.threat
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
PHOTO_PLAN = f"""[visual]
data = "{PHOTOS}"
models = [{{ name = "own", model = "SPEC" }}]
pairs = 2
[[evasion]]
attacks = ["square-2", {{ attack = "transfer", steps = 2, surrogates = ["encoder"] }}]
eps = 0.05
[gate]
[engine]
workers = 1
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
    photos = load_photos(PHOTOS)
    seen = np.array(photos.pixels(np.arange(len(photos)), SEEN)).transpose(0, 2, 3, 1)
    search = visual_shop.Search(photos.ids.tolist(), visual_shop.vectors(seen))
    small = ["--set", f"size={SEEN}", "--set", "stem=8", "--set", "widths=[16]"]
    with pytest.MonkeyPatch.context() as patch, Liar() as server, search:
        patch.chdir(folder)
        assert main(["train", "markov", "--data", "shop.csv", "--out", "model", "-q"]) == 0
        neural = ["train", "meanpool", "--data", "shop.csv", "--out", "neural", "--device", "cpu"]
        assert main([*neural, "--set", "epochs=1", "--set", "embedding_dim=8", "-q"]) == 0
        train = ["train", "encoder", "--data", PHOTOS, "--out", "encoder", "--set", "epochs=1"]
        assert main([*train, *small, "--set", "shift=2", "--device", "cpu", "-q"]) == 0
        assert main(["verify", "keygen", "--out", "key", "-q"]) == 0
        Image.fromarray(photos.pixels([0], SEEN)[0].transpose(1, 2, 0)).save("photo.png")
        pretrained("network")
        exported("network.onnx", visual_shop.NETWORK, torch.rand(2, 3, SEEN, SEEN))
        exported("items.onnx", Nearest(), torch.ones(2, 3, dtype=torch.int64))
        (folder / "onnx.toml").write_text('[onnx]\nfile = "items.onnx"\nlength = 3\n')
        (folder / "target.toml").write_text(f'url = "{server.url}"\nresponse = "$.items"\n')
        (folder / "guarded.toml").write_text(
            'model = "scores:offered_shop:score"\n[[guards]]\nname = "truncate"\nlength = 15\n'
        )
        (folder / "search.toml").write_text(f'[search]\nurl = "{search.url}/search"\nsize = {SEEN}')
        (folder / "encoder.toml").write_text(
            f'[encoder]\nsource = "torch:visual_shop:factory"\nsize = {SEEN}\n'
        )
        (folder / "address").write_text(server.url)
        (folder / "search").write_text(f"{search.url}/search")
        yield folder


def pretrained(folder: str) -> None:
    """A tiny network of transformers."""
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8], depths=[1], layer_type="basic", image_size=SEEN
    )
    transformers.AutoModel.from_config(config).save_pretrained(folder)


class Nearest(torch.nn.Module):
    """Items that follow the newest one, of 40; number 0 fills histories on the left."""

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        return -((torch.arange(41.0) - items[:, -1:]) % 41)


def exported(file: str, network: torch.nn.Module, *shown: torch.Tensor) -> None:
    """A tiny network as ONNX."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, shown, file, dynamo=False,
            input_names=["shown"], dynamic_axes={"shown": {0: "B"}},
        )  # fmt: skip


def named(kind: SourceKind, folder: Path) -> str:
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
        "guarded": "guarded.toml",
        "hf": "hf:network",
        "torch": "torch:visual_shop:sized",
        "onnx": "onnx:network.onnx" if kind.threat == "evasion" else "onnx:items.onnx",
        "onnx-file": "onnx.toml",
        "search-file": "search.toml",
        "encoder-file": "encoder.toml",
        "search": (folder / "search").read_text(),
    }
    photos = kind.threat == "evasion" and kind.name == "callable"
    return "callable:visual_shop:sized_vectors" if photos else words[kind.name]


def test_every_option_that_names_a_recommender_is_tried() -> None:
    assert set(HELP) == set(WORDS)


def test_every_row_of_the_table_is_tried() -> None:
    assert set(EXAMPLES) == set(ROWS)


def test_readme_promises_of_photos_what_the_table_holds() -> None:
    text = README.read_text()
    begin = text.index("A visual encoder goes the same way")
    sentences = text[begin : text.index("See [your own", begin)].split(". ")[:3]
    rows = {words.removesuffix(" photos"): row for words, row in ROWS.items() if "--" not in words}
    kinds = {kind.name: kind for kind in KINDS if kind.threat == "evasion"}
    takes = {
        name: {
            words
            for words, row in rows.items()
            if row.threat == "evasion"
            and words != "target check"
            and not lacking(row.words, kinds[name].gives)
        }
        for name in ("callable", "search", "encoder")
    }
    promised = [set(re.findall(r"`([a-z]+)`", sentence)) for sentence in sentences]
    assert promised[0] == takes["callable"]
    assert promised[1] == takes["search"]
    assert promised[2] == takes["encoder"] - takes["callable"]


@pytest.mark.parametrize("option", sorted(HELP))
def test_help_offers_the_forms_that_work_and_no_others(option: str) -> None:
    command = option.rpartition(" ")[0]
    rows = [row for row in ROWS.values() if re.sub(" (photos|--.*)$", "", row.words) == command]
    takes = {
        kind.form
        for row in rows
        for kind in KINDS
        if row.threat == kind.threat and not lacking(row.words, kind.gives)
    }
    assert {kind.form for kind in KINDS if kind.form in HELP[option]} == takes


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
    monkeypatch.setattr("recsec.trying.serve", lambda app, opened: opened.close())
    gradients = row.words == "harden" and kind.name == "checkpoint"
    spec = "neural" if gradients else named(kind, shop)
    words = EXAMPLES[row.words].replace("NEW", str(tmp_path / "new")).split()
    audit = row.words.startswith("audit")
    if audit:
        plan = tmp_path / "plan.toml"
        text = PLAN if row.words == "audit" else PHOTO_PLAN
        plan.write_text(text.replace("SPEC", spec))
        words[1] = str(plan)
    else:
        words += [row.option, spec] if row.option else [spec]
    code = main([*words, "--quiet"])
    said = capsys.readouterr().err
    missing = lacking(row.words, kind.gives)
    if missing:
        assert code == 2, said
        assert all(SAID[one] in said for one in missing)
        assert ("a checkpoint folder", "the checkpoint folder of an encoder")[
            row.threat == "evasion"
        ] in said
        assert not (tmp_path / "new").exists()
    else:
        assert code in ((0, 1, 4) if audit else (0,)), said
    if row.words == "audit photos":
        cells = json.loads((tmp_path / "new" / "report.json").read_text())["evasion"]["rows"]
        assert [one["status"] for one in cells] == ["ok", "ok"]
        assert [one["knowledge"].split(",")[0] for one in cells] == [
            "the attacker sees how near a photo is to the target"
            if "embeddings" in kind.gives
            else "the attacker sees lists of ids only",
            "the attacker knows nothing of the encoder",
        ]


PLANNED = ("checkpoint", "callable", "address", "guarded", "hf", "search-file", "encoder")


@pytest.mark.parametrize(
    "kind",
    [kind for kind in KINDS if kind.name in PLANNED],
    ids=lambda kind: f"{kind.threat}-{kind.name}",
)
def test_a_first_plan_fits_what_the_source_can_do(
    kind: SourceKind, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    file, data = tmp_path / "plan.toml", "shop.csv" if kind.threat == "extraction" else PHOTOS
    words = ["audit", "init", str(file), "--model", named(kind, shop), "--data", data, "-q"]
    assert main(words) == 0
    plan = load_plan(file)
    if kind.threat == "evasion":
        attacks = [one.key for one in plan.evasion[0].attacks]  # type: ignore[attr-defined]
        wanted = ["mi", "auto"] if "gradients" in kind.gives else ["square-200"]
        wanted = wanted if "embeddings" in kind.gives else ["square-100"]
        assert attacks == [*wanted, "transfer"]
