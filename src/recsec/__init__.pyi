from recsec.errors import RecsecError
from recsec.library.audits import AuditReport, diff, extract, read_report, run_audit
from recsec.library.evade import Evaded, evade
from recsec.library.harden import Hardened, harden
from recsec.library.opening import open_data
from recsec.library.photos import OpenEncoder, open_encoder, open_photos
from recsec.library.recommender import OpenRecommender, guard, open_recommender
from recsec.library.results import Estimates
from recsec.library.thieves import Detected, Query, Watcher, detect, fit_detectors, watch
from recsec.library.verify import Verification, verify
from recsec.serving.middleware import Guard
from recsec.stats import Estimate

__version__: str
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
