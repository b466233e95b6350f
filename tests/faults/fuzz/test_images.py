"""Whatever an image file holds, decoding ends in pixels or in a fault with its reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fuzzing import BOUNDED, corpus, near
from hypothesis import given
from hypothesis import strategies as st

from recsec.data.photos.files import Fault, ResizeRule, open_photo, resize_bytes, strict_pillow

WORDS = (b"\xff\xd8", b"\xff\xe1", b"Exif\0\0", b"IHDR", b"IDAT", b"GIF89a", b"II*\0", b"\xff" * 4)
RULES = st.builds(ResizeRule, fit=st.sampled_from(["letterbox", "squash"]), trim=st.booleans())


@given(near("images", words=WORDS), RULES)
@BOUNDED
@pytest.mark.hostile(kind="photos", what="mutated images of every format (fuzzed)")
def test_mutated_images(found: tuple[str, bytes], rule: ResizeRule) -> None:
    with strict_pillow():
        pixels = resize_bytes(found[1], 8, rule)
    if isinstance(pixels, Fault):
        assert pixels.reason
    else:
        assert (pixels.shape, pixels.dtype) == ((3, 8, 8), np.uint8)


@pytest.mark.parametrize("path", corpus("images"), ids=lambda path: path.name)
def test_the_corpus_is_decoded(path: Path) -> None:
    image = open_photo(path.read_bytes())
    assert not isinstance(image, Fault)
    assert np.asarray(image).std() > 0
