"""Made-up titles for made-up items: readable, distinct, and a few of them not in ASCII."""

from __future__ import annotations

import numpy as np

from recsec.types import IntArray

__all__ = ["GENRES", "made_up_titles"]

GENRES = (
    *("Action", "Drama", "Comedy", "Children's", "Horror", "Romance", "Sci-Fi", "Western"),
    *("Animation", "Crime", "Documentary", "Fantasy", "Musical", "Mystery", "Thriller", "War"),
    *("Adventure", "Film-Noir"),
)
"""Clusters are named after these, in this order; they are MovieLens' names."""

_FIRST = (
    "Quiet Golden Broken Distant Hidden Crooked Silver Burning Frozen Gentle Restless Paper "
    "Hollow Crimson Patient Wandering Second Velvet Northern Borrowed Café Señor Étoile Größe "
    "Electric Forgotten Little Stubborn Midnight Wooden Salted Invisible Amber Careful Naïve"
)
_SECOND = (
    "Harbor Garden River Lantern Orchard Station Mirror Comet Meadow Bridge Tiger Letter "
    "Island Tower Violin Winter Carousel Engine Desert Parade Kingdom Balloon Shadow Compass "
    "Ferry Señorita Château Fjörd Mañana Kitchen Detective Caravan Sparrow Lighthouse Avenue"
)


def made_up_titles(years: IntArray, rng: np.random.Generator) -> list[str]:
    """One distinct title per item, with its year at the end as MovieLens writes it.

    Args:
        years: ``(N,)`` release years.
        rng: the order in which words are joined.
    """
    firsts, seconds = _FIRST.split(), _SECOND.split()
    pairs = rng.permutation(len(firsts) * len(seconds))
    titles = []
    for place, year in enumerate(years):
        first, second = divmod(int(pairs[place % len(pairs)]), len(seconds))
        part = place // len(pairs) + 1
        name = f"The {firsts[first]} {seconds[second]}" + (f", Part {part}" if part > 1 else "")
        titles.append(f"{name} ({year})")
    return titles
