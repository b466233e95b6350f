"""The encoder of a visual recommender: a photo becomes a unit vector, neighbors are recommended."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeAlias, cast

import torch
from jaxtyping import Float
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recsec.errors import CheckpointError, ConfigError
from recsec.models.base import AnyEncoder, ScheduleConfig
from recsec.models.checkpoint import refuse_not_finite
from recsec.models.visual.backbone import PretrainedBody, pretrained
from recsec.models.visual.body import ResidualBody
from recsec.models.visual.float32 import strided_in_float32, whole_float32
from recsec.models.visual.folding import fold_norms
from recsec.models.visual.memory import keep_freed_memory

__all__ = ["Body", "Encoder", "EncoderConfig", "Heads", "frozen_copy"]

Body: TypeAlias = ResidualBody | PretrainedBody
"""A network with ``width`` and ``initialize`` that makes features of images in [0, 1]."""


class EncoderConfig(ScheduleConfig):
    """Settings of an encoder: the network, the image it sees, and how it is trained."""

    backbone: str = Field(
        "residual",
        description="residual or resnet (trained from scratch), or hf:ORG/NAME@REVISION",
    )
    size: int = Field(64, ge=8, le=1024, description="side S of the image in pixels")
    stem: int = Field(32, gt=0, description="channels of the first convolution")
    widths: tuple[int, ...] = Field((64, 128, 192), description="channels of each residual stage")
    blocks: int = Field(1, gt=0, description="residual blocks per stage")
    attribute_weight: float = Field(0.03, ge=0, description="weight of the attribute loss")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="of the category loss")
    flip: bool = Field(True, description="mirror half of the training images")
    shift: int = Field(2, ge=0, description="largest shift of a training image, in pixels")
    epochs: int = Field(40, ge=0, description="length of the cosine schedule")
    batch_size: int = Field(32, gt=0, description="images per step")
    lr: float = Field(
        4e-3, gt=0, description="peak learning rate of AdamW; pretrained backbones want less"
    )
    weight_decay: float = Field(0.05, ge=0)
    patience: int = Field(20, gt=0, description="epochs without a better validation")

    @field_validator("widths")
    @classmethod
    def _some_widths(cls, widths: tuple[int, ...]) -> tuple[int, ...]:
        if not widths or min(widths) < 1:
            raise ValueError("expected one positive width per stage")
        return widths


@dataclass(frozen=True)
class Heads:
    """What an encoder says about images, as logits in float32.

    Attributes:
        category: ``(B, C)``, one of C categories (softmax).
        attributes: per attribute ``(B, A)``; an image may have several of its A values.
    """

    category: Tensor
    attributes: dict[str, Tensor]


class Encoder(nn.Module):
    """Images ``(B, 3, S, S)`` in [0, 1] to unit vectors ``(B, D)``, with two heads for training.

    The embedding is the mean over the last feature map, as in the thesis that this rebuilds
    (Normann, 2020); similarity is the cosine. In evaluation mode an image's embedding depends on
    that image only.

    Args:
        config: the network.
        categories: names of the C categories.
        attributes: per attribute the names of its values.
        body: the network, where it was built before; by default the one that the config names.
    """

    name = "encoder"
    config_class = EncoderConfig
    gradients: ClassVar[bool] = True

    def __init__(
        self,
        config: EncoderConfig,
        categories: tuple[str, ...],
        attributes: Mapping[str, tuple[str, ...]],
        *,
        body: Body | None = None,
    ) -> None:
        super().__init__()
        if not categories:
            raise ConfigError("an encoder needs at least one category")
        self.config = config
        self.categories = tuple(categories)
        self.attributes = {name: tuple(values) for name, values in attributes.items()}
        self.body = _body(config) if body is None else body
        self.category = nn.Linear(self.dim, len(self.categories))
        values = sum(map(len, self.attributes.values()))
        self.attribute = nn.Linear(self.dim, values) if values else None

    @property
    def size(self) -> int:
        """Side S of the images, in pixels."""
        return self.config.size

    @property
    def dim(self) -> int:
        """Width D of an embedding."""
        return self.body.width

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.category.weight.device

    def initialize(self, generator: torch.Generator) -> None:
        """Draw the weights anew; a pretrained backbone keeps its own."""
        self.body.initialize(generator)
        for head in filter(None, (self.category, self.attribute)):
            nn.init.xavier_normal_(head.weight, generator=generator)
            nn.init.zeros_(head.bias)

    def features(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Pooled features in float32, before they get unit norm.

        Images of another side than S are resized (bilinear, antialiased) on the way, so that
        gradients reach the pixels that were given.
        """
        if images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(
                images, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False
            )
        features: Tensor = self.body(images)
        return features.float()

    def heads(self, features: Float[Tensor, "B D"]) -> Heads:
        """Logits from ``features``: one pass of the network serves heads and embedding."""
        features = features.to(self.category.weight.dtype)
        category = self.category(features).float()
        if self.attribute is None:
            return Heads(category, {})
        parts = self.attribute(features).float().split(list(map(len, self.attributes.values())), 1)
        return Heads(category, dict(zip(self.attributes, parts, strict=True)))

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Unit vectors in float32."""
        return F.normalize(self.features(images), dim=1)

    def classify(self, images: Float[Tensor, "B 3 H W"]) -> Heads:
        """Logits of category and attributes."""
        return self.heads(self.features(images))

    def frozen(self, dtype: torch.dtype = torch.float32) -> Self:
        """See ``frozen_copy``."""
        keep_freed_memory()
        whole_float32()
        copied = copy.deepcopy(self).eval()
        fold_norms(copied.body, self.body.norm_pairs)
        strided_in_float32(copied)
        copied.requires_grad_(False).to(dtype)
        cast("Any", copied).to(memory_format=torch.channels_last)
        return copied

    def fingerprint(self) -> str:
        """A hash of settings and weights: equal for equal embeddings."""
        digest = hashlib.sha256(self.config.model_dump_json().encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def load_tensors(self, tensors: Mapping[str, Tensor], *, where: str) -> None:
        """Take the weights of a checkpoint.

        Raises:
            CheckpointError: names or shapes do not fit, or a value is not finite.
        """
        kinds = {name: tensor.dtype for name, tensor in self.state_dict().items()}
        found = {name: tensor.to(kinds.get(name, tensor.dtype)) for name, tensor in tensors.items()}
        whole = [
            name
            for name, tensor in tensors.items()
            if not tensor.is_floating_point() and kinds.get(name, tensor.dtype).is_floating_point
        ]
        if whole:
            raise CheckpointError(
                f"the tensor {whole[0]} of {where} holds {tensors[whole[0]].dtype}, expected "
                "floating-point numbers"
            )
        try:
            self.load_state_dict(found, assign=True)
        except RuntimeError as error:
            raise CheckpointError(
                f"the tensors of {where} do not fit an encoder with its settings: {error}",
                hint="a config.json of another checkpoint was put beside them",
            ) from error
        refuse_not_finite(tensors, where=where)


def _body(config: EncoderConfig) -> Body:
    """The network that ``config.backbone`` names."""
    if config.backbone.startswith("hf:"):
        return pretrained(config.backbone, config.size)
    if config.backbone == "residual":
        smallest = 2 ** (1 + len(config.widths))
        if config.size % smallest:
            raise ConfigError(
                f"size {config.size} is no multiple of {smallest}: the first convolution and each "
                f"of the {len(config.widths)} stages halve it"
            )
        return ResidualBody(config.stem, config.widths, config.blocks)
    if config.backbone == "resnet":
        return ResidualBody(
            config.stem, config.widths, config.blocks, kernel=3, keeps=True, averaged=False
        )
    raise ConfigError(
        f"backbone {config.backbone!r} is not known",
        hint="backbone=residual, backbone=resnet or backbone=hf:ORG/NAME@REVISION",
    )


def frozen_copy(encoder: AnyEncoder, *, dtype: torch.dtype = torch.float32) -> AnyEncoder:
    """A copy for attacks and for embedding: evaluation mode, no parameter gradients, norms folded.

    Gradients by the images work as before. With ``dtype=torch.bfloat16`` the network computes in
    bfloat16, which is for searching; what is reported is embedded in float32.
    """
    return encoder.frozen(dtype)
