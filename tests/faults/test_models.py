"""A model that is no model gets no number and no verdict."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from recsec.cli.main import main
from recsec.data import load as load_data
from recsec.errors import CheckpointError, TargetError
from recsec.models import SasRecConfig, Training, load, save_checkpoint, train
from recsec.targets import guarded_target

DATA = "synthetic:users=60,items=60,length=8,seed=4"
SMALL = {"embedding_dim": 8, "blocks": 1, "max_length": 8, "epochs": 0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Checkpoints of three architectures."""
    split = load_data(DATA).split()
    for name, config in (("popularity", None), ("markov", None), ("sasrec", SasRecConfig(**SMALL))):
        train(name, split, config, training=Training(out=tmp_path / name, device="cpu"))
    return tmp_path


def spoil(path: Path, value: float) -> None:
    """Put a value into the last tensor of numbers of a checkpoint."""
    tensors = load_file(path / "model.safetensors")
    name = [name for name, tensor in sorted(tensors.items()) if tensor.is_floating_point()][-1]
    tensors[name].view(-1)[0] = value
    save_file(tensors, path / "model.safetensors")


@pytest.mark.hostile(kind="models", what="weights that are not finite")
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["popularity", "markov", "sasrec"])
def test_weights_that_are_no_numbers_are_not_served(folder, name, value, capsys):
    spoil(folder / name, value)
    words = ["evaluate", "--model", str(folder / name), "--data", DATA, "--json"]
    assert main(words) == 3
    assert "values that are not finite" in json.loads(capsys.readouterr().out)["error"]["message"]


@pytest.mark.hostile(kind="models", what="weights that were rounded to whole numbers")
def test_weights_of_whole_numbers_are_not_served(folder, capsys):
    path = folder / "sasrec" / "model.safetensors"
    save_file({name: tensor.int() for name, tensor in load_file(path).items()}, path)
    words = ["evaluate", "--model", str(folder / "sasrec"), "--data", DATA, "--json"]
    assert main(words) == 3
    assert "expected floating-point" in json.loads(capsys.readouterr().out)["error"]["message"]


@pytest.mark.hostile(kind="models", what="finite weights whose scores are NaN or infinite")
@pytest.mark.parametrize("guards", [[], [{"name": "truncate", "length": 2}]], ids=["bare", "guard"])
def test_scores_that_are_no_numbers_are_no_list(folder, guards):
    model = load(folder / "sasrec")
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.fill_(3e38)
    with pytest.raises(TargetError, match="scores items with values that are not finite"):
        guarded_target(model, guards, train=None).query("a", np.array([[1, 2, 3]]), 3)


@pytest.mark.hostile(kind="models", what="a training that ends in weights that are not finite")
def test_weights_that_are_no_numbers_are_not_saved(folder):
    model = load(folder / "sasrec")
    with torch.no_grad():
        model.items.weight[0, 0] = math.nan
    with pytest.raises(CheckpointError, match="that was to be saved"):
        save_checkpoint(model, folder / "new", {})
    assert not (folder / "new").exists()


@pytest.mark.hostile(kind="models", what="a checkpoint that serves one ranking to everybody")
def test_evaluate_names_a_model_that_does_not_look(folder, capsys):
    words = ["evaluate", "--data", DATA, "--json", "--model"]
    assert main([*words, str(folder / "popularity")]) == 0
    seen = capsys.readouterr()
    (defect,) = json.loads(seen.out)["defects"]
    assert "one and the same ranking" in defect
    assert f"warning: {defect}" in seen.err
    assert main([*words, str(folder / "markov")]) == 0
    assert json.loads(capsys.readouterr().out)["defects"] == []


PLAN = f"""
[target]
model = "MODEL"
data = "{DATA}"
twins = 0
[[extraction]]
policies = "random"
calls = 60
seeds = 0
length = 5
surrogate = "meanpool"
surrogate_settings = {{ epochs = 1, embedding_dim = 8 }}
[gate]
fail_at = "never"
"""
LAZY = f"""
from recsec.data import load

IDS = load("{DATA}").catalog.ids.tolist()


def answer(histories, k):
    return [[i for i in IDS if i not in set(h)][:k] for h in histories]


def own(histories, k):
    return [list(dict.fromkeys([h[-1], *after(h[-1])]))[:k] for h in histories]


def after(last):
    return [IDS[(7 * last + step) % len(IDS)] for step in range(len(IDS))]
"""


@pytest.mark.hostile(kind="models", what="an audit of a target that serves everybody one ranking")
@pytest.mark.parametrize("model", ["popularity", "callable:lazy:answer"])
def test_an_audit_of_one_ranking_ends_before_the_budget(folder, model, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    (folder / "lazy.py").write_text(LAZY)
    (folder / "plan.toml").write_text(PLAN.replace("MODEL", model))
    assert main(["audit", "plan.toml", "--out", "run"]) == 3
    said = capsys.readouterr().err
    assert "24 different histories from one and the same ranking" in " ".join(said.split())
    assert not (folder / "run" / "transcript").exists()
    if model != "popularity":
        assert main(["target", "check", model, "--data", DATA]) == 3
        assert "20 different histories from one" in " ".join(capsys.readouterr().err.split())


@pytest.mark.hostile(kind="models", what="an audit of a target that lists the history")
def test_an_audit_tells_what_is_wrong_with_its_target(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    (folder / "lazy.py").write_text(LAZY)
    (folder / "plan.toml").write_text(PLAN.replace("MODEL", "callable:lazy:own"))
    assert main(["audit", "plan.toml", "--out", "run"]) in (0, 4), "evidence may be weak"
    said = " ".join(capsys.readouterr().err.split())
    assert "121 more API calls in the owner's name" in said, "49 users, and 24 of them three times"
    assert "% of the listed items are in the history that was asked about." in said
    found = json.loads((folder / "run" / "report.json").read_text())["findings"]
    (defect,) = [one for one in found if one["id"] == "extraction-target-defective"]
    assert "of the listed items are in the history that was asked about" in defect["evidence"]
