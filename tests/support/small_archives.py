"""Archives made on the spot, in the layouts of the real ones."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

RATINGS = [
    (user, item, 1 + (user * item) % 5, 900_000_000 + 1000 * user + 7 * item)
    for user in range(1, 7)
    for item in range(1, 7)
]
"""User, item, rating, time: six users and six items; everybody met everything, in order."""

MOVIES = {
    1: "Heat (1995)",
    2: "Café Noir (1931)",
    3: "Great Escape, The (1963)",
    4: "Twins (1989-1991)",
    5: "Nameless",
    6: "Ölberg (2000)",
}


def dat_members() -> dict[str, bytes]:
    """The members of MovieLens-1M; titles in Latin-1."""
    lines = [f"{u}::{i}::{r}::{t}\n" for u, i, r, t in RATINGS]
    movies = "".join(f"{i}::{title}::Crime|Drama\n" for i, title in MOVIES.items())
    return {
        "ml-1m/ratings.dat": "".join(lines).encode(),
        "ml-1m/movies.dat": movies.encode("latin-1"),
        "ml-1m/README": b"terms",
    }


def csv_members() -> dict[str, bytes]:
    """The members of MovieLens-20M and later; UTF-8."""
    lines = [f"{u},{i},{r}.0,{t}\n" for u, i, r, t in RATINGS]
    movies = "".join(f'{i},"{title}",Crime|Drama\n' for i, title in MOVIES.items())
    return {
        "ml/ratings.csv": ("userId,movieId,rating,timestamp\n" + "".join(lines)).encode(),
        "ml/movies.csv": ("movieId,title,genres\n" + movies).encode(),
    }


def tab_members() -> dict[str, bytes]:
    """The members of MovieLens-100k; titles in Latin-1, genres as 19 flags."""
    lines = [f"{u}\t{i}\t{r}\t{t}\n" for u, i, r, t in RATINGS]
    flags = "|".join("1" if place in (6, 8) else "0" for place in range(19))
    movies = "".join(f"{i}|{title}|01-Jan-1995||http://x|{flags}\n" for i, title in MOVIES.items())
    return {"u.data": "".join(lines).encode(), "u.item": movies.encode("latin-1")}


def pack(path: Path, members: Mapping[str, bytes]) -> Path:
    """A zip archive of ``members``."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path
