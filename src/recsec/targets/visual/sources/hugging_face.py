"""``hf:FOLDER`` or ``hf:ORG/NAME@REVISION``: a pretrained network as it is, white box."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from recsec.models.visual.backbone import pretrained
from recsec.targets.visual.network import NetworkEncoder
from recsec.targets.visual.recipe import Recipe

__all__ = ["PREFIX", "open_hugging_face"]

PREFIX = "hf"


def open_hugging_face(spec: str, recipe: Recipe) -> NetworkEncoder:
    """The network with its own weights and mean and deviation of the channels.

    Of the recipe it takes size, crop and channel order; the network brings the rest.

    Raises:
        ConfigError: as in ``pretrained``.
    """
    seen = Recipe(size=recipe.size, resize=recipe.resize, channels=recipe.channels)
    body = pretrained(spec, recipe.size)
    encoder = NetworkEncoder(body, seen, name=spec)
    own = {"mean": body.mean.flatten().tolist(), "std": body.std.flatten().tolist()}
    encoder.shown = seen.model_copy(update=own)
    return encoder


def own_size(spec: str) -> int | None:
    """The side of the images that a local network was trained on, where its settings say it."""
    folder = Path(spec.removeprefix(f"{PREFIX}:")).expanduser()
    with suppress(OSError, ValueError, TypeError):
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        size = found.get("image_size", found.get("vision_config", {}).get("image_size"))
        return None if size is None else int(size)
    return None
