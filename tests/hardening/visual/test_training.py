"""Hardening into a folder: the checkpoint, killing and resuming, refusals, cost."""

import copy
import json
from pathlib import Path

import pytest
from dying import dies

from recsec.errors import CheckpointError, ConfigError
from recsec.hardening import Clock, clean_epoch_seconds, harden, hardening_class
from recsec.hardening.visual.curriculum import CurriculumConfig
from recsec.hardening.visual.target import TargetConfig
from recsec.models import Encoder, Training, encoder_fingerprint, load_encoder, read_config

SETTINGS = {"epochs": 5, "batch_size": 32, "steps": 2, "stage_patience": 1, "share": 1.0}
SCRIPT = """
import sys, pathlib
import torch
torch.set_num_threads(1)
from recsec.data import load_photos, split_photos
from recsec.hardening import harden
from recsec.hardening.visual.curriculum import CurriculumConfig
from recsec.models import Encoder, Training, load_encoder
split = split_photos(load_photos("photos:items=360,categories=6"), validation=0.1)
harden("curriculum", load_encoder(sys.argv[2]), split, CurriculumConfig(**{settings!r}), seed=3,
       training=Training(out=pathlib.Path(sys.argv[1]), device="cpu"))
"""


@pytest.fixture(scope="module")
def given(encoder, split, tmp_path_factory) -> Path:
    """The undefended encoder as a checkpoint."""
    from recsec.models import save_encoder

    folder = tmp_path_factory.mktemp("given") / "encoder"
    save_encoder(encoder, folder, {"seed": 0}, items=split.photos.table)
    return folder


def test_killed_hardening_ends_with_the_same_bits(tmp_path, given, encoder, split):
    """The curriculum has a state of its own (stage, patience), so it stands for all."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    script = SCRIPT.format(settings=SETTINGS)
    dies(script, str(broken), str(given), part="resume/epoch-", count=2)
    assert not (broken / "model.safetensors").exists()
    config = CurriculumConfig(**SETTINGS)
    again = load_encoder(given)
    for out in (broken, whole):
        harden("curriculum", again, split, config, seed=3, training=Training(out=out, device="cpu"))
    for name in ("model.safetensors", "history.json", "config.json"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name
    stages = [entry["valid"]["stage"] for entry in json.loads((whole / "history.json").read_text())]
    assert stages[-1] > 0, "the curriculum never grew: its state was not tested"


@pytest.mark.parametrize("name", ["adversarial", "fare", "fast", "target", "trades-embedding"])
def test_every_method_keeps_its_state_and_continues(name, tmp_path, encoder, split):
    kind = hardening_class(name, hardens=Encoder.name)
    how = Training(out=tmp_path / name, device="cpu")
    short = kind.config_class(epochs=1, batch_size=64, steps=1)
    harden(name, encoder, split, short, seed=0, training=how)
    (tmp_path / name / "model.safetensors").unlink()  # killed after its last epoch
    harden(name, encoder, split, short, seed=0, training=how)
    assert load_encoder(tmp_path / name).config == encoder.config


def test_the_checkpoint_is_an_ordinary_one_that_names_its_origin(tmp_path, encoder, split):
    config = TargetConfig(epochs=1, batch_size=32)
    how = Training(out=tmp_path, device="cpu")
    found = harden("target", encoder, split, config, training=how)
    loaded = load_encoder(tmp_path)
    assert encoder_fingerprint(loaded) == encoder_fingerprint(found)
    assert loaded.config == encoder.config
    recipe = read_config(tmp_path)["hardening"]
    assert recipe["method"] == "target"
    assert recipe["config"] == config.model_dump(mode="json")
    assert recipe["given"] == encoder_fingerprint(encoder)
    with pytest.raises(CheckpointError, match="hardening"):
        harden("target", encoder, split, TargetConfig(epochs=2), training=how)
    with pytest.raises(CheckpointError, match="hardening"):  # another encoder to start from
        harden("target", found, split, config, training=how)


def test_a_hardening_for_other_models_is_refused():
    with pytest.raises(ConfigError, match="for a model of the kind 'encoder'"):
        hardening_class("target", hardens="sasrec")
    with pytest.raises(ConfigError, match="no hardenings called"):
        hardening_class("hope", hardens="encoder")


def test_cost_is_counted_from_the_steps_of_this_process(monkeypatch):
    times = iter([10.0, 12.0])
    monkeypatch.setattr("recsec.hardening.visual.training.now", lambda: next(times))
    heard = []
    clock = Clock(lambda *words: heard.append(words))
    assert clock.total() is None
    for done in (41, 42):  # resumed at step 40 of 100
        clock("training", done, 100)
    assert clock.total() == pytest.approx(200.0)
    assert heard == [("training", 41, 100), ("training", 42, 100)]


def test_a_clean_epoch_is_measured_on_a_copy(encoder, split):
    before = encoder_fingerprint(encoder)
    assert clean_epoch_seconds(encoder, split, training=Training(device="cpu")) > 0
    assert encoder_fingerprint(encoder) == before


def test_an_encoder_that_collapses_is_told_with_what_to_do(encoder, split):
    dead = copy.deepcopy(encoder)
    for weights in dead.body.parameters():
        weights.data.zero_()
    config = TargetConfig(epochs=1, batch_size=128, steps=1, lr=1e-12)
    with pytest.raises(ConfigError, match=r"collapsed.* norm 0") as caught:
        harden("target", dead, split, config, training=Training(device="cpu"))
    assert "lr" in caught.value.hint
