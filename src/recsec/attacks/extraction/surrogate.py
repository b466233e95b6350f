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
from recsec.models import Recommender, Training, load, top_k
from recsec.models.checkpoint import save_checkpoint
from recsec.models.losses import Seen, catalog_loss, history_of
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
        spans = np.stack([chains.offsets[:-1], chains.offsets[1:]], axis=1)
        order = rng.permutation(len(spans))
        held = order[: max(1, round(HELD_OUT * len(spans)))]
        self.windows = self._cut(spans if len(spans) == 1 else np.delete(spans, held, axis=0))
        enough = 1 + np.searchsorted(np.diff(spans[held]).cumsum(), VALIDATION_CALLS)
        self.held_out = self._cut(spans[held[:enough]])

    def _cut(self, spans: IntArray) -> IntArray:
        """Sessions ``(S, 2)`` in windows ``(W, 2)`` that fit the model."""
        length = self.model.config.max_length
        pieces = -(-(spans[:, 1] - spans[:, 0]) // length)
        place = np.arange(pieces.sum()) - np.repeat(pieces.cumsum() - pieces, pieces)
        start = np.repeat(spans[:, 0], pieces) + length * place
        return np.stack([start, np.minimum(start + length, np.repeat(spans[:, 1], pieces))], axis=1)

    def _encode(self, windows: IntArray) -> tuple[Tensor, Tensor, Seen]:
        """For the calls in ``windows``: representations, answers ``(T, K)``, and the histories."""
        device = self.model.item_table().device
        items = torch.from_numpy(gather_windows(self.chains.items, windows)).to(device)
        row, column = (items > 0).nonzero(as_tuple=True)
        flat = windows[row.cpu().numpy(), 0] + column.cpu().numpy()
        lists = torch.from_numpy(self.chains.answers[flat]).long().to(device)
        asked = lists[:, 0] > 0
        row, column = row[asked], column[asked]
        return self.model.hidden(items)[row, column], lists[asked], history_of(items, row, column)

    def epoch(self, rng: np.random.Generator) -> list[IntArray]:
        """Windows ``(B, 2)`` of sessions, in batches of similar length."""
        sizes = self.windows[:, 1] - self.windows[:, 0]
        batches = length_buckets(sizes, self.model.config.batch_size, rng)
        return [self.windows[rows] for rows in batches]

    def forward(self, batch: IntArray) -> Tensor:
        """Mean loss over the calls of a batch."""
        hidden, lists, seen = self._encode(batch)
        weights = self.weights.to(lists.device) * (lists > 0)
        table = self.model.item_table()
        total = catalog_loss(hidden, table, lists, weights, seen=seen, kernel=self.kernel)
        return total / max(1, len(lists))

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Agreement with the lists of held-out sessions, history excluded."""
        hidden, lists, seen = self._encode(self.held_out)
        found = []
        for start in range(0, len(lists), 512):
            part = slice(start, start + 512)
            scores = self.model.scores_of(hidden[part].float())
            scores.scatter_(1, seen(part).cpu(), float("-inf"))
            found.append(top_k(scores, self.k).numpy())
        if not found:
            return {"agreement": 0.0}
        wanted = lists[:, : self.k].cpu().numpy()
        return {f"agr@{self.k}": float(agreement(np.concatenate(found), wanted, self.k).mean())}


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
    epochs = int(np.clip(1_500_000 / calls, 3, 80))
    derived = {
        "batch_size": int(np.clip(windows * epochs / 2500, 4, 32)),
        "epochs": epochs,
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
