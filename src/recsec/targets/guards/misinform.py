"""True answers for histories like people's, wrong ones for the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from recsec.data.sequences import pad
from recsec.errors import ConfigError, UsageError
from recsec.models.base import Recommender
from recsec.rng import Streams
from recsec.targets.guards.base import GuardConfig, Rescoring, Surroundings
from recsec.targets.guards.key import seed_of, seed_of_weights
from recsec.targets.guards.typical import NEWEST, KeptRanks, RankLaw, own_ranks, read_ranks
from recsec.types import IntArray

__all__ = ["Misinform", "MisinformConfig"]

USERS = 4000
"""Most users whose histories are looked at, half of them cut at a random place.

Every other one fits the law, the rest the threshold.
"""


WIDTH = 32
"""Of the random vectors from which wrong answers are made."""

FADING = 0.9
"""Weight of an item in a wrong answer, relative to the next newer one."""


class MisinformConfig(GuardConfig):
    """Settings of ``Misinform``."""

    false_alarms: float = Field(
        0.01, gt=0, lt=1, description="share of honest histories that get a wrong answer"
    )
    key: Path | None = Field(
        None, description="key file that chooses the decoys; null: the weights of the recommender"
    )
    people: Path | None = Field(
        None,
        description="ranks of people whom the recommender has not seen, to which law and threshold "
        "are fitted; null: those it was trained on",
    )


class Misinform(Rescoring):
    """Serves decoy lists to histories that don't look human; about 1 % of people's are among them.

    Each item of a history had a rank in the list that the recommender would have served before it.
    People choose at all ranks, and what is likely more often; a thief's policy takes items from the
    lists that he is served, or from the catalog whatever the history. Histories that speak for a
    policy are answered from another world: every item has a random vector there, and a history is
    followed by the items whose vectors lie near those of its newest ones. Such lists are alike for
    like histories, so a copy learns them; they say nothing about the recommender or its data, so
    there is nothing in them to undo; and who goes on from them looks less like a person, not more.
    The vectors follow from the weights, so servers agree on them and strangers cannot tell them.
    Accounts play no role, so more of them do not help.

    It stops thieves who ask like machines. One who draws ranks as people do, with the help of a
    copy learned from short sessions, passes: the policy ``rank-law``.

    Histories of a few items tell little and get true answers; so do histories of people that a
    thief has got hold of. People whom the recommender has not seen choose at other ranks than those
    it was trained on: ``people`` fits law and threshold to them. A thief may notice that a list has
    nothing in common with the one before it, and start anew: see ``wary`` among his switches. Costs
    a pass over the history and the ranks of its newest 50 items for a question, and one comparison
    where the history before its newest item was asked lately.

    Source: adaptive misinformation of Kariyappa & Qureshi, CVPR 2020, for classifiers of images;
    test and wrong answers are ours.

    Args:
        recommender: whose answers it guards.
        law: of honest and other histories.
        threshold: suspicion above which an answer is wrong, in nats.
        seed: of the other world; who knows it can tell wrong answers from true ones.
    """

    name = "misinform"
    config_class = MisinformConfig
    by_account = False

    def __init__(
        self, recommender: Recommender, law: RankLaw, *, threshold: float, seed: int
    ) -> None:
        self.recommender = recommender
        self.law = law
        self.threshold = threshold
        self.kept = KeptRanks(recommender)
        self.seed = seed
        rng = Streams(seed).numpy("another world")
        vectors = rng.standard_normal((2, len(recommender.catalog) + 1, WIDTH), dtype=np.float32)
        vectors[:, 0] = 0
        self.before, self.after = torch.from_numpy(vectors)

    @classmethod
    def build(cls, config: MisinformConfig, surroundings: Surroundings) -> Self:
        """Fit to histories of people; see ``Guard.build``."""
        known = surroundings.train
        if known is None or len(known) < 2:
            raise ConfigError(
                "misinform needs histories of people, and so the data set",
                hint="name it: data = NAME in the target's file, or --data",
            )
        rng = Streams(0).numpy("misinform")
        users = rng.permutation(len(known))[:USERS]
        lengths = known.lengths[users]
        early = rng.random(len(users)) < 0.5
        ends = np.where(early, rng.integers(np.minimum(lengths, 2), lengths + 1), lengths)
        rows = pad(known[int(user)][:end] for user, end in zip(users, ends, strict=True))
        popular = known.items[rng.integers(0, len(known.items), (len(rows[::2]), NEWEST))]
        liked = own_ranks(surroundings.recommender, rows[::2], popular)
        if config.people is None:
            ranks = own_ranks(surroundings.recommender, rows)
        else:
            ranks = read_ranks(config.people, items=len(known.catalog))
        law = RankLaw.fit(ranks[::2], liked, len(known.catalog))
        honest = law.suspicion(ranks[1::2])
        threshold = float(np.quantile(honest, 1 - config.false_alarms, method="higher"))
        seed = _seed(config.key, surroundings.recommender)
        return cls(surroundings.recommender, law, threshold=threshold, seed=seed)

    def suspected(self, histories: IntArray) -> IntArray:
        """Row numbers of histories ``(B, L)`` that no person would have."""
        suspicion = self.law.suspicion(own_ranks(self.recommender, histories))
        return np.flatnonzero(suspicion > self.threshold)

    def rescored(self, histories: IntArray, scores: Tensor) -> Tensor:
        """See ``Rescoring.rescored``."""
        suspicion = self.law.suspicion(self.kept.ranks(histories, scores))
        rows = torch.from_numpy(np.flatnonzero(suspicion > self.threshold))
        if len(rows) == 0:
            return scores
        wrong = self.elsewhere(histories[rows.numpy()])
        wrong.masked_fill_(torch.isneginf(scores[rows]), float("-inf"))
        return scores.index_copy(0, rows, wrong)

    def elsewhere(self, histories: IntArray) -> Tensor:
        """Scores ``(B, N + 1)`` that histories ``(B, L)`` have in the other world."""
        age = (histories > 0).sum(axis=1)[:, None] - 1 - np.arange(histories.shape[1])
        weights = torch.from_numpy(np.where(age >= 0, FADING ** np.maximum(age, 0), 0))
        items = torch.from_numpy(histories)
        context = torch.bmm(weights[:, None].float(), self.before[items])[:, 0]
        scores: Tensor = context @ self.after.T
        return scores


def _seed(key: Path | None, recommender: Recommender) -> int:
    """Of the other world: from a key, or from weights that only the owner knows.

    Raises:
        ConfigError: the recommender has no weights here, and there is no key.
    """
    label = "another world"
    if key is not None:
        return seed_of(key, label)
    try:
        return seed_of_weights(recommender.state(), label)
    except UsageError as error:
        raise ConfigError(
            f"misinform draws its decoys from the weights, and {error.message}",
            hint="recsec verify keygen --out KEY, then --guard misinform:key=KEY",
        ) from error
