"""The picture of one attack."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from recsec.reports.figures.evasion_panel import PanelTile, amplified, evasion_panel


def test_the_amplified_difference_is_gray_where_nothing_changed() -> None:
    original = np.full((3, 4, 4), 100, dtype=np.uint8)
    changed = original.copy()
    changed[0, 0, 0], changed[1, 1, 1], changed[2, 2, 2] = 104, 96, 102
    found = amplified(original, changed)
    assert found[0, 0, 0] == 255
    assert found[1, 1, 1] == 0
    assert found[2, 2, 2] == 191
    assert (amplified(original, original) == 128).all()


def test_the_panel_is_a_picture_and_the_same_each_time() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (3, 8, 8)).astype(np.uint8)
    tiles = [PanelTile(photo, "title", ("a name", "0.9")), PanelTile(photo, framed=True)]
    first, second = (
        evasion_panel(tiles, tiles * 2, [], said="rank 9 to 1", names=("before", "after"))
        for _ in range(2)
    )
    assert first == second
    assert Image.open(io.BytesIO(first)).width > 500
