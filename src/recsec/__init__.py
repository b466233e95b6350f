"""recsec: measure how a recommender can be attacked, harden it, keep watch.

What a notebook needs is here, and is imported when it is first used (PEP 562), so that
``import recsec`` is quick. Ids are the user's own; results are frozen dataclasses or polars tables.
Names in ``__all__`` are stable: one that is to go warns with ``DeprecationWarning`` for at least
one minor version, and CHANGELOG.md says what to write instead (``design/021-front-door.md``).
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "AuditReport",
    "Detected",
    "Estimate",
    "Estimates",
    "Evaded",
    "Guard",
    "Hardened",
    "OpenEncoder",
    "OpenRecommender",
    "Query",
    "RecsecError",
    "Verification",
    "Watcher",
    "__version__",
    "detect",
    "diff",
    "evade",
    "extract",
    "fit_detectors",
    "guard",
    "harden",
    "open_data",
    "open_encoder",
    "open_photos",
    "open_recommender",
    "read_report",
    "run_audit",
    "verify",
    "watch",
]

_HOMES = {
    "AuditReport": "library.audits",
    "Detected": "library.thieves",
    "Estimate": "stats",
    "Estimates": "library.results",
    "Evaded": "library.evade",
    "Guard": "serving.middleware",
    "Hardened": "library.harden",
    "OpenEncoder": "library.photos",
    "OpenRecommender": "library.recommender",
    "Query": "library.thieves",
    "RecsecError": "errors",
    "Verification": "library.verify",
    "Watcher": "library.thieves",
    "detect": "library.thieves",
    "diff": "library.audits",
    "evade": "library.evade",
    "extract": "library.audits",
    "fit_detectors": "library.thieves",
    "guard": "library.recommender",
    "harden": "library.harden",
    "open_data": "library.opening",
    "open_encoder": "library.photos",
    "open_photos": "library.photos",
    "open_recommender": "library.recommender",
    "read_report": "library.audits",
    "run_audit": "library.audits",
    "verify": "library.verify",
    "watch": "library.thieves",
}
"""The file of each name; ``tests/library`` holds it equal to ``__init__.pyi``."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'recsec' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"recsec.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
