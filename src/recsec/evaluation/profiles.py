"""Four named tastes, made from the catalog, to see what recommenders show to each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsec.data.catalog import Catalog
from recsec.types import IntArray

__all__ = ["TasteProfile", "taste_profiles"]

NAMED = (
    ("family", ("Animation", "Children", "Children's")),
    ("thrills", ("Horror", "Thriller")),
    ("romance", ("Drama", "Romance")),
    ("action", ("Action", "Sci-Fi")),
)
SIZE = 8


@dataclass(frozen=True, eq=False)
class TasteProfile:
    """An invented visitor.

    Attributes:
        name: what the taste is called.
        genres: the genres it is made from.
        history: ``(S,)`` catalog indices, the most popular last.
    """

    name: str
    genres: tuple[str, ...]
    history: IntArray


def taste_profiles(catalog: Catalog, counts: IntArray, *, size: int = SIZE) -> list[TasteProfile]:
    """Family, thrills, romance and action, each from the most popular items of its genres.

    Items that carry more of a profile's genres come before more popular ones that carry fewer.
    Where the catalog lacks the genres of a profile, the four most frequent genres of the catalog
    are used instead, one profile each; without genres there are no profiles.

    Args:
        catalog: gives the genres.
        counts: ``(N + 1,)`` how often each item occurs.
        size: items per history.
    """
    names = catalog.genre_names
    wanted = [(name, tuple(g for g in genres if g in names)) for name, genres in NAMED]
    if not all(genres for _, genres in wanted):
        frequent = np.argsort(-catalog.genre_matrix.sum(axis=0), kind="stable")[:4]
        wanted = [(names[column], (names[column],)) for column in frequent]
    profiles = []
    for name, genres in wanted:
        matches = catalog.genre_matrix[:, [names.index(genre) for genre in genres]].sum(axis=1)
        order = np.lexsort((np.arange(len(matches)), -counts, -matches))[:size]
        chosen = order[matches[order] > 0]
        profiles.append(TasteProfile(name, genres, chosen[::-1].astype(np.int64)))
    return profiles
