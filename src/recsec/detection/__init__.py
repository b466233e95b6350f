"""Detection: which accounts of a query log are thieves."""

from recsec.detection.base import CountingDetector, Detector, DetectorConfig, FitData
from recsec.detection.calibration import CHECKPOINTS, COMBINED, Calibration, Scale, combine
from recsec.detection.clusters import ClusterTest, surprise
from recsec.detection.contract import CONTRACT
from recsec.detection.detectors.accepted_rank import AcceptedRank, AcceptedRankConfig
from recsec.detection.detectors.asking import Asking
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
from recsec.detection.following import follow_in_processes, follow_log, follow_stream
from recsec.detection.own import fit_on_log
from recsec.detection.population import Pooled, Population, energy_test
from recsec.detection.sybil import Linker
from recsec.detection.verdict.check import strange_ways
from recsec.detection.verdict.explain import Explained, explain
from recsec.detection.verdict.judge import judge
from recsec.detection.watch import Fitted, Watch

__all__ = [
    "CHECKPOINTS",
    "COMBINED",
    "CONTRACT",
    "AcceptedRank",
    "AcceptedRankConfig",
    "Asking",
    "Calibration",
    "ClusterTest",
    "Continuity",
    "CountingDetector",
    "Detector",
    "DetectorConfig",
    "Explained",
    "FitConfig",
    "FitData",
    "Fitted",
    "Groups",
    "Hoda",
    "HodaConfig",
    "Linker",
    "OffList",
    "Pooled",
    "Population",
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
    "energy_test",
    "explain",
    "fit_detectors",
    "fit_on_log",
    "follow_in_processes",
    "follow_log",
    "follow_stream",
    "hardness",
    "judge",
    "laws_around",
    "normality",
    "split_users",
    "strange_ways",
    "surprise",
]
