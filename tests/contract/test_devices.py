"""No tensor is made on the CPU by habit: all that computes runs on a second device.

``elsewhere`` gives one without an accelerator: a tensor of the CPU that meets one of the device
fails, and the numbers are the CPU's.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import visual_shop
from elsewhere import PLACE, Elsewhere, MixedError, There

from recsec.attacks.evasion import Pairs, Scene, evade, open_attack
from recsec.data import load_photos, split_photos
from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences, leave_one_out
from recsec.hardening import hardening_class
from recsec.models import (
    Encoder,
    EncoderConfig,
    ExactIndex,
    PhotoObjective,
    SasRecConfig,
    Training,
    embed,
    train,
)
from recsec.models.visual.training import new_encoder
from recsec.registry import registry
from recsec.rng import Streams
from recsec.targets import LocalTarget, open_target
from recsec.targets.guards import Surroundings, build_guards
from recsec.targets.guards.key import write_key
from recsec.targets.visual import NetworkEncoder, Recipe

NEURAL = ("sasrec", "narm", "bert4rec", "meanpool")


def stepped(objective: Any, *, seed: int = 0) -> tuple[float, torch.Tensor]:
    """The loss of one training step, and the first weights after it."""
    objective.train()
    batch = objective.epoch(np.random.default_rng(seed))[0]
    optimizer = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], lr=0.01)
    loss = objective(batch)
    loss.backward()
    optimizer.step()
    first = next(p for p in objective.parameters() if p.requires_grad)
    return float(loss.detach()), first.detach().cpu()


def same_step(make: Any) -> None:
    """A step on the device is the step of the CPU, and so is validation after it."""
    here, there = make(), make()
    wanted = stepped(here)
    valid = here.eval().validate()
    with Elsewhere():
        there.to(PLACE)
        found = stepped(there)
        assert all(isinstance(p, There) for p in there.state_dict().values())
        assert there.eval().validate() == pytest.approx(valid, abs=1e-4)
    assert found[0] == pytest.approx(wanted[0], rel=1e-5)
    torch.testing.assert_close(found[1], wanted[1], rtol=1e-3, atol=1e-4)


def test_the_second_device_refuses_what_an_accelerator_refuses():
    with Elsewhere():
        there = torch.ones(3, device=PLACE)
        with pytest.raises(MixedError):
            there + torch.ones(3)
        with pytest.raises(MixedError):
            torch.rand(3, device=PLACE, generator=torch.Generator())
        with pytest.raises(RuntimeError):
            there.numpy()
        assert (there + torch.tensor(1.0)).cpu().tolist() == [2, 2, 2]
        assert there.new_tensor([4.0]).device == PLACE


def recommender(name: str, chain: Any) -> Any:
    kind = registry("models").get(name)
    still = {name: 0.0 for name in kind.config_class.model_fields if "dropout" in name}
    config = kind.config_class.model_validate({"embedding_dim": 8, **still})
    model = kind(chain.catalog, config)
    model.initialize(Streams(0).torch("initialization"))
    return model


@pytest.mark.parametrize("name", NEURAL)
def test_recommenders_train_and_answer_there(name, chain):
    same_step(lambda: recommender(name, chain).objective(chain))
    model = recommender(name, chain)
    histories = next(chain.batches("test", size=20)).histories
    wanted, lists = model.scores(histories), model.top_k(histories, 5)
    with Elsewhere():
        model.to(PLACE)
        torch.testing.assert_close(model.scores(histories), wanted, rtol=1e-4, atol=1e-5)
        assert np.array_equal(model.top_k(histories, 5), lists)


GUARDS = [
    [],
    [{"name": "truncate", "length": 3}],
    [{"name": "misinform", "key": "KEY"}],
    [{"name": "watermark", "key": "KEY"}],
    [{"name": "quantize", "lists": 16, "depth": 10}],
    [{"name": "shuffle"}],
    [{"name": "reverse"}],
]


@pytest.mark.parametrize("tables", GUARDS, ids=lambda tables: "".join(t["name"] for t in tables))
def test_a_served_recommender_grows_histories_there(tables, chain, tmp_path):
    write_key(tmp_path / "key")
    tables = [{k: str(tmp_path / "key") if v == "KEY" else v for k, v in t.items()} for t in tables]

    def served(model: Any) -> list[np.ndarray]:
        guards = build_guards(tables, Surroundings(model, chain.train))
        target = LocalTarget(model, guards)
        histories = np.random.default_rng(0).integers(1, 60, (6, 1))
        found = []
        for _ in range(4):
            found.append(target.query("a", histories, 5))
            histories = np.column_stack([histories, found[-1][:, 0]])
        return found

    wanted = served(recommender("sasrec", chain))
    with Elsewhere():
        found = served(recommender("sasrec", chain).to(PLACE))
    assert all(np.array_equal(one, other) for one, other in zip(wanted, found, strict=True))


@pytest.fixture(scope="session")
def chain() -> Any:
    rng = np.random.default_rng(0)
    rows = [((rng.integers(1, 61) + np.arange(9)) % 60 + 1).tolist() for _ in range(80)]
    catalog = Catalog.from_ids(range(1, 61))
    return leave_one_out(Sequences.from_lists(catalog, rows))


def test_a_checkpoint_is_served_where_it_is_told_to(chain, tmp_path):
    chosen = SasRecConfig(embedding_dim=8, epochs=1)
    train("sasrec", chain, chosen, training=Training(out=tmp_path / "model", device="cpu"))
    histories = next(chain.batches("test", size=9)).histories
    wanted = open_target(str(tmp_path / "model"), chain.catalog).query("a", histories, 5)
    with Elsewhere():
        target = open_target(str(tmp_path / "model"), chain.catalog, device=PLACE.type)
        assert target.recommender.items.weight.device == PLACE
        assert np.array_equal(target.query("a", histories, 5), wanted)


@pytest.fixture(scope="module")
def split() -> Any:
    return split_photos(load_photos("photos:items=60,categories=3,seed=1"))


@pytest.fixture(scope="module")
def encoder(split) -> Encoder:
    config = {"size": 32, "stem": 8, "widths": [16], "shift": 2, "batch_size": 8}
    return new_encoder(split, EncoderConfig.model_validate(config), Streams(0))


def test_an_encoder_trains_and_embeds_there(encoder, split):
    same_step(lambda: PhotoObjective(copy.deepcopy(encoder), split))
    rows = split.test[:6]
    wanted = embed(encoder, split.photos, rows)
    with Elsewhere():
        moved = copy.deepcopy(encoder).to(PLACE)
        torch.testing.assert_close(embed(moved, split.photos, rows), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [k for k, v in registry("hardenings").items().items() if v.hardens == "encoder"],
)
def test_encoders_are_hardened_there(name, encoder, split):
    kind = hardening_class(name, hardens="encoder")
    config = kind.config_class.model_validate({"batch_size": 6})
    same_step(lambda: kind.objective_class(copy.deepcopy(encoder), split, config))


def scene(embedder: Any, split: Any) -> Scene:
    rows = np.arange(len(split.photos))
    vectors = embed(embedder, split.photos, rows).to(embedder.device)
    pixels = torch.from_numpy(np.array(split.photos.pixels(rows[:6], embedder.size)))
    pairs = Pairs(np.array([0, 1, 2]), np.array([30, 31, 32]), "chosen pairs")
    return Scene(embedder, ExactIndex(vectors), pairs, pixels[:3], pixels[3:])


ATTACKS = [
    *(
        (key, None)
        for key in ("fgsm", "mi-4", "apgd-4", "cw-4", "reference-4", "square-6", "noise")
    ),
    *(("apgd-4", goal) for goal in ("query", "features", "demotion")),
    ("square-6", "lists"),
]


@pytest.mark.parametrize(("key", "goal"), ATTACKS)
def test_attacks_run_there(key, goal, encoder, split):
    def attacked(embedder: Any) -> Any:
        tool = open_attack(key, {})
        return evade(tool, scene(embedder, split), eps=0.03, rng=Streams(0), goal=goal).table

    wanted = attacked(copy.deepcopy(encoder).eval())
    with Elsewhere():
        found = attacked(copy.deepcopy(encoder).eval().to(PLACE))
    assert found["linf"].max() <= 0.03
    assert np.allclose(found["rank_before"], wanted["rank_before"])
    assert np.allclose(found["cosine_after"], wanted["cosine_after"], atol=0.02)


@pytest.mark.parametrize("resize", [None, 40])
def test_networks_of_others_run_there(resize, split):
    recipe = Recipe(
        size=32, resize=resize, channels="bgr", white=255, mean=(0.1, 0.2, 0.3), std=(2, 2, 2)
    )
    network = NetworkEncoder(visual_shop.Tiny(), recipe, name="tiny")
    wanted = embed(network.frozen(), split.photos, split.test[:4])
    with Elsewhere():
        network.to(PLACE)
        found = embed(network.frozen(), split.photos, split.test[:4])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
