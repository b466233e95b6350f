"""What a shop does to an uploaded photo before its encoder sees it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from recsec.errors import ConfigError

__all__ = ["Ingest", "open_ingest", "png_bytes", "through_jpeg", "through_png"]

Ingest = Callable[[UInt8[Tensor, "B 3 H W"]], UInt8[Tensor, "B 3 H W"]]
"""What happens to the attacker's files between the upload and the encoder."""


def png_bytes(image: UInt8[Tensor, "3 H W"]) -> bytes:
    """A photo as a PNG file."""
    return _file(image, format="PNG", compress_level=1)


def through_png(images: UInt8[Tensor, "B 3 H W"]) -> UInt8[Tensor, "B 3 H W"]:
    """Write every photo as a PNG file and decode the file."""
    return _decoded([png_bytes(one) for one in images.cpu()])


def through_jpeg(images: UInt8[Tensor, "B 3 H W"], *, quality: int) -> UInt8[Tensor, "B 3 H W"]:
    """Write every photo as a JPEG file and decode the file.

    Args:
        images: photos.
        quality: 1 to 100, the scale of libjpeg; colors are stored at half the resolution (4:2:0).
    """
    return _decoded(
        [_file(one, format="JPEG", quality=quality, subsampling="4:2:0") for one in images.cpu()]
    )


def open_ingest(words: str) -> Ingest | None:
    """The ingest called ``jpeg:Q`` (recompressed at quality Q) or ``png`` (kept as it is: None).

    Raises:
        ConfigError: another word, or a quality outside 1 to 100.
    """
    if words == "png":
        return None
    match = re.fullmatch(r"jpeg:(\d{1,3})", words)
    if match is None or not 1 <= int(match[1]) <= 100:
        raise ConfigError(
            f"ingest {words!r}: expected png or jpeg:Q with a quality Q from 1 to 100",
            hint="--ingest jpeg:75",
        )
    return partial(through_jpeg, quality=int(match[1]))


def _file(image: Tensor, **options: object) -> bytes:
    buffer = io.BytesIO()
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(pixels).save(buffer, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def _decoded(files: list[bytes]) -> Tensor:
    decoded = [np.asarray(Image.open(io.BytesIO(one))) for one in files]
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()
