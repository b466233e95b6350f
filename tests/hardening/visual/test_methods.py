"""Each method keeps its promise on made-up photos."""

import copy

import pytest
import torch

from recsec.hardening.visual.curriculum import CurriculumConfig, CurriculumObjective
from recsec.hardening.visual.fare import FareConfig, FareObjective
from recsec.hardening.visual.fast import FastConfig, FastObjective
from recsec.models import Training
from recsec.models.visual.training import PhotoObjective
from recsec.registry import registry
from recsec.rng import Streams

CPU = Training(device="cpu", precision="float32")


def hardened(name, encoder, split, **settings):
    kind = registry("hardenings").get(name)
    config = kind.config_class(**{"eps": 0.1, "batch_size": 32, "lr": 2e-3, **settings})
    return kind(config).fit(encoder, split, seed=0, training=CPU).eval()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("adversarial", {"epochs": 8, "steps": 3}),
        ("fare", {"epochs": 8}),
        ("target", {"epochs": 8}),
    ],
)
def test_the_attack_succeeds_less_and_retrieval_stays(name, settings, encoder, split, success):
    before = {key: tensor.clone() for key, tensor in encoder.state_dict().items()}
    found = hardened(name, encoder, split, **settings)
    assert all(torch.equal(encoder.state_dict()[key], before[key]) for key in before)
    assert success(encoder, 0.1) > 0.3, "nothing to defend against"
    assert success(found, 0.1) < 0.7 * success(encoder, 0.1)
    clean = [PhotoObjective(one, split).validate()["precision@10"] for one in (encoder, found)]
    assert clean[1] > clean[0] - 0.1


def test_every_method_says_what_it_is():
    for name in registry("hardenings").keys():  # noqa: SIM118 - not a dictionary
        kind = registry("hardenings").get(name)
        assert kind.name == name
        assert kind.start in ("checkpoint", "recipe")
        assert kind.hardens
        assert kind.config_class().model_config["extra"] == "forbid"


def test_fare_uses_no_label(encoder, split, monkeypatch):
    def looked(*_):
        raise AssertionError("a label was used")

    monkeypatch.setattr(PhotoObjective, "label_loss", looked)
    objective = FareObjective(copy.deepcopy(encoder), split, FareConfig(batch_size=32))
    objective.labels = torch.full_like(objective.labels, -1)
    batch = objective.epoch(Streams(0).numpy("batches"))[0]
    assert float(objective(batch).detach()) > 0
    assert objective.validate()["cosine"] == pytest.approx(1.0, abs=1e-5)


def test_fare_keeps_clean_embeddings_near_the_original_ones(encoder, split):
    near = hardened("fare", encoder, split, epochs=2)
    objective = FareObjective(encoder, split, FareConfig())
    objective.encoder = near
    assert objective.validate()["cosine"] > 0.9


def test_the_curriculum_grows_only_when_patience_ends(encoder, split, monkeypatch):
    config = CurriculumConfig(steps=2, stage_patience=2, batch_size=32)
    objective = CurriculumObjective(copy.deepcopy(encoder), split, config)
    said = iter([0.5, 0.6, 0.6, 0.7, 0.7, 0.6, 0.1, 0.2, 0.1, 0.2, 0.3, 0.2, 0.1, 0.1])
    monkeypatch.setattr("recsec.hardening.visual.probe.Probe.accuracy", lambda *_, **__: next(said))
    monkeypatch.setattr("recsec.hardening.visual.robust.RobustObjective.validate", lambda _: {})
    stages = [int(objective.validate()["stage"]) for _ in range(14)]
    #        .5 .6 .6 .7 .7 .6|.1 .2 .1 .2|.3 .2 .1 .1: nothing comes after the last stage
    assert stages == [0] * 6 + [1] * 4 + [2] * 4


def test_the_curriculum_mixes_all_strengths_so_far(encoder, split):
    config = CurriculumConfig(steps=3, batch_size=32, eps=0.2)
    objective = CurriculumObjective(copy.deepcopy(encoder), split, config)
    objective.stage.fill_(3)
    seen = []
    objective.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    objective.encoder.classify = lambda images: objective.encoder.heads(objective.encoder(images))
    batch = objective.epoch(Streams(0).numpy("batches"))[0]
    objective(batch)
    change = (seen[-1] - objective.images(batch)).abs().amax(dim=(1, 2, 3))
    assert len(change) == len(batch.rows)
    quarter = -(-len(change) // 4)
    assert float(change[:quarter].max()) < 1e-6
    assert float(change[quarter:].min()) > 0.1


def test_the_curriculum_shows_a_share_of_the_photos_per_epoch(encoder, split):
    part = CurriculumObjective(encoder, split, CurriculumConfig(share=0.5, batch_size=32))
    whole = CurriculumObjective(encoder, split, CurriculumConfig(share=1.0, batch_size=32))
    counts = [len(one.epoch(Streams(0).numpy("batches"))) for one in (part, whole)]
    assert counts[0] == round(counts[1] / 2)


def test_fast_goes_back_when_training_collapses(encoder, split):
    objective = FastObjective(copy.deepcopy(encoder), split, FastConfig(eps=0.02))
    first = objective.validate()
    assert first["rollbacks"] == 0
    good = {name: tensor.clone() for name, tensor in objective.encoder.state_dict().items()}
    with torch.no_grad():  # the planted collapse
        for parameter in objective.encoder.body.parameters():
            parameter.copy_(
                torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
            )
    second = objective.validate()
    assert second["rollbacks"] == 1
    assert second["precision@10"] == first["precision@10"]
    assert all(
        torch.equal(tensor, good[name]) for name, tensor in objective.encoder.state_dict().items()
    )
    sizes = []
    view_class = type("V", (), {})
    objective.label_loss = lambda *_: torch.zeros(())
    view = view_class()
    view.batch, view.frozen = objective.epoch(Streams(0).numpy("b"))[0], objective.encoder
    view.ascend = lambda *_, size, **__: sizes.append(size) or objective.images(view.batch)
    objective.loss(view)
    assert sizes == [pytest.approx(1.25 * 0.02 / 2)], "steps are half as long afterwards"
