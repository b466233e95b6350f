"""Leaked histories: drawn as the plan says, and what a thief learns from them without a call."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsec.attacks.extraction.config import ExtractionConfig
from recsec.data import load as load_data
from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences, Split, leave_one_out, pad
from recsec.errors import ConfigError
from recsec.models import ModelConfig, Recommender, Training, load
from recsec.models.sequential.neural import NeuralRecommender
from recsec.models.training import train
from recsec.registry import registry
from recsec.rng import Streams
from recsec.types import IntArray, Progress

__all__ = [
    "Replay",
    "begin_as",
    "fit_guide",
    "guide_config",
    "guide_of",
    "leaked_histories",
    "leaked_users",
    "pretrains",
    "proxy_histories",
]


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


def proxy_histories(name: str, catalog: Catalog) -> Sequences:
    """Histories of another data set in the items of ``catalog``, found by title.

    Titles are compared without case and outer blanks; of several items with one title the first
    counts. Items that the catalog lacks are left out, and histories of fewer than two items.

    Raises:
        ConfigError: no history is left.
        DataError: there is no such data set here.
    """
    other = load_data(name)
    known: dict[str, int] = {}
    for index, title in enumerate(catalog.titles, start=1):
        known.setdefault(title.strip().casefold(), index)
    to = np.array([0, *(known.get(title.strip().casefold(), 0) for title in other.catalog.titles)])
    rows = [list(dict.fromkeys(to[row][to[row] > 0].tolist())) for row in other.split().full]
    found = [row for row in rows if len(row) > 1]
    if not found:
        raise ConfigError(
            f"no history of {name} holds two items of this catalog: titles are compared",
            hint="choose a data set about the same things",
        )
    return Sequences.from_lists(catalog, found)


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


def pretrains(config: ExtractionConfig) -> bool:
    """Whether the copy begins as the guide."""
    return bool(getattr(registry("policies").get(config.policy), "pretrains", False))


def guide_of(config: ExtractionConfig, folder: Path) -> Recommender | None:
    """What the copy begins as, of a collection that kept its transcript in ``folder``; or None."""
    return load(folder / "guide") if pretrains(config) else None


def begin_as(model: NeuralRecommender, guide: Recommender) -> None:
    """Give a copy the weights of a guide, as far as they have the same shape.

    Of positions, which one of them may have more of, the first ones count for both.
    """
    own = model.state()
    for name, tensor in guide.state().items():
        if name in own and own[name].shape[1:] == tensor.shape[1:]:
            rows = min(len(own[name]), len(tensor))
            own[name][:rows] = tensor[:rows]
    model.load_state_dict(own)


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
