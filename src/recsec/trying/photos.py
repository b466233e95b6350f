"""A catalog of photos, the encoders that rank it, and attacks on them that can be watched."""

from __future__ import annotations

import base64
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.attacks.evasion import (
    Pairs,
    Scene,
    catalog_scene,
    evade,
    levels,
    open_attack,
    png_bytes,
    to_bytes,
)
from recsec.data import Photos
from recsec.errors import RecsecError, UsageError
from recsec.evaluation.session import plain_text
from recsec.library.evade import NATIVE
from recsec.models import ExactIndex, PhotoEncoder
from recsec.reports.figures.evasion_panel import amplified
from recsec.rng import Streams
from recsec.trying.watched import Watched

__all__ = ["ATTACKS", "LISTED", "MOST_LEVELS", "PAGE", "Attack", "PhotoBench", "Stopped"]

ATTACKS = {
    "mi": ("gradients, 100 steps", {"steps": 100}),
    "square": ("answers only, 1,000 questions", {"queries": 1000}),
}
"""What can be watched: what it sees, and its settings."""
MOST_LEVELS = 32
"""Of 255 gray levels: the largest budget."""
LISTED = 10
"""Neighbors of a target that are shown."""
PAGE = 12
"""Photos of one page of a search."""
FIRST_FRAMES, PAUSE, MOST_FRAMES = 25, 0.12, 150
"""The first images are all shown; later ones after so many seconds; and so many at most."""

Tell = Callable[[str, dict[str, Any]], None]


class Stopped(RecsecError):  # noqa: N818 - no error
    """Nobody watches any more."""


@dataclass(frozen=True)
class Attack:
    """What to do.

    Attributes:
        photo: row of the photo that is changed.
        target: row of the item whose list it is to enter.
        levels: budget, in gray levels of 255.
        encoder: number of the encoder.
        attack: key of ``ATTACKS``.
    """

    photo: int
    target: int
    levels: int
    encoder: int = 0
    attack: str = "mi"


