"""Silhouettes, textures and colors of made-up products: functions of coordinates.

A silhouette says how far inside the product a point lies (negative outside); a texture says how
much of the second tone a point has. ``u`` points right and ``v`` down, the product fills [-1, 1].
All arguments and results are float32 ``(B, S, S)`` or ``(B, 1, 1)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["COLORS", "SHAPES", "TEXTURES"]

Floats = npt.NDArray[Any]
Shape = Callable[[Floats, Floats, Floats, Floats], Floats]

COLORS: dict[str, tuple[float, float, float]] = {
    "Black": (0.10, 0.10, 0.11),
    "Grey": (0.52, 0.53, 0.55),
    "Red": (0.78, 0.12, 0.15),
    "Orange": (0.93, 0.50, 0.12),
    "Yellow": (0.93, 0.80, 0.20),
    "Green": (0.16, 0.52, 0.25),
    "Blue": (0.14, 0.30, 0.68),
    "Purple": (0.45, 0.22, 0.58),
    "Pink": (0.91, 0.50, 0.65),
    "Brown": (0.44, 0.28, 0.16),
}
"""Red, green and blue in [0, 1]."""


def _box(u: Floats, v: Floats, width: Floats | float, height: Floats | float) -> Floats:
    return np.minimum(width - np.abs(u), height - np.abs(v))


def _disc(u: Floats, v: Floats, radius: Floats | float) -> Floats:
    return radius - np.hypot(u, v)


def _shirt(u: Floats, v: Floats, p: Floats, q: Floats) -> Floats:
    body = _box(u, v, 0.45 + 0.1 * q, 0.8)
    length = 0.75 + 0.25 * p
    sleeve = np.minimum(_box(u, v + 0.55 - 0.45 * np.abs(u), length, 0.22), v + 0.8)
    return np.minimum(np.maximum(body, sleeve), -_disc(u, v + 0.85, 0.2 + 0.08 * q))


def _trousers(u: Floats, v: Floats, p: Floats, q: Floats) -> Floats:
    legs = _box(np.abs(u) - 0.28 - 0.12 * (v + 0.3), v, 0.17 + 0.06 * p, 0.6 + 0.35 * q)
    return np.maximum(legs, _box(u, v + 0.4 + 0.35 * q, 0.42 + 0.04 * p, 0.2))


def _dress(u: Floats, v: Floats, p: Floats, q: Floats) -> Floats:
    skirt = np.minimum(0.18 + (0.3 + 0.3 * p) * (v + 0.25) - np.abs(u), 0.9 - v)
    skirt = np.minimum(skirt, v + 0.3)
    return np.maximum(skirt, _box(u, v + 0.5, 0.22 + 0.1 * q, 0.36))


def _bag(u: Floats, v: Floats, p: Floats, q: Floats) -> Floats:
    height = 0.35 + 0.15 * p
    body = _box(u, v - 0.3, 0.62 + 0.25 * q, height)
    ring = 0.09 - np.abs(np.hypot(u, (v + 0.1) * 0.9) - 0.5)
    return np.maximum(body, np.minimum(ring, -v))


def _glasses(u: Floats, v: Floats, p: Floats, q: Floats) -> Floats:
    lens = _disc(np.abs(u) - 0.5, v * (1 + 0.5 * q), 0.3 + 0.1 * p)
    return np.maximum(lens, _box(u, v + 0.08, 0.95, 0.06))


def _boot(u: Floats, v: Floats, p: Floats, q: Floats) -> Floats:
    shaft = _box(u + 0.35, v + 0.3 * q, 0.25 + 0.07 * p, 0.75)
    foot = _box(u - 0.1, v - 0.6, 0.72, 0.2 + 0.06 * p)
    return np.maximum(np.maximum(shaft, foot), _disc(u - 0.55, v - 0.6, 0.27))


def _hat(u: Floats, v: Floats, p: Floats, q: Floats) -> Floats:
    crown = np.minimum(_disc(u, (v - 0.25) * (1.1 - 0.3 * p), 0.58), 0.3 - v)
    return np.maximum(crown, _box(u, v - 0.35, 0.8 + 0.17 * q, 0.09))


def _watch(u: Floats, v: Floats, p: Floats, q: Floats) -> Floats:
    strap = _box(u, v, 0.17 + 0.08 * q, 0.95)
    return np.maximum(strap, _disc(u, v, 0.36 + 0.12 * p))


def _belt(u: Floats, v: Floats, p: Floats, q: Floats) -> Floats:
    strap = _box(u, v, 0.97, 0.12 + 0.07 * q)
    buckle = _box(u + 0.6, v, 0.2 + 0.06 * p, 0.3)
    return np.maximum(strap, np.minimum(buckle, -_box(u + 0.6, v, 0.1, 0.16)))


def _ring(u: Floats, v: Floats, p: Floats, q: Floats) -> Floats:
    band = 0.1 + 0.05 * q - np.abs(np.hypot(u, v - 0.2) - 0.55)
    size = 0.22 + 0.1 * p
    return np.maximum(band, size - np.abs(u) - np.abs(v + 0.6))


def _bottle(u: Floats, v: Floats, p: Floats, q: Floats) -> Floats:
    body = _box(u, v - 0.3, 0.32 + 0.12 * p, 0.6)
    shoulder = _disc(u, (v + 0.25) * 1.4, 0.32 + 0.12 * p)
    return np.maximum(np.maximum(body, shoulder), _box(u, v + 0.65, 0.11 + 0.05 * q, 0.3))


def _tie(u: Floats, v: Floats, p: Floats, q: Floats) -> Floats:
    blade = np.minimum(0.12 + (0.12 + 0.08 * p) * (v + 0.6) - np.abs(u), v + 0.65)
    blade = np.minimum(blade, 0.95 - v - np.abs(u))
    return np.maximum(blade, _box(u, v + 0.78, 0.17 + 0.05 * q, 0.14))


SHAPES: dict[str, Shape] = {
    "Shirt": _shirt,
    "Trousers": _trousers,
    "Dress": _dress,
    "Bag": _bag,
    "Glasses": _glasses,
    "Boot": _boot,
    "Hat": _hat,
    "Watch": _watch,
    "Belt": _belt,
    "Ring": _ring,
    "Bottle": _bottle,
    "Tie": _tie,
}
"""``shape(u, v, p, q)``; p and q in [0, 1] are two proportions of the item."""


def _wave(phase: Floats) -> Floats:
    """A soft square wave of period 1 in [0, 1]."""
    return np.clip(0.5 + 1.5 * np.sin(2 * np.pi * phase, dtype=np.float32), 0, 1)


def _dots(u: Floats, v: Floats, rate: Floats, phase: Floats) -> Floats:
    across = np.mod(u * rate + phase, 1) - 0.5
    down = np.mod(v * rate + phase, 1) - 0.5
    tone: Floats = np.clip(4 * (0.38 - np.hypot(across, down)) + 0.5, 0, 1)
    return tone


TEXTURES: dict[str, Shape] = {
    "Plain": lambda u, v, rate, phase: np.zeros_like(u),
    "Striped": lambda u, v, rate, phase: _wave(v * rate + phase),
    "Pinstriped": lambda u, v, rate, phase: _wave(u * rate + phase),
    "Diagonal": lambda u, v, rate, phase: _wave((u + v) * 0.7 * rate + phase),
    "Checked": lambda u, v, rate, phase: (
        0.5 * _wave(u * rate + phase) + 0.5 * _wave(v * rate + phase)
    ),
    "Dotted": _dots,
    "Faded": lambda u, v, rate, phase: np.clip(0.5 + 0.6 * v, 0, 1),
    "Zigzag": lambda u, v, rate, phase: _wave(v * rate + phase + np.abs(np.mod(u * rate, 1) - 0.5)),
}
"""``texture(u, v, rate, phase)``; rate is in periods per half product."""
