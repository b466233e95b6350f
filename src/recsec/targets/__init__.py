"""Targets: a recommender as the attacker reaches it, the meter, and the transcript."""

from recsec.targets.base import Budget, PartialAnswer, Stateful, Target, check_answer
from recsec.targets.local import LocalTarget
from recsec.targets.metered import MeteredTarget
from recsec.targets.transcript import Chains, Transcript

__all__ = [
    "Budget",
    "Chains",
    "LocalTarget",
    "MeteredTarget",
    "PartialAnswer",
    "Stateful",
    "Target",
    "Transcript",
    "check_answer",
]
