"""Has a recommender seen the items that it is tested on? Its hit rate is then too good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsec.evaluation.held_out import Evaluation, evaluate
from recsec.models.base import Training
from recsec.models.sequential.markov import Markov, MarkovConfig
from recsec.types import FloatArray

__all__ = ["Seen", "against_markov", "compare_hits"]

USERS = 1000
"""On how many at most the reference is measured."""
PLACES = 10
FAR = 0.1
"""Hit rate beyond the reference that the interval must exceed ..."""
TIMES = 1.5
"""... and how many times the reference it must be. SASRec on ML-1M: 0.315 against 0.254."""


@dataclass(frozen=True)
class Seen:
    """A hit rate beside that of a model that cannot have seen the test items.

    Attributes:
        hit_rate: share of users whose held-out item is listed.
        reference: the same of the other model, on the same users.
        low: lower end of the 95 % interval of the difference (normal, paired).
        users: on how many.
        places: length of the lists.
        name: of the other model.
    """

    hit_rate: float
    reference: float
    low: float
    users: int
    places: int
    name: str

    @property
    def suspicious(self) -> bool:
        """Whether no honest model is known that is so far ahead."""
        return self.low > FAR and self.hit_rate > TIMES * self.reference

    def said(self) -> str:
        """In a sentence without its end; empty where nothing is suspicious."""
        if not self.suspicious:
            return ""
        return (
            f"HR@{self.places} {self.hit_rate:.3f}, where {self.name} reaches {self.reference:.3f} "
            f"on the same {self.users:,} users: was the model trained on the items that it is "
            "tested on?"
        )


def compare_hits(ours: FloatArray, theirs: FloatArray, *, name: str, places: int) -> Seen:
    """Hits ``(U,)`` of a model and of a reference, user by user.

    >>> compare_hits(np.ones(100), np.zeros(100), name="markov", places=10).suspicious
    True
    """
    gap = ours - theirs
    spread = float(gap.std() / np.sqrt(max(1, len(gap))))
    return Seen(
        hit_rate=float(ours.mean()),
        reference=float(theirs.mean()),
        low=float(gap.mean()) - 1.96 * spread,
        users=len(gap),
        places=places,
        name=name,
    )


def against_markov(found: Evaluation) -> Seen:
    """Compare with a chain over items that was counted on the training items alone.

    Args:
        found: what was measured; at most 1,000 of its users are compared, evenly spread.
    """
    split, places = found.split, min(PLACES, found.lists.shape[1])
    chain = Markov.fit(split, MarkovConfig.model_validate({}), seed=0, training=Training())
    count = min(USERS, len(found.users))
    rows = np.linspace(0, len(found.users) - 1, count).round().astype(np.int64)
    other = evaluate(chain, split, stage=found.stage, users=found.users[rows], depth=places)
    hits = [(ranks <= places).astype(np.float64) for ranks in (found.ranks[rows], other.ranks)]
    return compare_hits(*hits, name="markov", places=places)
