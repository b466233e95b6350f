"""Fit: a surrogate that ranks as the recorded lists do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recsec.attacks.extraction.config import ExtractionConfig
from recsec.attacks.extraction.distill import KERNELS, Loss, rank_weights
from recsec.data.catalog import Catalog
from recsec.errors import ConfigError
from recsec.metrics import agreement
from recsec.models import Recommender, Training, load
from recsec.models.checkpoint import save_checkpoint
from recsec.models.losses import catalog_loss, history_of
from recsec.models.neural import NeuralConfig, NeuralRecommender
from recsec.models.trainer import Objective, fit
from recsec.models.windows import gather_windows, length_buckets
from recsec.registry import registry
from recsec.rng import Streams
from recsec.targets import Chains, Transcript
from recsec.types import IntArray, Progress

__all__ = ["Distillation", "fit_surrogate", "surrogate_config"]

HELD_OUT = 0.05
VALIDATION_CALLS = 2000


class Distillation(Objective):
    """Rank every recorded history as the target did; validated by agreement on held-out sessions.

    Args:
        model: the surrogate.
        chains: what was asked and answered.
        loss: which loss on the lists.
        rng: chooses the held-out sessions, a twentieth (at least one, unless there is only one).
    """

    def __init__(
        self, model: NeuralRecommender, chains: Chains, *, loss: Loss, rng: np.random.Generator
    ) -> None:
        super().__init__()
        self.model = model
        self.chains = chains
        self.kernel = KERNELS[loss]
        self.weights = rank_weights(chains.answers.shape[1])
        self.k = min(10, chains.answers.shape[1])
        length = model.config.max_length
        spans = np.stack([chains.offsets[:-1], chains.offsets[1:]], axis=1)
        order = rng.permutation(len(spans))
        held = order[: max(1, round(HELD_OUT * len(spans)))] if len(spans) > 1 else order
        self.held_out = self._sample(spans[held], rng)
        kept = spans if len(spans) == 1 else np.delete(spans, held, axis=0)
        pieces = -(-(kept[:, 1] - kept[:, 0]) // length)
        place = np.arange(pieces.sum()) - np.repeat(pieces.cumsum() - pieces, pieces)
        start = np.repeat(kept[:, 0], pieces) + length * place
        end = np.minimum(start + length, np.repeat(kept[:, 1], pieces))
        self.windows = np.stack([start, end], axis=1)

    def _sample(self, spans: IntArray, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Histories and answers of some held-out calls."""
        ends = np.concatenate([np.arange(start, end) for start, end in spans])
        starts = np.repeat(spans[:, 0], spans[:, 1] - spans[:, 0])
        asked = np.flatnonzero(self.chains.answers[ends, 0] > 0)
        chosen = rng.permutation(asked)[:VALIDATION_CALLS]
        windows = np.stack([starts[chosen], ends[chosen] + 1], axis=1)
        lists = self.chains.answers[ends[chosen], : self.k].astype(np.int64)
        return gather_windows(self.chains.items, windows), lists

    def epoch(self, rng: np.random.Generator) -> list[IntArray]:
        """Windows ``(B, 2)`` of sessions, in batches of similar length."""
        sizes = self.windows[:, 1] - self.windows[:, 0]
        batches = length_buckets(sizes, self.model.config.batch_size, rng)
        return [self.windows[rows] for rows in batches]

    def forward(self, batch: IntArray) -> Tensor:
        """Mean loss over the calls of a batch."""
        table = self.model.item_table()
        items = torch.from_numpy(gather_windows(self.chains.items, batch)).to(table.device)
        row, column = (items > 0).nonzero(as_tuple=True)
        flat = torch.from_numpy(batch[:, 0]).to(table.device)[row] + column
        lists = torch.from_numpy(self.chains.answers[flat.cpu().numpy()]).long().to(table.device)
        asked = lists[:, 0] > 0
        row, column, lists = row[asked], column[asked], lists[asked]
        hidden = self.model.hidden(items)[row, column]
        weights = self.weights.to(table.device) * (lists > 0)
        seen = history_of(items, row, column)
        total = catalog_loss(hidden, table, lists, weights, seen=seen, kernel=self.kernel)
        return total / max(1, len(lists))

    def validate(self) -> dict[str, float]:
        """Agreement with the held-out lists, history excluded."""
        histories, lists = self.held_out
        answers = [
            self.model.top_k(histories[start : start + 256], self.k)
            for start in range(0, len(histories), 256)
        ]
        if not answers:
            return {"agreement": 0.0}
        return {f"agr@{self.k}": float(agreement(np.concatenate(answers), lists, self.k).mean())}


def surrogate_config(config: ExtractionConfig, *, calls: int) -> NeuralConfig:
    """Settings of the surrogate for a number of calls.

    Unless set, the batch size and the number of epochs follow from the calls (many passes over few
    answers, few passes over many), and there is little regularization: a target is a function
    without noise.

    Raises:
        ConfigError: the architecture is unknown or cannot be trained on lists.
    """
    kind: type[Recommender] = registry("models").get(config.surrogate)
    if not issubclass(kind, NeuralRecommender):
        raise ConfigError(
            f"a surrogate is trained on lists, which {config.surrogate} cannot be",
            hint="choose sasrec or meanpool",
        )
    windows = calls / config.length
    derived = {
        "batch_size": int(np.clip(windows / 60, 4, 32)),
        "epochs": int(np.clip(2_000_000 / calls, 5, 80)),
        "dropout": 0.1,
        "item_dropout": 0.0,
        "weight_decay": 0.01,
    }
    known = {
        name: value for name, value in derived.items() if name in kind.config_class.model_fields
    }
    chosen = kind.config_class.model_validate({**known, **config.surrogate_settings})
    if not isinstance(chosen, NeuralConfig):
        raise ConfigError(f"{config.surrogate} has no training settings")
    return chosen


def fit_surrogate(
    transcript: Transcript,
    catalog: Catalog,
    config: ExtractionConfig,
    *,
    calls: int,
    streams: Streams,
    out: Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Recommender:
    """Train the surrogate on the first ``calls`` calls of a transcript.

    With ``out`` the checkpoint is kept there; a killed training continues, a finished one is
    loaded.

    Raises:
        RunError: the transcript holds fewer calls.
        ConfigError: the surrogate or its settings do not fit.
    """
    if out is not None and (out / "model.safetensors").exists():
        return load(out)
    settings = surrogate_config(config, calls=calls)
    kind: type[NeuralRecommender] = registry("models").get(config.surrogate)
    model = kind(catalog, settings)
    model.initialize(streams.torch("initialization"))
    objective = Distillation(
        model, transcript.chains(calls), loss=config.loss, rng=streams.numpy("held-out")
    )
    training = Training(out=out, device=device, progress=progress)
    fit(objective, settings, streams=streams, training=training)
    surrogate = model.cpu()
    if out is not None:
        save_checkpoint(surrogate, out, {"calls": calls, "attack": config.model_dump(mode="json")})
    return surrogate
