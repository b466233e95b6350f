"""A local page to try recommenders by hand: histories and their lists, photos and attacks on them.

It listens on loopback, needs nothing of the network, and keeps nothing but made-up samples.
"""

from recsec.trying.app import application
from recsec.trying.lists import ListBench
from recsec.trying.photos import PhotoBench
from recsec.trying.samples import sample_lists, sample_photos
from recsec.trying.server import listen, serve

__all__ = [
    "ListBench",
    "PhotoBench",
    "application",
    "listen",
    "sample_lists",
    "sample_photos",
    "serve",
]