@dataclass(frozen=True, eq=False)
class PhotoBench:
    """Photos and the encoders that rank them.

    Attributes:
        photos: the catalog.
        encoders: name, encoder and the features ``(N, D)`` of all photos.
    """

    photos: Photos
    encoders: Sequence[tuple[str, PhotoEncoder, Tensor]]
    _drawing: threading.Lock = field(default_factory=threading.Lock)
    _rng: np.random.Generator = field(default_factory=lambda: Streams(0).numpy("try"))

    @cached_property
    def _titles(self) -> list[str]:
        table = self.photos.table
        return [
            plain_text(f"{title or ''} {category or ''}")
            for title, category in zip(table["title"], table["category"], strict=True)
        ]

    @cached_property
    def _indices(self) -> list[ExactIndex]:
        return [
            ExactIndex(F.normalize(features, dim=1).to(encoder.device))
            for _, encoder, features in self.encoders
        ]

    def about(self) -> dict[str, Any]:
        """What the page shows first."""
        return {
            "data": self.photos.name,
            "photos": len(self.photos),
            "names": [name for name, *_ in self.encoders],
            "attacks": [{"name": name, "said": said} for name, (said, _) in ATTACKS.items()],
            "most_levels": MOST_LEVELS,
        }

    def search(self, words: str, skip: int = 0) -> dict[str, Any]:
        """Photos whose title or category holds all the words, a page of them."""
        wanted = plain_text(words).split()
        found = [
            row for row, title in enumerate(self._titles) if all(word in title for word in wanted)
        ]
        shown = found[skip : skip + PAGE]
        more = len(found) > skip + PAGE
        message = f"{len(found):,} photos" if found else f"no photo is called {words!r}"
        return {"message": message, "photos": [self._photo(row) for row in shown], "more": more}

    def pair(self) -> list[dict[str, Any]]:
        """Two photos at random, of different categories where there are any."""
        categories = self.photos.table["category"].to_list()
        with self._drawing:
            order = self._rng.permutation(len(self.photos)).tolist()
        first = order[0]
        others = [row for row in order[1:] if categories[row] != categories[first]] or order[1:]
        return [self._photo(first), self._photo(others[0])]

    def picture(self, row: int, side: int) -> bytes:
        """A photo as PNG.

        Raises:
            UsageError: there is no such photo.
        """
        self._check(row)
        with self._drawing:
            pixels = self.photos.pixels([row], side)[0]
        return png_bytes(torch.from_numpy(pixels))

    def attack(self, wanted: Attack, tell: Tell) -> None:
        """Attack, and tell of it: ``start``, a ``frame`` for images on the way, ``done``.

        Args:
            wanted: what to do.
            tell: takes the name of an event and its data; stops the attack where it raises.

        Raises:
            UsageError: rows, budget or names that there are not.
        """
        self._check(wanted.photo, wanted.target)
        if wanted.photo == wanted.target:
            raise UsageError("the photo is the target: choose two different ones")
        if not 0 <= wanted.encoder < len(self.encoders) or wanted.attack not in ATTACKS:
            raise UsageError("no such encoder or attack")
        if not 1 <= wanted.levels <= MOST_LEVELS:
            raise UsageError(f"the budget is 1 to {MOST_LEVELS} of 255 gray levels")
        name, encoder, features = self.encoders[wanted.encoder]
        if wanted.attack == "mi" and not encoder.gradients:
            raise UsageError(f"{name} gives no gradients: let the attacker see answers only")
        pair = Pairs(np.array([wanted.photo]), np.array([wanted.target]), "one pair")
        rows = np.arange(len(self.photos))
        with self._drawing:
            scene = catalog_scene(encoder, self.photos, rows, pair, features, size=NATIVE)
        scene = replace(scene, index=self._indices[wanted.encoder]).prepared()
        tool = open_attack(wanted.attack, ATTACKS[wanted.attack][1])
        total = next(iter(ATTACKS[wanted.attack][1].values()))
        eps = wanted.levels / 255
        tell("start", {"steps": total, "eps": eps, "neighbors": self._neighbors(scene, wanted)})
        watch = _Watch(scene, tell)
        assert scene.ready is not None  # noqa: S101 - prepared() made it
        watched = replace(scene, ready=Watched(scene.ready, watch.seen))
        found = evade(tool, watched, eps=eps, rng=Streams(0).child("try"))
        row = found.table.row(0, named=True)
        judged = {name: row[name] for name in _JUDGED}
        judged["psnr"] = row["psnr"] if math.isfinite(row["psnr"]) else None
        tell(
            "done",
            {
                **judged,
                "levels": levels(eps),
                **_pictures(scene.attackers[0].numpy(), found.images[0]),
            },
        )

    def _neighbors(self, scene: Scene, wanted: Attack) -> list[dict[str, Any]]:
        """The list of the target without the attacked photo."""
        own = scene.index.vectors[[wanted.target]]
        left_out = torch.tensor([[wanted.photo, wanted.target]], device=own.device)
        found, cosines = scene.index.neighbors(own, LISTED, exclude=left_out)
        return [
            {**self._photo(row), "cosine": cosine}
            for row, cosine in zip(found[0].tolist(), cosines[0].tolist(), strict=True)
            if row >= 0
        ]

    def _photo(self, row: int) -> dict[str, Any]:
        table = self.photos.table.select("id", "title", "category")
        return {"row": row, **table.row(row, named=True)}

    def _check(self, *rows: int) -> None:
        if any(not 0 <= row < len(self.photos) for row in rows):
            raise UsageError(f"photos are rows from 0 to {len(self.photos) - 1}")


_JUDGED = (
    "rank_before", "rank_after", "cosine_before", "cosine_after", "linf", "psnr", "ssim",
    "backwards", "queries",
)  # fmt: skip


class _Watch:
    """Turns the images that an attack asks about into frames."""

    def __init__(self, scene: Scene, tell: Tell) -> None:
        self._scene, self._tell = scene, tell
        self._asked = self._told = 0
        self._last = 0.0

    def seen(self, images: Tensor) -> None:
        """One more question; not every one becomes a frame."""
        step, self._asked = self._asked, self._asked + 1
        soon = self._told >= FIRST_FRAMES and time.monotonic() - self._last < PAUSE
        if soon or self._told >= MOST_FRAMES:
            self._tell("", {})
            return
        scene, part = self._scene, torch.arange(1)
        targets, attackers = scene.rows("targets", part), scene.rows("attackers", part)
        with torch.no_grad():
            vectors = (scene.ready or scene.embedder)(images)
            rank = int(scene.index.rank(vectors, targets, attackers)[0])
            cosine = float((vectors * scene.index.vectors[targets]).sum())
        changed = to_bytes(images).cpu().numpy()[0]
        pictures = _pictures(scene.attackers[0].numpy(), changed)
        self._tell("frame", {"step": step, "rank": rank, "cosine": cosine, **pictures})
        self._told += 1
        self._last = time.monotonic()


def _pictures(original: np.ndarray, changed: np.ndarray) -> dict[str, str]:
    """The changed photo and the difference, as addresses of data."""
    shown = {"picture": changed, "difference": amplified(original, changed)}
    return {
        name: "data:image/png;base64," + base64.b64encode(png_bytes(torch.from_numpy(one))).decode()
        for name, one in shown.items()
    }
