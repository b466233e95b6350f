"""From pixels to ``Uploads``, and made-up clean uploads to fit thresholds on."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from PIL import Image, ImageEnhance
from torch import Tensor

from recsec.models import PhotoEncoder
from recsec.screening.base import Catalog, Uploads
from recsec.screening.squeezers import SQUEEZERS
from recsec.types import IntArray

if TYPE_CHECKING:
    from recsec.data import PhotoSplit

__all__ = ["catalog_of", "look", "reencoded", "searched_with", "uploads_of"]

QUALITIES = (80, 95)
LIGHT = 0.05
BATCH = 128


def look(encoder: PhotoEncoder, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B V D"]:
    """Embeddings of images and of their squeezed copies, the image itself first."""
    views = [images, *(squeeze(images) for squeeze in SQUEEZERS.values())]
    return torch.stack([encoder(view) for view in views], dim=1)


def catalog_of(encoder: PhotoEncoder, split: PhotoSplit, features: Float[Tensor, "N D"]) -> Catalog:
    """All photos as the shop knows them.

    Args:
        encoder: gives the device.
        split: gives the labels.
        features: of all photos, as ``catalog_features`` makes them.
    """
    vectors = torch.nn.functional.normalize(features, dim=1).to(encoder.device)
    return Catalog.of(vectors, torch.from_numpy(split.labels).to(encoder.device))


@torch.no_grad()
def uploads_of(
    encoder: PhotoEncoder, split: PhotoSplit, pixels: npt.NDArray[np.uint8], listings: IntArray
) -> Uploads:
    """Photos that are uploaded for listings.

    Args:
        encoder: frozen or in evaluation mode.
        split: whose photos are replaced.
        pixels: ``(B, 3, S, S)`` uint8.
        listings: ``(B,)`` rows of the photos.
    """
    place = encoder.device
    images = torch.from_numpy(pixels).to(place).float().div_(255)
    before = torch.from_numpy(split.photos.pixels(listings, encoder.size)).to(place).float() / 255
    looks = torch.cat([look(encoder, part) for part in torch.split(images, BATCH)])
    return Uploads(images, looks, torch.from_numpy(listings).to(place), before)


@torch.no_grad()
def searched_with(encoder: PhotoEncoder, pixels: npt.NDArray[np.uint8]) -> Uploads:
    """Photos ``(B, 3, S, S)`` uint8 that are uploaded for no listing; see ``Screen.listed``."""
    images = torch.from_numpy(pixels).to(encoder.device).float().div_(255)
    nowhere = torch.full((len(pixels),), -1, device=encoder.device)
    return Uploads(images, look(encoder, images), nowhere, images)


def reencoded(pixels: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """What an honest seller uploads again: the same photo, a little lighter or darker, as JPEG.

    This law is assumed, not measured: brightness and contrast change by up to 5 %, the quality of
    the file is 80 to 95.

    Args:
        pixels: ``(B, 3, S, S)`` uint8.
        rng: draws the changes.
    """
    out = np.empty_like(pixels)
    for at, image in enumerate(pixels):
        changed = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
        for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast):
            changed = kind(changed).enhance(1 + LIGHT * rng.uniform(-1, 1))
        file = io.BytesIO()
        changed.save(file, "JPEG", quality=int(rng.integers(QUALITIES[0], QUALITIES[1] + 1)))
        out[at] = np.asarray(Image.open(file)).transpose(2, 0, 1)
    return out
