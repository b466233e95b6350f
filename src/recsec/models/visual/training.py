"""Train an encoder on a split of photos: categories and attributes at once, as in the thesis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.metrics.retrieval import precision
from recsec.models.base import Training
from recsec.models.trainer import Objective, fit, resolve_precision
from recsec.models.training import train_into
from recsec.models.visual.checkpoint import load_encoder, save_encoder
from recsec.models.visual.embedding import embed
from recsec.models.visual.encoder import Encoder, EncoderConfig, Heads, frozen_copy
from recsec.models.visual.index import ExactIndex
from recsec.rng import Streams
from recsec.types import IntArray

if TYPE_CHECKING:
    from recsec.data.photos.split import PhotoSplit

__all__ = ["ImageBatch", "PhotoObjective", "move", "new_encoder", "train_encoder"]

VALIDATION_CATALOG = 2048


@dataclass(frozen=True)
class ImageBatch:
    """Rows ``(B,)`` of photos, and how each is moved before it is shown.

    ``moves`` is ``(B, 3)`` int64: pixels to the right, pixels down, and 1 for mirrored.
    """

    rows: IntArray
    moves: IntArray


def move(images: Shaped[Tensor, "B C S S"], moves: Int[Tensor, "B 3"]) -> Tensor:
    """Shifted and mirrored images; the edge is repeated outward (white stays white).

    Whole pixels only: interpolation would blur, and blind the encoder to fine texture.
    """
    side = images.shape[-1]
    places = torch.arange(side, device=images.device)
    right, down, mirrored = moves[:, :, None].unbind(dim=1)
    across = (places - right).clamp(0, side - 1)
    across = torch.where(mirrored == 1, side - 1 - across, across)
    along = (places - down).clamp(0, side - 1)
    batch = torch.arange(len(images), device=images.device)
    moved: Tensor = images[batch[:, None, None], :, along[:, :, None], across[:, None, :]]
    return moved.permute(0, 3, 1, 2)


class PhotoObjective(Objective):
    """Cross-entropy of the category, plus that of the attributes.

    An image's values of an attribute share a probability of 1, so that one softmax serves single
    choices (a season) and several at once (textures); images without a value do not count.

    Source: the two heads are those of Normann (2020); for the attributes he takes a sigmoid each.
    The softmax over several labels is that of Mahajan et al., Exploring the Limits of Weakly
    Supervised Pretraining (2018), section 2.2, who found it the better of the two.

    Validation is precision@10 of the validation photos among themselves and at most 2,048 evenly
    spaced training photos, and their accuracy.
    """

    def __init__(self, encoder: Encoder, split: PhotoSplit) -> None:
        super().__init__()
        self.encoder = encoder
        self.split = split
        self.labels = torch.from_numpy(split.labels)
        self.targets = {
            name: torch.from_numpy(mask) for name, (_, mask) in split.attribute_targets().items()
        }

    def epoch(self, rng: np.random.Generator) -> Sequence[ImageBatch]:
        """All training rows once, in random order, each with a move of its own."""
        config = self.encoder.config
        rows = rng.permutation(self.split.train)
        shifts = rng.integers(-config.shift, config.shift + 1, (len(rows), 2))
        mirrored = rng.integers(0, 2, (len(rows), 1)) * int(config.flip)
        moves = np.concatenate([shifts, mirrored], axis=1)
        count = max(1, math.ceil(len(rows) / config.batch_size))
        parts = np.array_split(rows, count), np.array_split(moves, count)
        return [ImageBatch(part, shown) for part, shown in zip(*parts, strict=True)]

    def images(self, batch: ImageBatch) -> Float[Tensor, "B 3 S S"]:
        """The moved images of a batch, float32 in [0, 1], where the encoder is."""
        pixels = self.split.photos.pixels(batch.rows, self.encoder.size)
        device = self.encoder.device
        shown = torch.from_numpy(pixels).to(device), torch.from_numpy(batch.moves).to(device)
        return move(*shown).float().div_(255)

    def label_loss(self, heads: Heads, rows: IntArray) -> Float[Tensor, ""]:
        """Mean loss of what the heads say about images of these rows."""
        config, device = self.encoder.config, heads.category.device
        at = torch.from_numpy(rows)
        loss = F.cross_entropy(
            heads.category, self.labels[at].to(device), label_smoothing=config.label_smoothing
        )
        if config.attribute_weight == 0:
            return loss
        for name, logits in heads.attributes.items():
            wanted = self.targets[name][at].to(device, torch.float32)
            count = wanted.sum(dim=1, keepdim=True)
            shares = wanted / count.clamp(min=1)
            known = (count > 0).sum().clamp(min=1)
            found = -(shares * logits.log_softmax(dim=1)).sum() / known
            loss = loss + config.attribute_weight / len(heads.attributes) * found
        return loss

    def forward(self, batch: ImageBatch) -> Tensor:
        """Mean loss of a batch."""
        return self.label_loss(self.encoder.classify(self.images(batch)), batch.rows)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """``precision@10`` and ``accuracy`` of the validation photos."""
        queries, train = self.split.validation, self.split.train
        every = np.linspace(0, len(train) - 1, min(len(train), VALIDATION_CATALOG))
        rows = np.concatenate([queries, train[np.unique(every.astype(np.int64))]])
        frozen = frozen_copy(self.encoder, dtype=resolve_precision("auto", self.encoder.device))
        features = embed(frozen, self.split.photos, rows, normalize=False)
        own = torch.arange(len(queries))
        said = frozen.heads(features[: len(queries)].to(frozen.device)).category.argmax(1).cpu()
        labels = self.labels[torch.from_numpy(rows)]
        vectors = F.normalize(features, dim=1)
        found, _ = ExactIndex(vectors).neighbors(vectors[own], min(10, len(rows)), exclude=own)
        neighbors = labels[found.clamp(min=0)].masked_fill(found < 0, -1)
        return {
            "precision@10": float(precision(labels[own], neighbors, found.shape[1]).mean()),
            "accuracy": float((said == labels[own]).double().mean()),
        }


def new_encoder(split: PhotoSplit, config: EncoderConfig, streams: Streams) -> Encoder:
    """An encoder for the categories and attributes of a split, its weights drawn."""
    attributes = {name: tuple(values) for name, (values, _) in split.attribute_targets().items()}
    encoder = Encoder(config, tuple(split.categories), attributes)
    encoder.initialize(streams.torch("initialization"))
    return encoder


def train_encoder(
    split: PhotoSplit,
    config: EncoderConfig | None = None,
    *,
    seed: int = 0,
    training: Training | None = None,
    data: dict[str, Any] | None = None,
) -> Encoder:
    """Train an encoder; with ``training.out`` the checkpoint is kept, and a killed run continues.

    Args:
        split: train rows are learned, validation rows choose the epoch, test rows are not seen.
        config: by default the encoder's own.
        data: what identifies the data (name, fingerprint), kept with the recipe.

    Raises:
        CheckpointError: the folder belongs to another recipe, or another process trains in it.
        ConfigError: settings that do not fit, or a loss that is no longer finite.
    """
    chosen, how = config or EncoderConfig.model_validate({}), training or Training()
    streams = Streams(seed, ("encoder",))

    def fitted() -> Encoder:
        encoder = new_encoder(split, chosen, streams)
        fit(PhotoObjective(encoder, split), chosen, streams=streams, training=how)
        return encoder.cpu()

    def save(encoder: Encoder, folder: Path, facts: dict[str, Any]) -> None:
        save_encoder(encoder, folder, facts, items=split.photos.table)

    return train_into(
        how,
        {
            "model": Encoder.name,
            "config": chosen.model_dump(mode="json"),
            "seed": seed,
            "data": data or {},
        },
        fit=fitted,
        save=save,
        load=load_encoder,
    )
