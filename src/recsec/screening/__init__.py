"""Screening: checks of a photo that is uploaded, before it is served."""

from recsec.screening.adaptive import Judged, Silent, Watched, silent_attack
from recsec.screening.base import Catalog, Screen, Uploads
from recsec.screening.consistency import Consistency, ConsistencyConfig
from recsec.screening.hubs import Hubs, HubsConfig
from recsec.screening.neighbors import Neighbors, NeighborsConfig
from recsec.screening.panel import (
    RATES,
    Panel,
    clean_uploads,
    fit_panel,
    needed,
    threshold,
)
from recsec.screening.relisting import Relisting, RelistingConfig
from recsec.screening.uploads import catalog_of, look, reencoded, searched_with, uploads_of

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
    "clean_uploads",
    "fit_panel",
    "look",
    "needed",
    "reencoded",
    "searched_with",
    "silent_attack",
    "threshold",
    "uploads_of",
]
