"""What an opened recommender or target can do, in the vocabulary of ``recsec.sources``."""

from __future__ import annotations

from recsec.models import Recommender
from recsec.models.base import Incremental
from recsec.sources import Capability
from recsec.targets.base import Target
from recsec.targets.foreign import ForeignRecommender
from recsec.targets.local import LocalTarget

__all__ = ["capabilities_of"]


def capabilities_of(found: Recommender | Target) -> frozenset[Capability]:
    """What can be asked of what was opened; behind guards it is lists only."""
    if isinstance(found, LocalTarget) and not found.guards:
        return capabilities_of(found.recommender)
    if not isinstance(found, Recommender):
        return frozenset({"ids"})
    known: set[Capability] = {"ids", "scores", "all-scores"}
    if isinstance(found, Incremental):
        known.add("growing")
    if not isinstance(found, ForeignRecommender):
        known.add("weights")
    return frozenset(known)
