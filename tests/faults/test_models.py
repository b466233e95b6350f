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
