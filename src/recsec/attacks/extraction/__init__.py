"""Extraction: copy a recommender through its top-k API."""

from recsec.attacks.extraction.collect import collect, make_policy
from recsec.attacks.extraction.config import ExtractionConfig
from recsec.attacks.extraction.policy import Policy, PolicyConfig
from recsec.attacks.extraction.surrogate import fit_surrogate, surrogate_config

__all__ = [
    "ExtractionConfig",
    "Policy",
    "PolicyConfig",
    "collect",
    "fit_surrogate",
    "make_policy",
    "surrogate_config",
]
