"""Fit: a surrogate that ranks as the recorded lists do."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recsec.attacks.extraction.config import ExtractionConfig
from recsec.attacks.extraction.copying.distill import KERNELS, rank_weights, set_kernel
from recsec.attacks.extraction.copying.doubt import without_left
from recsec.attacks.extraction.copying.jumps import up_to_jumps
from recsec.attacks.extraction.copying.leak import begin_as
from recsec.attacks.extraction.copying.order import order_test, turned
from recsec.attacks.extraction.doubting import doubt, session_lengths
from recsec.data.catalog import Catalog
from recsec.errors import ConfigError
from recsec.metrics import agreement
from recsec.models import Recommender, Training, load, top_k
from recsec.models.checkpoint import save_checkpoint
from recsec.models.sequential.layers.windows import gather_windows, length_buckets
from recsec.models.sequential.neural import CausalRecommender, NeuralConfig, NeuralRecommender
from recsec.models.sequential.objectives.losses import Seen, catalog_loss, history_of
from recsec.models.trainer import Objective, fit
from recsec.registry import registry
from recsec.rng import Streams
from recsec.targets import Chains, Transcript
from recsec.types import IntArray, Progress

__all__ = ["Distillation", "fit_surrogate", "surrogate_config"]

PASSED_CALLS = 3_000_000
"""Calls times passes: with half of it Agr@10 fell from 0.60 to 0.53 at 50 k calls on ML-1M."""
STEPS = 3750
READ = 4
"""Items that may be read for the price of one answer."""
HELD_OUT = 0.05
VALIDATION_CALLS = 2000


class Distillation(Objective):
    """Rank every recorded history as the target did; validated by agreement on held-out sessions.

    A causal surrogate is trained on all calls of a session in one pass; any other on one history
    per call.

    Args:
        model: the surrogate.
        chains: what was asked and answered.
        config: which loss on the lists, and whether their order counts.
        rng: chooses the held-out sessions, a twentieth (at least one, unless there is only one).
    """

    def __init__(
        self,
        model: NeuralRecommender,
        chains: Chains,
        *,
        config: ExtractionConfig,
        rng: np.random.Generator,
    ) -> None:
        super().__init__()
        self.model = model
        self.chains = chains
        k = chains.answers.shape[1]
        if config.adaptive.set_only:
            self.kernel, self.weights = set_kernel(config.loss), torch.full((k,), 1 / k)
        else:
            self.kernel, self.weights = KERNELS[config.loss], rank_weights(k)
        self.k = min(10, k)
        spans = np.stack([chains.offsets[:-1], chains.offsets[1:]], axis=1)
        order = rng.permutation(len(spans))
        held = order[: max(1, round(HELD_OUT * len(spans)))]
        self.windows = self._cut(spans if len(spans) == 1 else np.delete(spans, held, axis=0))
        enough = 1 + np.searchsorted(self._asked(spans[held]).cumsum(), VALIDATION_CALLS)
        self.held_out = self._cut(spans[held[:enough]])

    def _asked(self, spans: IntArray) -> IntArray:
        """How many calls ``(S,)`` lie in each span."""
        before = np.concatenate([[0], np.cumsum(self.chains.answers[:, 0] > 0)])
        counts: IntArray = before[spans[:, 1]] - before[spans[:, 0]]
        return counts

    def _cut(self, spans: IntArray) -> IntArray:
        """Sessions ``(S, 2)`` in windows ``(W, 2)`` that fit the model and hold calls."""
        if isinstance(self.model, CausalRecommender):
            return self._pieces(spans, self.model.reach)
        return self._histories(spans, self.model.reach)

    def _pieces(self, spans: IntArray, length: int) -> IntArray:
        """Consecutive windows of at most ``length`` items, those with calls in them."""
        pieces = -(-(spans[:, 1] - spans[:, 0]) // length)
        place = np.arange(pieces.sum()) - np.repeat(pieces.cumsum() - pieces, pieces)
        ends = np.repeat(spans[:, 1], pieces) - length * (np.repeat(pieces, pieces) - 1 - place)
        starts = np.maximum(ends - length, np.repeat(spans[:, 0], pieces))
        windows = np.stack([starts, ends], axis=1)
        kept: IntArray = windows[self._asked(windows) > 0]
        return kept

    def _histories(self, spans: IntArray, length: int) -> IntArray:
        """For each call the newest ``length`` items of its history."""
        session = np.repeat(np.arange(len(spans)), spans[:, 1] - spans[:, 0])
        sizes = spans[:, 1] - spans[:, 0]
        place = np.arange(len(session)) - np.repeat(sizes.cumsum() - sizes, sizes)
        ends = spans[session, 0] + place + 1
        windows = np.stack([np.maximum(ends - length, spans[session, 0]), ends], axis=1)
        asked: IntArray = windows[self.chains.answers[ends - 1, 0] > 0]
        return asked

    @property
    def positions(self) -> int:
        """Items that one pass reads."""
        return int((self.windows[:, 1] - self.windows[:, 0]).sum())

    def _encode(self, windows: IntArray) -> tuple[Tensor, Tensor, Seen]:
        """For the calls in ``windows``: representations, answers ``(T, K)``, and the histories."""
        device = self.model.item_table().device
        items = torch.from_numpy(gather_windows(self.chains.items, windows)).to(device)
        if not isinstance(self.model, CausalRecommender):
            lists = torch.from_numpy(self.chains.answers[windows[:, 1] - 1]).long().to(device)
            row, lengths = torch.arange(len(items), device=device), (items > 0).sum(dim=1)
            return self.model.newest(items, lengths), lists, history_of(items, row, lengths - 1)
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

    def validate(self) -> dict[str, float]:
        """Agreement with the lists of held-out sessions, history excluded."""
        value = self._agreement(self.held_out)
        return {"agreement": 0.0} if value is None else {f"agr@{self.k}": value}

    def reproduced(self, rng: np.random.Generator) -> float | None:
        """Agreement with lists it was trained on, in as many windows as are held out."""
        windows = self.windows[rng.permutation(len(self.windows))[: len(self.held_out)]]
        return self._agreement(windows)

    @torch.no_grad()
    def _agreement(self, windows: IntArray) -> float | None:
        """With the lists in some windows; None if there is no call in them."""
        found, wanted = [], []
        for first in range(0, len(windows), 512):
            hidden, lists, seen = self._encode(windows[first : first + 512])
            for start in range(0, len(lists), 512):
                part = slice(start, start + 512)
                scores = self.model.scores_of(hidden[part].float())
                scores.scatter_(1, seen(part).cpu(), float("-inf"))
                found.append(top_k(scores, self.k).numpy())
            wanted.append(lists[:, : self.k].cpu().numpy())
        if not found:
            return None
        return float(agreement(np.concatenate(found), np.concatenate(wanted), self.k).mean())


def surrogate_config(
    config: ExtractionConfig,
    *,
    calls: int,
    windows: int | None = None,
    positions: int = 0,
    longest: int | None = None,
    longer: int = 1,
) -> NeuralConfig:
    """Settings of the surrogate for a number of calls.

    Unless set, the batch size and the number of epochs follow from the calls (many passes over few
    answers, few passes over many), and there is little regularization: a target is a function
    without noise. Where a pass reads far more items than it has answers, because every call has a
    history of its own, there are fewer passes.

    Args:
        config: the attack.
        calls: how many answers there are.
        windows: in how many windows they are read; by default sessions of ``config.length``.
        positions: items that one pass reads, where that is more than the calls.
        longest: items of the longest history that was asked. A copy that reads further back would
            read what it never learned to read.
        longer: times the passes that follow from the calls.

    Raises:
        ConfigError: the architecture is unknown, or cannot be trained on lists, or the loss and
            the thief's switches contradict each other.
    """
    if config.adaptive.set_only:
        set_kernel(config.loss)
    kind: type[Recommender] = registry("models").get(config.surrogate)
    if not issubclass(kind, NeuralRecommender):
        raise ConfigError(
            f"a surrogate is trained on lists, which {config.surrogate} cannot be",
            hint="choose bert4rec, meanpool, narm or sasrec",
        )
    count = calls / config.length if windows is None else windows
    read = max(calls, positions / READ)
    epochs = int(np.clip(PASSED_CALLS / read, 8, 80))
    mean_length = max(calls, positions) / max(1, count)
    widest = 32 * max(1.0, config.length / mean_length)
    derived = {
        "batch_size": int(np.clip(count * epochs / STEPS, 4, widest)),
        "epochs": longer * epochs,
        "dropout": 0.1,
        "item_dropout": 0.0,
        "weight_decay": 0.01,
    }
    known = {
        name: value for name, value in derived.items() if name in kind.config_class.model_fields
    }
    reach = kind.config_class.model_fields.get("max_length")
    if longest is not None and reach is not None:
        known["max_length"] = max(1, min(reach.default, longest))
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
    longer: int = 1,
    guide: Recommender | None = None,
    out: Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Recommender:
    """Train the surrogate on the first ``calls`` calls of a transcript.

    With ``out`` the checkpoint is kept there; a killed training continues, a finished one is
    loaded. Its ``config.json`` tells how the training went: agreement with lists that it was
    trained on (``trained``) and with others (``held_out``), and the best of how many ``epochs``.
    ``longer`` is as in ``surrogate_config``. ``guide`` is what the copy begins as.

    Raises:
        RunError: the transcript holds fewer calls.
        ConfigError: the surrogate or its settings do not fit.
    """
    if out is not None and (out / "model.safetensors").exists():
        return load(out)
    chains = transcript.chains(calls)
    order = order_test(chains)
    if config.adaptive.wary > 0:
        chains = up_to_jumps(chains, config.adaptive.wary)
    if doubt(config):
        chains = without_left(chains, session_lengths(config))
    if config.adaptive.list_flip and order.reversed:
        chains = replace(chains, answers=turned(chains.answers))
    kind: type[NeuralRecommender] = registry("models").get(config.surrogate)
    longest = int(np.diff(chains.offsets).max(initial=1))
    model = kind(catalog, surrogate_config(config, calls=calls, longest=longest))
    model.initialize(streams.torch("initialization"))
    if guide is not None:
        begin_as(model, guide)
    objective = Distillation(model, chains, config=config, rng=streams.numpy("held-out"))
    settings = surrogate_config(
        config,
        calls=calls,
        windows=len(objective.windows),
        positions=objective.positions,
        longest=longest,
        longer=longer,
    )
    model.config = settings
    training = Training(out=out, device=device, progress=progress)
    history = fit(objective, settings, streams=streams, training=training)
    course = _course(history, objective, streams)
    surrogate = model.cpu()
    if out is not None:
        facts = {
            "calls": calls,
            "attack": config.model_dump(mode="json"),
            "order": asdict(order),
            "course": course,
        }
        save_checkpoint(surrogate, out, facts)
    return surrogate


def _course(
    history: list[dict[str, Any]], objective: Distillation, streams: Streams
) -> dict[str, Any]:
    """How a training went."""
    scores = [next(iter(entry["valid"].values())) for entry in history]
    return {
        "held_out": max(scores),
        "trained": objective.reproduced(streams.numpy("reproduced")),
        "best_epoch": 1 + int(np.argmax(scores)),
        "epochs": objective.model.config.epochs,
    }
