"""Backbones of transformers: tiny ones with random weights, loaded from a local folder."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from recsec.errors import CheckpointError, ConfigError
from recsec.models import Encoder, EncoderConfig, frozen_copy, load_encoder, save_encoder
from recsec.models.visual.backbone import IMAGENET, pretrained

transformers = pytest.importorskip("transformers")

ITEMS = pl.DataFrame({"id": [1], "title": ["a"], "category": ["shirt"]})
VISION = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
CLIP_TEXT = {**VISION, "intermediate_size": 16, "vocab_size": 9, "bos_token_id": 0}


def resnet() -> Any:
    """It has an AutoBackbone."""
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"
    )
    return transformers.AutoModel.from_config(config)


def clip() -> Any:
    """It sees and reads; only the seeing half is wanted."""
    vision = {**VISION, "intermediate_size": 16, "image_size": 32, "patch_size": 8}
    text = {**CLIP_TEXT, "eos_token_id": 1}
    config = transformers.CLIPConfig(vision_config=vision, text_config=text)
    return transformers.AutoModel.from_config(config)


def mobilenet() -> Any:
    """It pools by itself and has no AutoBackbone."""
    config = transformers.MobileNetV2Config(depth_multiplier=0.1, image_size=32)
    return transformers.AutoModel.from_config(config)


@pytest.mark.parametrize(("make", "width"), [(resnet, 16), (clip, 16), (mobilenet, 1280)])
def test_a_local_network_becomes_an_encoder_and_its_checkpoint_needs_it_no_more(
    make: Any, width: int, tmp_path: Path
) -> None:
    source, out = tmp_path / "source", tmp_path / "encoder"
    make().save_pretrained(source)
    config = EncoderConfig(backbone=f"hf:{source}", size=32)
    encoder = Encoder(config, ("shirt", "shoe"), {}).eval()
    assert encoder.dim == width
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    pixels = images.clone().requires_grad_()
    weighted = frozen_copy(encoder)(pixels) @ torch.arange(float(width))  # a norm has sum 0
    (gradient,) = torch.autograd.grad(weighted.sum(), pixels)
    assert float(gradient.abs().sum()) > 0
    save_encoder(encoder, out, {}, items=ITEMS)
    for path in source.iterdir():
        path.unlink()
    torch.testing.assert_close(load_encoder(out)(images), encoder(images))


def test_a_frozen_copy_has_no_norm_left_where_the_function_stays(tmp_path: Path) -> None:
    mobilenet().save_pretrained(tmp_path)
    encoder = Encoder(EncoderConfig(backbone=f"hf:{tmp_path}", size=32), ("shirt",), {}).train()
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    encoder(images)  # running statistics that are not those of a fresh norm
    frozen = frozen_copy(encoder)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in frozen.modules())
    torch.testing.assert_close(frozen(images), encoder.eval()(images), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(frozen_copy(frozen)(images), frozen(images))


def test_weights_and_channels_are_those_of_the_folder(tmp_path: Path) -> None:
    made = resnet().eval()
    made.save_pretrained(tmp_path)
    assert pretrained(f"hf:{tmp_path}", 32).mean.flatten().tolist() == pytest.approx(IMAGENET[0])
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5, 0.25, 0.0], "image_std": [0.5, 1.0, 2.0]})
    )
    body = pretrained(f"hf:{tmp_path}", 32).eval()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    mean = torch.tensor([0.5, 0.25, 0.0])[:, None, None]
    std = torch.tensor([0.5, 1.0, 2.0])[:, None, None]
    expected = made((images - mean) / std).last_hidden_state.mean(dim=(2, 3))
    torch.testing.assert_close(body(images), expected)


def test_pickles_are_not_read(tmp_path: Path) -> None:
    made = resnet()
    made.config.save_pretrained(tmp_path)
    torch.save(made.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="cannot load the backbone"):
        pretrained(f"hf:{tmp_path}", 32)


@pytest.mark.parametrize("name", ["hf:microsoft/resnet-18", "hf:resnet@main", "hf:/absent"])
def test_a_name_without_revision_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="ORG/NAME@REVISION"):
        pretrained(name, 32)


def test_code_of_a_repository_is_not_run(tmp_path: Path) -> None:
    config = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "mine.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(ConfigError, match="cannot load the backbone"):
        pretrained(f"hf:{tmp_path}", 32)


def test_without_the_library_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "transformers":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match="not installed") as found:
        pretrained(f"hf:{tmp_path}", 32)
    assert "recsec[transformers]" in str(found.value.hint)


def test_a_description_that_nobody_knows(tmp_path: Path) -> None:
    resnet().save_pretrained(tmp_path / "source")
    config = EncoderConfig(backbone=f"hf:{tmp_path / 'source'}", size=32)
    save_encoder(Encoder(config, ("shirt",), {}), tmp_path / "out", {}, items=ITEMS)
    path = tmp_path / "out" / "config.json"
    path.write_text(path.read_text().replace('"model_type": "resnet"', '"model_type": "none"'))
    with pytest.raises(CheckpointError, match="backbone"):
        load_encoder(tmp_path / "out")
