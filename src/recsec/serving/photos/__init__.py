"""Visual neighbors as a service: an item's, or those of a photo that is uploaded and screened."""

from recsec.serving.photos.shop import Shop, Verdict
from recsec.serving.photos.similar import Similar
from recsec.serving.photos.uploads import BYTES, KINDS, Held, NoPhoto, decoded

__all__ = [
    "BYTES",
    "KINDS",
    "Held",
    "NoPhoto",
    "Shop",
    "Similar",
    "Verdict",
    "decoded",
]
