"""Hardening: defenses that are applied while training."""

from recsec.hardening.base import Hardening, Start
from recsec.hardening.sequential.copies import RecommenderHardening, harden_recommender
from recsec.hardening.sequential.gro import Gro, GroConfig
from recsec.hardening.sequential.honeypot import Honeypot, HoneypotConfig
from recsec.hardening.sequential.trap import Trap, contains, triggered
from recsec.hardening.visual.adversarial import Adversarial, AdversarialConfig
from recsec.hardening.visual.curriculum import Curriculum, CurriculumConfig, CurriculumThesis
from recsec.hardening.visual.fare import Fare, FareConfig
from recsec.hardening.visual.fast import Fast, FastConfig
from recsec.hardening.visual.robust import RobustConfig, VisualHardening
from recsec.hardening.visual.smoothing import (
    Smoothed,
    largest_similarity,
    safe_radius,
    smooth,
    upper_bound,
)
from recsec.hardening.visual.target import Target, TargetConfig
from recsec.hardening.visual.trades_embedding import TradesEmbedding, TradesEmbeddingConfig
from recsec.hardening.visual.training import Clock, clean_epoch_seconds, harden, hardening_class

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
