"""Is a list noise? Judged by the thief's own copy, so it costs no call."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import scipy
import torch

from recsec.models import Recommender, mask_history
from recsec.targets import Chains
from recsec.types import FloatArray, IntArray

__all__ = ["believed", "surprise", "without_left"]


def surprise(surrogate: Recommender, histories: IntArray, lists: IntArray) -> FloatArray:
    """How far down the copy ranks the items of lists ``(B, K)``: ``sum log(rank / N)``, ``(B,)``.

    N counts the items that may be ranked, those of the history left out; zeros of a list are no
    items. A list that has nothing to do with the history has ranks that are uniform, and each
    ``-log(rank / N)`` is exponential with mean 1.
    """
    scores = mask_history(surrogate.scores(histories), torch.from_numpy(histories))
    listed = torch.from_numpy(lists.astype(np.int64))
    own = scores.gather(1, listed)
    ordered = scores.sort(dim=1).values
    above = scores.shape[1] - torch.searchsorted(ordered, own.contiguous(), right=True)
    ranked = torch.isfinite(scores).sum(dim=1, keepdim=True).clamp_min(1)
    logs = torch.log((above + 1).clamp(max=ranked).double() / ranked)
    found: FloatArray = logs.masked_fill(listed == 0, 0).sum(dim=1).numpy()
    return found


def believed(
    surrogate: Recommender, histories: IntArray, lists: IntArray, error: float
) -> npt.NDArray[np.bool_]:
    """Which of the lists ``(B, K)`` served for ``histories (B, L)`` are no noise.

    The sum of n uniform ``-log(rank / N)`` follows a gamma law of shape n. A list is believed where
    its items stand higher than those of all but a share ``error`` of random lists. Empty lists tell
    nothing and are believed.
    """
    sizes = (lists > 0).sum(axis=1)
    bound = scipy.special.gammainccinv(np.maximum(sizes, 1), error)
    found: npt.NDArray[np.bool_] = (-surprise(surrogate, histories, lists) > bound) | (sizes == 0)
    return found


def without_left(chains: Chains, lengths: tuple[int, ...]) -> Chains:
    """Sessions without their last answer, where they were left before one of ``lengths`` items.

    A thief who doubts a list leaves there, so it is the last one. What the end of the budget or of
    a round cut short looks alike: at most a list of each session of its last block is lost. Where
    that would be more than half of all answers, as of a handful of calls, all are kept.
    """
    ends = chains.offsets[1:] - 1
    left = ends[~np.isin(np.diff(chains.offsets), lengths)]
    answers = chains.answers.copy()
    answers[left] = 0
    if 2 * (answers[:, 0] > 0).sum() < (chains.answers[:, 0] > 0).sum():
        return chains
    return replace(chains, answers=answers)
