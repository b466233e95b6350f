"""Extraction: copy a recommender through its top-k API."""

from recsec.attacks.extraction.adaptive import Adaptive
from recsec.attacks.extraction.asking import asking, asks
from recsec.attacks.extraction.collect import account_names, collect, make_policy
from recsec.attacks.extraction.config import ExtractionConfig
from recsec.attacks.extraction.copying.leak import (
    fit_guide,
    guide_of,
    leaked_histories,
    leaked_users,
    proxy_histories,
)
from recsec.attacks.extraction.copying.order import OrderTest, order_test
from recsec.attacks.extraction.copying.surrogate import fit_surrogate, surrogate_config
from recsec.attacks.extraction.doubting import opening_calls, switches
from recsec.attacks.extraction.policies.base import Knowledge, Policy, PolicyConfig
from recsec.attacks.extraction.policies.rounds import RoundConfig, RoundPolicy, Seen

__all__ = [
    "Adaptive",
    "ExtractionConfig",
    "Knowledge",
    "OrderTest",
    "Policy",
    "PolicyConfig",
    "RoundConfig",
    "RoundPolicy",
    "Seen",
    "account_names",
    "asking",
    "asks",
    "collect",
    "fit_guide",
    "fit_surrogate",
    "guide_of",
    "leaked_histories",
    "leaked_users",
    "make_policy",
    "opening_calls",
    "order_test",
    "proxy_histories",
    "surrogate_config",
    "switches",
]
