"""Training on made-up photos: what it learns, its batches, and that a kill changes no bit."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from dying import dies

from recsec.data import load_photos, split_photos
from recsec.errors import CheckpointError
from recsec.models import (
    Encoder,
    EncoderConfig,
    PhotoObjective,
    Training,
    embed,
    load_encoder,
    load_items,
    new_encoder,
    train_encoder,
)
from recsec.models.visual.training import move
from recsec.rng import Streams

DATA = "photos:items=90,categories=3,seed=2"
FAST = {"size": 16, "stem": 8, "widths": (16, 24), "batch_size": 16, "lr": 0.01}


@pytest.fixture(scope="module")
def split():
    return split_photos(load_photos(DATA))


def test_the_planted_shapes_are_learned(split):
    config = EncoderConfig(**FAST, epochs=8)
    trained = train_encoder(split, config, training=Training(device="cpu"))
    rows = torch.from_numpy(split.test)

    def accuracy(encoder: Encoder) -> float:
        features = embed(encoder, split.photos, split.test, normalize=False)
        said = encoder.heads(features).category.argmax(dim=1)
        return float((said == torch.from_numpy(split.labels)[rows]).double().mean())

    assert accuracy(trained) > 0.5, "a guess is right a third of the time"
    assert accuracy(new_encoder(split, config, Streams(0))) < 0.45


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ([0, 0, 0], [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
        ([1, 0, 0], [[1, 1, 2], [4, 4, 5], [7, 7, 8]]),
        ([0, -1, 0], [[4, 5, 6], [7, 8, 9], [7, 8, 9]]),
        ([0, 0, 1], [[3, 2, 1], [6, 5, 4], [9, 8, 7]]),
        ([1, 1, 1], [[3, 3, 2], [3, 3, 2], [6, 6, 5]]),
    ],
)
def test_images_move_by_whole_pixels(moves, expected):
    image = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3).repeat(2, 2, 1, 1)
    image[1] += 10
    moved = move(image, torch.tensor([moves, [0, 0, 0]]))
    assert moved[0, 1].tolist() == expected
    assert torch.equal(moved[1], image[1])


def test_an_epoch_shows_every_training_photo_once(split):
    objective = PhotoObjective(new_encoder(split, EncoderConfig(**FAST), Streams(0)), split)
    first, again, other = (objective.epoch(np.random.default_rng(seed)) for seed in (0, 0, 1))
    rows = np.concatenate([batch.rows for batch in first])
    assert sorted(rows) == sorted(split.train)
    assert all((a.moves == b.moves).all() for a, b in zip(first, again, strict=True))
    assert not np.array_equal(rows, np.concatenate([batch.rows for batch in other]))
    assert max(abs(batch.moves[:, :2]).max() for batch in first) == objective.encoder.config.shift
    still = EncoderConfig(**FAST, flip=False, shift=0)
    batches = PhotoObjective(new_encoder(split, still, Streams(0)), split).epoch(
        np.random.default_rng(0)
    )
    assert not any(batch.moves.any() for batch in batches)


def test_photos_without_a_value_do_not_count(split):
    objective = PhotoObjective(new_encoder(split, EncoderConfig(**FAST), Streams(0)), split)
    rows = split.train[:4]
    heads = objective.encoder.eval().classify(torch.rand(4, 3, 16, 16))
    for mask in objective.targets.values():
        mask[rows[2:]] = False
    found = objective.label_loss(heads, rows)
    expected = torch.nn.functional.cross_entropy(heads.category, objective.labels[rows])
    for name, logits in heads.attributes.items():
        wanted = objective.targets[name][rows[:2]].float().argmax(dim=1)
        part = torch.nn.functional.cross_entropy(logits[:2], wanted)
        expected = expected + objective.encoder.config.attribute_weight / 2 * part
    torch.testing.assert_close(found, expected)


SCRIPT = f"""
import sys, pathlib, torch
torch.set_num_threads(1)
from recsec.data import load_photos, split_photos
from recsec.models import EncoderConfig, Training, train_encoder
train_encoder(split_photos(load_photos({DATA!r})), EncoderConfig(**{FAST!r}, epochs=5), seed=3,
              training=Training(out=pathlib.Path(sys.argv[1]), device="cpu"))
"""


def test_a_killed_training_ends_with_the_same_bits(tmp_path, split):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    dies(SCRIPT, str(broken), part="resume/epoch-", count=3)
    assert not (broken / "model.safetensors").exists()
    assert 1 <= len(json.loads((broken / "history.json").read_text())) < 5
    for out in (broken, whole):
        config, training = EncoderConfig(**FAST, epochs=5), Training(out=out, device="cpu")
        train_encoder(split_photos(load_photos(DATA)), config, seed=3, training=training)
    for name in ("model.safetensors", "history.json", "config.json", "items.parquet"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name
    assert load_encoder(broken).categories == split.categories
    assert load_items(broken).height == len(split.photos)


def test_another_recipe_is_refused(tmp_path, split):
    training = Training(out=tmp_path, device="cpu")
    train_encoder(split, EncoderConfig(**FAST, epochs=1), training=training)
    with pytest.raises(CheckpointError, match="config"):
        train_encoder(split, EncoderConfig(**FAST, epochs=2), training=training)
