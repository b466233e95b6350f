"""From the bytes of an image file to upright RGB, and from there to a square of the wanted size."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageChops
from pydantic import BaseModel, ConfigDict

from recsec.errors import DataError

__all__ = [
    "Fault",
    "ResizeRule",
    "open_photo",
    "read_photo",
    "resize",
    "resize_bytes",
    "strict_pillow",
]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""What a shop's photos are. Fewer decoders, less that a hostile file can reach. MPO is a JPEG."""
LARGEST_PIXELS = 50_000_000
"""Pixels of the largest photo that is decoded: 150 MB as RGB, more than most cameras make."""
BORDER = 12
"""Levels of 255 by which a pixel may differ from white and still be border."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ResizeRule(BaseModel):
    """How a photo of any shape becomes a square.

    Attributes:
        fit: ``letterbox`` keeps the proportions and fills up with white; ``squash`` does not.
        trim: cut a white border away first, so that the product fills the square.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fit: Literal["letterbox", "squash"] = "letterbox"
    trim: bool = False

    def __str__(self) -> str:
        """For sentences and file names: ``letterbox`` or ``trim-letterbox``."""
        return f"trim-{self.fit}" if self.trim else self.fit


@dataclass(frozen=True)
class Fault:
    """Why a file is no photo.

    Attributes:
        kind: ``broken`` (not an image, cut short, damaged) or ``huge`` (over the limit of pixels).
        reason: in words.
    """

    kind: Literal["broken", "huge"]
    reason: str


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Pillow's warning about many pixels is raised (``open_photo`` makes a ``Fault`` of it), and
    what it says about odd metadata is not shown.

    Entered once around a pool of threads, since filters of warnings belong to the whole process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def open_photo(
    data: bytes,
    *,
    draft: tuple[int, ResizeRule] | None = None,
    formats: tuple[str, ...] = FORMATS,
    largest: int | None = None,
) -> Image.Image | Fault:
    """Decode one photo: first frame, upright by its EXIF orientation, RGB, transparency on white.

    Args:
        data: the file.
        draft: side and rule of the square that is wanted; a JPEG of more than twice that size is
            then decoded at a half, a quarter or an eighth, which is much faster.
        formats: what it may be.
        largest: pixels of the largest photo that is decoded; by default ``LARGEST_PIXELS``.

    Returns:
        The image in mode RGB, or why there is none.
    """
    largest = LARGEST_PIXELS if largest is None else largest
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            width, height = image.size
            if width * height > largest:
                return _huge(f"{width:,} x {height:,} pixels", largest)
            if draft is not None and not draft[1].trim:
                image.draft(None, _fitted(image.size, 2 * draft[0], draft[1]))
            image.load()
            turn = _TURNS.get(_orientation(image))
            upright = image if turn is None else image.transpose(turn)
            return _as_rgb(upright)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return _huge(str(error), largest)
    except Exception as error:  # decoders raise whatever they stumble over, struct.error included
        return Fault("broken", f"{type(error).__name__}: {error}")


def read_photo(data: bytes, *, name: str) -> Image.Image:
    """``open_photo`` for one file of the user's.

    Args:
        data: the file.
        name: what to call it in a message.

    Raises:
        DataError: it is no photo, damaged, or too large.
    """
    with strict_pillow():
        image = open_photo(data)
    if isinstance(image, Fault):
        raise DataError(
            f"{name} is not a photo that can be read: {image.reason}",
            hint=f"formats: {', '.join(FORMATS)}; at most {LARGEST_PIXELS:,} pixels",
        )
    return image


def resize(image: Image.Image, size: int, rule: ResizeRule) -> npt.NDArray[np.uint8]:
    """An RGB image as a square ``(3, size, size)`` uint8.

    Bilinear with antialiasing: the filter that torch has too (``interpolate`` with
    ``antialias=True``), so an attack on native pixels can resize inside the gradient.
    """
    if rule.trim:
        image = _trimmed(image)
    fitted = _fitted(image.size, size, rule)
    small = image.resize(fitted, Image.Resampling.BILINEAR)
    if fitted != (size, size):
        square = Image.new("RGB", (size, size), "white")
        square.paste(small, ((size - fitted[0]) // 2, (size - fitted[1]) // 2))
        small = square
    return np.asarray(small).transpose(2, 0, 1).copy()


def resize_bytes(
    data: bytes,
    size: int,
    rule: ResizeRule,
    *,
    formats: tuple[str, ...] = FORMATS,
    largest: int | None = None,
) -> npt.NDArray[np.uint8] | Fault:
    """``open_photo`` and ``resize`` in one, JPEGs decoded no larger than they must be."""
    image = open_photo(data, draft=(size, rule), formats=formats, largest=largest)
    return image if isinstance(image, Fault) else resize(image, size, rule)


def _huge(what: str, largest: int) -> Fault:
    return Fault("huge", f"{what}; the limit is {largest:,} pixels")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation 1..8; 1 where there is none or the block is damaged."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a damaged block says nothing; the pixels are whole
        return 1


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_levels(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _levels(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Levels 0..255 of pixels with more: Pillow would cut them off, to white or to black.

    Whole numbers have 8, 12 or 16 bits, the fewest that hold the brightest; floats lie in 0..1, or
    else in 0..255. What lies outside is scaled by its own range.

    Raises:
        ValueError: not finite, or outside and all equal.
    """
    pixels = values.astype(np.float64)
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("pixels that are no finite numbers")
    whole = np.issubdtype(values.dtype, np.integer)
    tops = (255.0, 4095.0, 65535.0) if whole else (1.0, 255.0)
    top = next((top for top in tops if high <= top), None)
    if low < 0 or top is None:
        if low == high:
            raise ValueError(f"all pixels are {low:g}, outside of every known range")
        pixels, top = pixels - low, high - low
    levels = pixels * 256 / (top + 1) if whole else pixels * 255 / top + 0.5
    return levels.clip(0, 255).astype(np.uint8)


def _trimmed(image: Image.Image) -> Image.Image:
    """Without the white border; an image that is white all over stays."""
    away = ImageChops.invert(image).convert("L").point(lambda level: 255 * (level > BORDER))
    box = away.getbbox()
    return image if box is None else image.crop(box)


def _fitted(size: tuple[int, int], side: int, rule: ResizeRule) -> tuple[int, int]:
    """Width and height of the picture inside the square."""
    if rule.fit == "squash":
        return side, side
    ratio = side / max(size)
    return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))
