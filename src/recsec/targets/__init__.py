"""Targets: a recommender as the attacker reaches it, the meter, and the transcript."""

from recsec.targets.base import Budget, PartialAnswer, Stateful, Target, check_answer
from recsec.targets.callable import CallableTarget
from recsec.targets.contract import CONTRACT
from recsec.targets.guarded import ServedTarget, guarded_target, open_checkpoint
from recsec.targets.http import HttpTarget
from recsec.targets.http_config import HttpConfig
from recsec.targets.local import LocalTarget
from recsec.targets.metered import MeteredTarget
from recsec.targets.open import open_target
from recsec.targets.preflight import Preflight, preflight
from recsec.targets.transcript import Chains, Transcript

__all__ = [
    "CONTRACT",
    "Budget",
    "CallableTarget",
    "Chains",
    "HttpConfig",
    "HttpTarget",
    "LocalTarget",
    "MeteredTarget",
    "PartialAnswer",
    "Preflight",
    "ServedTarget",
    "Stateful",
    "Target",
    "Transcript",
    "check_answer",
    "guarded_target",
    "open_checkpoint",
    "open_target",
    "preflight",
]
