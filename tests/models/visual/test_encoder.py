"""The encoder: unit vectors, samples that do not see each other, folding, bad checkpoints."""

from __future__ import annotations

import json

import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from recsec.data.catalog import Catalog
from recsec.errors import CheckpointError, ConfigError
from recsec.models import (
    Encoder,
    EncoderConfig,
    Popularity,
    PopularityConfig,
    Resnet,
    ResnetConfig,
    encoder_fingerprint,
    frozen_copy,
    load,
    load_encoder,
    load_items,
    save_checkpoint,
    save_encoder,
)
from recsec.rng import Streams

CONFIG = EncoderConfig(size=16, stem=3, widths=(4, 8), blocks=2)
ATTRIBUTES = {"season": ("summer", "winter"), "color": ("red", "green", "blue")}
ITEMS = pl.DataFrame({"id": ["7"], "title": ["a shirt"], "category": ["shirt"], "color": ["red"]})


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def encoder(images: torch.Tensor) -> Encoder:
    """Random weights, and norms that have seen images."""
    made = Encoder(CONFIG, ("shirt", "shoe"), ATTRIBUTES)
    made.initialize(Streams(0).torch("weights"))
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight, 1, 0.3, generator=Streams(1).torch("norms"))
    made.train()
    made(images)
    return made.eval()


def test_unit_vectors_and_heads(encoder, images):
    embeddings = encoder(images)
    assert embeddings.shape == (6, encoder.dim) == (6, 8)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(6))
    torch.testing.assert_close(
        embeddings, torch.nn.functional.normalize(encoder.features(images), dim=1)
    )
    said = encoder.classify(images)
    assert said.category.shape == (6, 2)
    assert {name: logits.shape for name, logits in said.attributes.items()} == {
        "color": (6, 3),
        "season": (6, 2),
    }
    torch.testing.assert_close(encoder.heads(encoder.features(images)).category, said.category)


def test_an_image_does_not_see_the_others(encoder, images):
    alone = torch.cat([encoder(image[None]) for image in images])
    torch.testing.assert_close(alone, encoder(images), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(encoder(images.flip(0)).flip(0), encoder(images))


def test_larger_images_are_resized_inside_the_gradient(encoder, images):
    large = images.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3).requires_grad_()
    (gradient,) = torch.autograd.grad(encoder(large).sum(), large)
    assert gradient.shape == (6, 3, 32, 32)
    assert bool(gradient.abs().amax(dim=(1, 2, 3)).gt(0).all())


def test_a_frozen_copy_is_the_same_function_without_parameter_gradients(encoder, images):
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    frozen = frozen_copy(encoder)
    pixels, same = images.clone().requires_grad_(), images.clone().requires_grad_()
    weight = torch.randn(8, generator=Streams(2).torch("weight"))
    expected = torch.autograd.grad((encoder(pixels) @ weight).sum(), pixels)[0]
    found = torch.autograd.grad((frozen(same) @ weight).sum(), same)[0]
    torch.testing.assert_close(frozen(images), encoder(images), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
    assert all(not p.requires_grad and p.grad is None for p in frozen.parameters())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in frozen.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())
    rough = frozen_copy(encoder, dtype=torch.bfloat16)(images)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, encoder(images), rtol=0, atol=0.03)


def test_a_checkpoint_brings_back_the_same_encoder(encoder, images, tmp_path):
    save_encoder(encoder, tmp_path, {"seed": 3}, items=ITEMS)
    found = load_encoder(tmp_path)
    assert torch.equal(found(images), encoder(images))
    assert found.categories == encoder.categories
    assert list(found.attributes.items()) == list(encoder.attributes.items()), "in order"
    for name, logits in encoder.classify(images).attributes.items():
        assert torch.equal(found.classify(images).attributes[name], logits)
    assert encoder_fingerprint(found) == encoder_fingerprint(encoder)
    assert load_items(tmp_path).equals(ITEMS)
    with torch.no_grad():
        found.category.bias[0] += 1
    assert encoder_fingerprint(found) != encoder_fingerprint(encoder)


def test_a_resnet_is_an_encoder_with_another_network(images, tmp_path):
    made = Resnet(ResnetConfig(size=16, stem=4, widths=(4, 8), epochs=1), ("shirt", "shoe"), {})
    made.initialize(torch.Generator().manual_seed(0))
    shortcut = made.body.stages[1].shortcut
    assert shortcut.conv.stride == (2, 2)
    assert made.eval().body.stages[0](torch.rand(1, 4, 8, 8)).shape[2:] == (8, 8), "keeps the grid"
    save_encoder(made, tmp_path, {}, items=ITEMS)
    assert torch.equal(load_encoder(tmp_path)(images), made(images))
    torch.testing.assert_close(frozen_copy(made)(images), made(images), rtol=1e-3, atol=1e-4)


def test_weights_that_are_not_finite_are_refused(encoder, tmp_path):
    save_encoder(encoder, tmp_path, {}, items=ITEMS)
    with torch.no_grad():
        encoder.category.weight[0, 0] = float("nan")
    with pytest.raises(CheckpointError, match=r"to be saved.*not finite.*category\.weight"):
        save_encoder(encoder, tmp_path / "new", {}, items=ITEMS)
    assert not (tmp_path / "new").exists()
    save_file(encoder.state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"not finite.*category\.weight"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("config", {"widths": [4, 8, 16]}, "do not fit"),
        ("config", {"size": "large"}, "does not fit"),
        ("config", {"size": 20}, "multiple of 8"),
        ("categories", ["one"], "do not fit"),
        ("attributes", None, "does not fit"),
    ],
)
def test_a_config_of_another_checkpoint_is_named(encoder, tmp_path, key, value, said):
    save_encoder(encoder, tmp_path, {}, items=ITEMS)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config[key] = {**config[key], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=said):
        load_encoder(tmp_path)


def test_an_unfinished_and_a_foreign_checkpoint(encoder, tmp_path):
    save_encoder(encoder, tmp_path, {}, items=ITEMS)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    path.unlink()
    with pytest.raises(CheckpointError, match="has not finished"):
        load_encoder(tmp_path)
    tensors["stranger"] = torch.zeros(2)
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match="stranger"):
        load_encoder(tmp_path)
    (tmp_path / "items.parquet").write_text("no")
    with pytest.raises(CheckpointError, match="item table"):
        load_items(tmp_path)


def test_encoders_and_recommenders_are_not_taken_for_each_other(encoder, tmp_path):
    photos, histories = tmp_path / "photos", tmp_path / "histories"
    save_encoder(encoder, photos, {}, items=ITEMS)
    catalog = Catalog.from_ids(["a", "b"])
    state = {"counts": torch.tensor([0.0, 2.0, 1.0])}
    save_checkpoint(Popularity.from_state(catalog, PopularityConfig(), state), histories, {})
    with pytest.raises(CheckpointError, match="holds an encoder of photos"):
        load(photos)
    with pytest.raises(CheckpointError, match="'popularity' recommender of histories"):
        load_encoder(histories)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (EncoderConfig(size=20, widths=(4, 8)), "multiple of 8"),
        (EncoderConfig(backbone="vgg"), "not known"),
    ],
)
def test_networks_that_cannot_be(config, said):
    with pytest.raises(ConfigError, match=said):
        Encoder(config, ("shirt",), {})


def test_without_categories_there_is_nothing_to_learn():
    with pytest.raises(ConfigError, match="at least one category"):
        Encoder(CONFIG, (), {})
