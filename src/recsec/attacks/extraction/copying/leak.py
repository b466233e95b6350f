"""Leaked histories: drawn as the plan says, and what a thief learns from them without a call."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsec.attacks.extraction.config import ExtractionConfig
from recsec.data.sequences import Sequences, Split, leave_one_out, pad
from recsec.errors import ConfigError
from recsec.models import ModelConfig, Recommender, Training
from recsec.models.training import train
from recsec.registry import registry
from recsec.rng import Streams
from recsec.types import IntArray, Progress

__all__ = ["Replay", "fit_guide", "guide_config", "leaked_histories", "leaked_users"]


def leaked_users(split: Split, share: float, streams: Streams) -> IntArray:
    """Numbers of the users whose histories leak, a share of all, in ascending order.

    With the same streams a smaller share is part of a larger one. Who measures fidelity leaves
    these users out.
    """
    count = round(share * len(split.full))
    if share > 0 and count == 0:
        raise ConfigError(
            f"a leak of {share:g} of {len(split.full)} users is nobody", hint="leak more"
        )
    order = streams.numpy("leak").permutation(len(split.full))
    return np.sort(order[:count]).astype(np.int64)


def leaked_histories(split: Split, users: IntArray) -> Sequences:
    """What leaks of these users: all but the held-out test item."""
    return split.full.drop_last(1).select(users)


def guide_config(config: ExtractionConfig, leak: Sequences) -> ModelConfig:
    """Settings of a model of the surrogate's architecture for few histories: small batches."""
    kind: type[Recommender] = registry("models").get(config.surrogate)
    fields = kind.config_class.model_fields
    shaped = {
        key: value
        for key, value in config.surrogate_settings.items()
        if key not in ("epochs", "batch_size")
    }
    derived = {
        "epochs": 60,
        "patience": 10,
        "batch_size": int(np.clip(len(leak.items) / 4000, 4, 64)),
    }
    known = {key: value for key, value in {**derived, **shaped}.items() if key in fields}
    return kind.config_class.model_validate(known)


def fit_guide(
    leak: Sequences,
    config: ExtractionConfig,
    *,
    seed: int,
    out: Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Recommender:
    """Train a model of the surrogate's architecture on the leak alone, without a call.

    It guides the ``few-shot`` sampler, and its fidelity is the floor of every thief with this leak.
    With ``out`` a killed training continues and a finished one is loaded.

    Raises:
        ConfigError: no leaked history is long enough to learn from.
    """
    rows = [row for row in leak if len(row) >= 3]
    if not rows:
        raise ConfigError("no leaked history has 3 items or more: nothing can be learned from it")
    split = leave_one_out(Sequences.from_lists(leak.catalog, [row.tolist() for row in rows]))
    training = Training(out=out, device=device, progress=progress)
    return train(config.surrogate, split, guide_config(config, leak), seed=seed, training=training)


class Replay:
    """Leaked histories in random order, to be asked as their users would have.

    Args:
        leak: the histories.
    """

    def __init__(self, leak: Sequences) -> None:
        self.leak = leak
        self.waiting: IntArray | None = None

    def once(self, count: int, rng: np.random.Generator) -> IntArray | None:
        """The next ``count`` histories ``(B, L)``, each once; None when all were given out."""
        if self.waiting is None:
            self.waiting = rng.permutation(len(self.leak)).astype(np.int64)
        now, self.waiting = self.waiting[:count], self.waiting[count:]
        return pad(self.leak[int(user)] for user in now) if len(now) else None

    def again(self, count: int, rng: np.random.Generator) -> IntArray:
        """``count`` histories ``(B, L)`` drawn with replacement."""
        users = rng.integers(len(self.leak), size=count)
        return pad(self.leak[int(user)] for user in users)
