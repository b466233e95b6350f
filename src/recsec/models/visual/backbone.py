"""Pretrained image networks from Hugging Face: weights as safetensors, never code.

``hf:ORG/NAME@REVISION`` names a repository, ``hf:FOLDER`` a local copy. Only such an explicit name
downloads anything; the checkpoint of an encoder holds its own weights and needs neither.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recsec.errors import CheckpointError, ConfigError
from recsec.models.visual.folding import foldable

__all__ = ["PretrainedBody", "pretrained", "rebuilt"]

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
"""Mean and deviation of the channels, for networks that come without their own."""


class PretrainedBody(nn.Module):
    """A network of transformers: images ``(B, 3, S, S)`` in [0, 1] to features ``(B, D)``.

    The features are the mean over the last feature map of a backbone; of other networks, what they
    pool, or the mean over their last layer.

    Args:
        model: an ``AutoBackbone`` where the architecture has one, else an ``AutoModel``.
        mean: subtracted from each channel.
        std: what each channel is divided by.
        size: side S of the images that it will see.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, mean: list[float], std: list[float], size: int) -> None:
        super().__init__()
        self.model = model
        self.size = size
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])
        try:
            with torch.no_grad():
                self.width = self.eval()(torch.zeros(1, 3, size, size)).shape[1]
        except (RuntimeError, ValueError) as error:
            raise ConfigError(
                f"{type(model).__name__} does not take images of {size} pixels: {error}",
                hint="--set size=... with the size that it was trained on, such as 224",
            ) from error

    def initialize(self, generator: torch.Generator) -> None:
        """Pretrained weights stay as they are."""

    @cached_property
    def norm_pairs(self) -> list[tuple[str, str]]:
        """Convolutions and the batch norms that ``fold_norms`` may merge into them."""
        ramp = torch.linspace(0, 1, 3 * self.size**2, device=self.mean.device)
        return foldable(self, ramp.view(1, 3, self.size, self.size))

    @property
    def architecture(self) -> dict[str, Any]:
        """What ``rebuilt`` needs, JSON-able."""
        config: Any = self.model.config
        values = json.loads(config.to_json_string(use_diff=False))
        values.pop("_name_or_path", None)
        return {
            "config": values,
            "mean": self.mean.flatten().tolist(),
            "std": self.std.flatten().tolist(),
        }

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Pooled features; normalizes inside."""
        dtype = next(self.model.parameters()).dtype
        x = ((images - self.mean) / self.std).to(dtype)
        out = self.model(x.contiguous(memory_format=torch.channels_last))
        maps = getattr(out, "feature_maps", None)
        if maps is not None:
            features: Tensor = maps[-1].mean(dim=(2, 3))
        elif getattr(out, "pooler_output", None) is not None:
            features = out.pooler_output.flatten(1)
        else:
            features = out.last_hidden_state.mean(dim=1)
        return features


def pretrained(name: str, size: int) -> PretrainedBody:
    """The network called ``hf:ORG/NAME@REVISION`` or ``hf:FOLDER``, with its weights.

    Args:
        name: what follows ``backbone=``.
        size: side of the images that it will see.

    Raises:
        ConfigError: transformers is not installed, the name is not complete, the network cannot be
            had, or has no weights as safetensors.
    """
    source, _, revision = name.removeprefix("hf:").partition("@")
    local = Path(source).expanduser()
    if not local.is_dir() and (not revision or source.count("/") != 1):
        raise ConfigError(
            f"backbone {name!r}: expected hf:ORG/NAME@REVISION or hf:FOLDER",
            hint="name the revision (a commit or a tag), so that the weights stay the same",
        )
    transformers = _transformers()
    place = str(local) if local.is_dir() else source
    options: dict[str, Any] = {} if local.is_dir() else {"revision": revision}
    try:
        with _silence(transformers):
            config = transformers.AutoConfig.from_pretrained(
                place, trust_remote_code=False, **options
            )
            kind = transformers.MODEL_FOR_BACKBONE_MAPPING.get(type(config), transformers.AutoModel)
            model = kind.from_pretrained(
                place, config=config, use_safetensors=True, trust_remote_code=False, **options
            )
            mean, std = _channels(transformers, place, options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        away = "couldn't connect" in str(error)
        raise ConfigError(
            f"cannot load the backbone {name!r}: {error}",
            hint="bring the files here and name their folder, hf:FOLDER, or try again with network"
            if away
            else "it must be a network of images that transformers knows, with model.safetensors; "
            "the name and the revision must exist",
        ) from error
    return PretrainedBody(_image_part(model), mean, std, size)


def rebuilt(architecture: dict[str, Any], size: int) -> PretrainedBody:
    """The same network without its weights, from ``PretrainedBody.architecture``.

    Raises:
        CheckpointError: the description does not fit the installed transformers.
        ConfigError: transformers is not installed.
    """
    transformers = _transformers()
    try:
        with _silence(transformers):
            values = dict(architecture["config"])
            config = transformers.AutoConfig.for_model(values.pop("model_type"), **values)
            kind = transformers.MODEL_FOR_BACKBONE_MAPPING.get(type(config), None)
            model = (
                transformers.AutoModel.from_config(config)
                if kind is None
                else kind._from_config(config)
            )
        return PretrainedBody(model, architecture["mean"], architecture["std"], size)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the backbone of the checkpoint cannot be built: {error}") from error


def _image_part(model: nn.Module) -> nn.Module:
    """The half of a model of images and text (CLIP, SigLIP) that sees; else the model."""
    part: nn.Module = getattr(model, "vision_model", model)
    return part


def _channels(
    transformers: Any, place: str, options: dict[str, Any]
) -> tuple[list[float], list[float]]:
    """Mean and deviation of the channels from preprocessor_config.json, where there is one."""
    path = transformers.utils.cached_file(
        place,
        "preprocessor_config.json",
        _raise_exceptions_for_missing_entries=False,
        **options,
    )
    found = {} if path is None else json.loads(Path(path).read_text(encoding="utf-8"))
    mean, std = found.get("image_mean", IMAGENET[0]), found.get("image_std", IMAGENET[1])
    return [float(one) for one in mean], [float(one) for one in std]


def _transformers() -> Any:
    """The library, or what to do to have it."""
    try:
        import transformers
    except ImportError as error:
        raise ConfigError(
            "a pretrained backbone needs the library transformers, which is not installed",
            hint='pip install "recsec[transformers]"',
        ) from error
    return transformers


@contextmanager
def _silence(transformers: Any) -> Iterator[None]:
    """The library says much on stderr; recsec speaks for itself."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
