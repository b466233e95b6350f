"""Detection: which accounts of a query log are thieves."""

from recsec.detection.base import CountingDetector, Detector, DetectorConfig, FitData
from recsec.detection.calibration import CHECKPOINTS, COMBINED, Calibration, Scale, combine
from recsec.detection.contract import CONTRACT
from recsec.detection.detectors.accepted_rank import AcceptedRank, AcceptedRankConfig
from recsec.detection.detectors.continuity import Continuity
from recsec.detection.detectors.hoda import Hoda, HodaConfig, hardness
from recsec.detection.detectors.off_list import OffList
from recsec.detection.detectors.prada import Prada, PradaConfig, normality
from recsec.detection.detectors.seat import Seat, SeatConfig
from recsec.detection.detectors.transition import Transition, TransitionConfig
from recsec.detection.fit import (
    FitConfig,
    Groups,
    account_table,
    fit_detectors,
    laws_around,
    split_users,
)
from recsec.detection.following import follow_log
from recsec.detection.judge import judge
from recsec.detection.sybil import Linker
from recsec.detection.watch import Fitted, Watch

__all__ = [
    "CHECKPOINTS",
    "COMBINED",
    "CONTRACT",
    "AcceptedRank",
    "AcceptedRankConfig",
    "Calibration",
    "Continuity",
    "CountingDetector",
    "Detector",
    "DetectorConfig",
    "FitConfig",
    "FitData",
    "Fitted",
    "Groups",
    "Hoda",
    "HodaConfig",
    "Linker",
    "OffList",
    "Prada",
    "PradaConfig",
    "Scale",
    "Seat",
    "SeatConfig",
    "Transition",
    "TransitionConfig",
    "Watch",
    "account_table",
    "combine",
    "fit_detectors",
    "follow_log",
    "hardness",
    "judge",
    "laws_around",
    "normality",
    "split_users",
]
