"""The contract of a recommender as functions, for the tests of ours and of plugins.

In the tests of a plugin:

    @pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
    def test_contract(check):
        check(my_model, histories)

Each check raises ``ConfigError`` or ``CheckpointError`` that says what is wrong. ``histories`` are
a few different ones, ``(B, L)`` int64 with zeros on the right, some of them shorter than L.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch

from recsec.errors import CheckpointError, ConfigError
from recsec.models.base import Incremental, Recommender
from recsec.types import IntArray

__all__ = ["CONTRACT", "Check"]

Check: TypeAlias = Callable[[Recommender, IntArray], None]

TOLERANCE = 1e-4


def _differs(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether real scores (padding apart) are further apart than rounding explains."""
    return not torch.allclose(a[:, 1:], b[:, 1:], rtol=TOLERANCE, atol=TOLERANCE)


def scores_fit_the_catalog(model: Recommender, histories: IntArray) -> None:
    """Float32 ``(B, N + 1)``, finite but for padding, which is -inf."""
    scores = model.scores(histories)
    expected = (len(histories), len(model.catalog) + 1)
    if tuple(scores.shape) != expected or scores.dtype != torch.float32:
        raise ConfigError(f"scores are {scores.dtype} {tuple(scores.shape)}; expected {expected}")
    if not bool(torch.isneginf(scores[:, 0]).all()):
        raise ConfigError("the score of padding (column 0) is not -inf")
    if not bool(torch.isfinite(scores[:, 1:]).all()):
        raise ConfigError("an item has a score that is not finite")


def padding_means_nothing(model: Recommender, histories: IntArray) -> None:
    """More zeros on the right, or other rows beside it, change no score."""
    scores = model.scores(histories)
    wider = np.pad(histories, ((0, 0), (0, 3)))
    if _differs(scores, model.scores(wider)):
        raise ConfigError("padding a history with zeros changed its scores")
    alone = torch.cat([model.scores(row[None, : int((row > 0).sum())]) for row in histories])
    if _differs(scores, alone):
        raise ConfigError("the other histories of a batch changed a history's scores")


def strangers_are_served(model: Recommender, histories: IntArray) -> None:
    """An empty history and an empty batch are answered."""
    if model.top_k(np.zeros((1, 0), dtype=np.int64), 1).shape != (1, 1):
        raise ConfigError("an empty history got no list")
    if model.scores(histories[:0]).shape != (0, len(model.catalog) + 1):
        raise ConfigError("an empty batch got scores")


def lists_are_the_best_scores(model: Recommender, histories: IntArray) -> None:
    """``top_k`` is distinct, leaves the history out, and is ordered by score."""
    k = min(5, len(model.catalog))
    scores = model.scores(histories)
    lists = model.top_k(histories, k)
    for row, (items, history) in enumerate(zip(lists, histories, strict=True)):
        listed = items[items > 0]
        if len(set(listed)) < len(listed) or np.isin(listed, history).any():
            raise ConfigError(f"list {row} repeats an item or names one of the history")
        found = scores[row, torch.from_numpy(listed)]
        rest = scores[row].clone()
        rest[torch.from_numpy(np.concatenate([history, listed]))] = float("-inf")
        if bool((found[1:] > found[:-1]).any()) or bool((rest > found.min()).any()):
            raise ConfigError(f"list {row} is not the best scores in order")


def ids_of_the_world_work(model: Recommender, histories: IntArray) -> None:
    """``recommend`` takes and gives external ids, the same lists as ``top_k``."""
    given = [model.catalog.external(row) for row in histories]
    expected = [model.catalog.external(row) for row in model.top_k(histories, 3)]
    if model.recommend(given, 3) != expected:
        raise ConfigError("recommend and top_k disagree")


def asking_changes_nothing(model: Recommender, histories: IntArray) -> None:
    """The same question twice, the same answer; the caller's array is not written to."""
    before = histories.copy()
    first = model.scores(histories)
    if not torch.equal(first, model.scores(histories)):
        raise ConfigError("the same histories got other scores the second time")
    if not np.array_equal(before, histories):
        raise ConfigError("the histories were written to")


def state_rebuilds_the_model(model: Recommender, histories: IntArray) -> None:
    """``from_state(state())`` scores the same to the bit; wrong tensors are refused."""
    again = type(model).from_state(model.catalog, model.config, model.state())
    if not torch.equal(again.scores(histories), model.scores(histories)):
        raise ConfigError("a model rebuilt from its state scores differently")
    try:
        type(model).from_state(model.catalog, model.config, {"nonsense": torch.zeros(1)})
    except CheckpointError:
        return
    raise ConfigError("from_state accepted a tensor called 'nonsense'")


def growing_equals_starting_over(model: Recommender, histories: IntArray) -> None:
    """Where the model is ``Incremental``: extending gives the scores of the longer history."""
    if not isinstance(model, Incremental):
        return
    length = int((histories > 0).sum(axis=1).min())
    grown = histories[:, :length]
    state = model.open(grown[:, :1])
    for at in range(1, length):
        state = model.extend(state, grown[:, at])
        if _differs(model.state_scores(state), model.scores(grown[:, : at + 1])):
            raise ConfigError(f"extending to {at + 1} items differs from encoding them at once")


CONTRACT: tuple[Check, ...] = (
    scores_fit_the_catalog,
    padding_means_nothing,
    strangers_are_served,
    lists_are_the_best_scores,
    ids_of_the_world_work,
    asking_changes_nothing,
    state_rebuilds_the_model,
    growing_equals_starting_over,
)
