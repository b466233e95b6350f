"""Targets: a recommender as the attacker reaches it, the meter, and the transcript."""

from recsec.targets.base import Budget, PartialAnswer, Stateful, Target, check_answer
from recsec.targets.callable import CallableTarget
from recsec.targets.contract import CONTRACT
from recsec.targets.foreign import ForeignRecommender, capabilities_of, scored_by
from recsec.targets.guarded import (
    ServedTarget,
    guarded_target,
    more_marked,
    open_checkpoint,
    read_guarded,
    refuse_guards,
    remembered,
)
from recsec.targets.http.client import HttpTarget
from recsec.targets.http.config import HttpConfig
from recsec.targets.listed import GuardedLists
from recsec.targets.local import LocalTarget
from recsec.targets.meter.metered import MeteredTarget
from recsec.targets.meter.spot import SPOTS, spot_check
from recsec.targets.meter.transcript import Chains, Transcript, recorded, requests
from recsec.targets.meter.unknown import recorded_unknown
from recsec.targets.open import open_target
from recsec.targets.preflight import ASKINGS, Preflight, preflight
from recsec.targets.sources import (
    checkpoint_digests,
    code_digests,
    guard_digests,
    target_digests,
)
from recsec.targets.unseen import Unseen, unseen_served_worse
from recsec.targets.wire import Unknown, unknown_items

__all__ = [
    "ASKINGS",
    "CONTRACT",
    "SPOTS",
    "Budget",
    "CallableTarget",
    "Chains",
    "ForeignRecommender",
    "GuardedLists",
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
    "Unknown",
    "Unseen",
    "capabilities_of",
    "check_answer",
    "checkpoint_digests",
    "code_digests",
    "guard_digests",
    "guarded_target",
    "more_marked",
    "open_checkpoint",
    "open_target",
    "preflight",
    "read_guarded",
    "recorded",
    "recorded_unknown",
    "refuse_guards",
    "remembered",
    "requests",
    "scored_by",
    "spot_check",
    "target_digests",
    "unknown_items",
    "unseen_served_worse",
]
