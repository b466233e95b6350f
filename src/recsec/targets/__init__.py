"""Targets: a recommender as the attacker reaches it, the meter, and the transcript."""

from recsec.targets.base import Budget, PartialAnswer, Stateful, Target, check_answer
from recsec.targets.callable import CallableTarget
from recsec.targets.contract import CONTRACT
from recsec.targets.guarded import ServedTarget, guarded_target, open_checkpoint
from recsec.targets.http.client import HttpTarget
from recsec.targets.http.config import HttpConfig
from recsec.targets.local import LocalTarget
from recsec.targets.meter.metered import MeteredTarget
from recsec.targets.meter.transcript import Chains, Transcript
from recsec.targets.open import open_target
from recsec.targets.preflight import Preflight, preflight

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
