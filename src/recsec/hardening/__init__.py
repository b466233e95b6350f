"""Hardening: defenses that are applied while training."""

from recsec.hardening.adversarial import Adversarial, AdversarialConfig
from recsec.hardening.base import Hardening, Start
from recsec.hardening.curriculum import Curriculum, CurriculumConfig, CurriculumThesis
from recsec.hardening.fare import Fare, FareConfig
from recsec.hardening.fast import Fast, FastConfig
from recsec.hardening.gro import Gro, GroConfig
from recsec.hardening.honeypot import Honeypot, HoneypotConfig
from recsec.hardening.robust import RobustConfig, VisualHardening
from recsec.hardening.sequential import RecommenderHardening, harden_recommender
from recsec.hardening.smoothing import (
    Smoothed,
    largest_similarity,
    safe_radius,
    smooth,
    upper_bound,
)
from recsec.hardening.target import Target, TargetConfig
from recsec.hardening.trades_embedding import TradesEmbedding, TradesEmbeddingConfig
from recsec.hardening.training import Clock, clean_epoch_seconds, harden, hardening_class
from recsec.hardening.trap import Trap, contains, triggered

__all__ = [
    "Adversarial",
    "AdversarialConfig",
    "Clock",
    "Curriculum",
    "CurriculumConfig",
    "CurriculumThesis",
    "Fare",
    "FareConfig",
    "Fast",
    "FastConfig",
    "Gro",
    "GroConfig",
    "Hardening",
    "Honeypot",
    "HoneypotConfig",
    "RecommenderHardening",
    "RobustConfig",
    "Smoothed",
    "Start",
    "Target",
    "TargetConfig",
    "TradesEmbedding",
    "TradesEmbeddingConfig",
    "Trap",
    "VisualHardening",
    "clean_epoch_seconds",
    "contains",
    "harden",
    "harden_recommender",
    "hardening_class",
    "largest_similarity",
    "safe_radius",
    "smooth",
    "triggered",
    "upper_bound",
]
