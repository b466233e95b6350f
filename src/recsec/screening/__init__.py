"""Screening: checks of a photo that is uploaded, before it is served."""

from recsec.screening.adaptive import Judged, Silent, Watched, silent_attack
from recsec.screening.base import Catalog, Screen, Uploads
from recsec.screening.consistency import Consistency, ConsistencyConfig
from recsec.screening.hubs import Hubs, HubsConfig
from recsec.screening.neighbors import Neighbors, NeighborsConfig
from recsec.screening.panel import RATES, Panel, fit_panel, needed, threshold
from recsec.screening.relisting import Relisting, RelistingConfig
from recsec.screening.uploads import catalog_of, look, reencoded, uploads_of

__all__ = [
    "RATES",
    "Catalog",
    "Consistency",
    "ConsistencyConfig",
    "Hubs",
    "HubsConfig",
    "Judged",
    "Neighbors",
    "NeighborsConfig",
    "Panel",
    "Relisting",
    "RelistingConfig",
    "Screen",
    "Silent",
    "Uploads",
    "Watched",
    "catalog_of",
    "fit_panel",
    "look",
    "needed",
    "reencoded",
    "silent_attack",
    "threshold",
    "uploads_of",
]
