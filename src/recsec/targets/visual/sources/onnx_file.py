"""``onnx:FILE``: answered by onnxruntime; gradients where the graph can be turned into torch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recsec.errors import ConfigError, TargetError
from recsec.targets.onnx.session import Port, named, open_onnx_file
from recsec.targets.visual.black_box import BlackBox
from recsec.targets.visual.recipe import Recipe
from recsec.targets.visual.sources.onnx_graph import OnnxGraph, Unsupported
from recsec.targets.visual.vectors import checked, vectors_of

__all__ = ["PREFIX", "OnnxEncoder", "open_onnx"]

PREFIX = "onnx"
NUMBERS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
CLOSE = 1e-3
"""Share of a vector's length by which torch and onnxruntime may differ."""


class OnnxEncoder(BlackBox):
    """An ONNX file. Its answers are onnxruntime's; gradients come from a torch twin of the graph.

    Attributes:
        twin: the graph in torch, None where it could not be made or answers otherwise.
        opaque: why there is no twin.
        output: name of the output that holds the vectors.
    """

    twin: OnnxGraph | None = None
    opaque: str = ""
    output: str = ""

    @property
    def gradients(self) -> bool:  # type: ignore[override]
        """Whether there is a twin."""
        return self.twin is not None

    def features(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Vectors in float32, before they get unit norm.

        Raises:
            TargetError: onnxruntime failed, or what it gave is not as it should be.
        """
        if self.twin is None or not (torch.is_grad_enabled() and images.requires_grad):
            return super().features(images)
        vectors = vectors_of(self.twin(self.recipe(images)), whose=self.name)
        return checked(vectors, len(images), self.dim, whose=self.name)


def open_onnx(spec: str, recipe: Recipe, *, output: str | None = None) -> OnnxEncoder:
    """The encoder in an ONNX file. Size and layout are those of its input, where it says them.

    Args:
        spec: ``onnx:FILE``.
        recipe: what it wants to see.
        output: name of the output with the vectors; by default the first of shape ``(B, D)``.

    Raises:
        ConfigError: the libraries are missing, the file is none, or it has no such ports.
        TargetError: it refuses images, or gives no vectors.
    """
    path = Path(spec.removeprefix(f"{PREFIX}:")).expanduser()
    opened = open_onnx_file(path)
    source = _input(path, opened.inputs)
    chosen = _output(path, opened.outputs, output)
    seen = _fitted(path, source, recipe)
    stored = source.kind == "tensor(uint8)"
    single = source.shape[0] == 1

    def show(images: Tensor) -> Any:
        if stored:
            shown = seen.stored(images)
            return shown if seen.layout == "nhwc" else shown.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(seen(images).numpy(), NUMBERS[source.kind])

    def run(shown: Any) -> Any:
        parts = [shown[at : at + 1] for at in range(len(shown))] if single else [shown]
        try:
            found = [opened.session.run([chosen.name], {source.name: part})[0] for part in parts]
        except Exception as error:  # whatever the graph stumbles over
            raise TargetError(
                f"{path.name} does not take images of shape {shown.shape}: {str(error)[:300]}",
                hint="say size and layout in a file",
            ) from error
        return np.concatenate(found)

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    encoder = OnnxEncoder(run, show, seen, name=path.name, identity=f"{digest} {chosen.name}")
    encoder.output = chosen.name
    if stored or single:
        encoder.opaque = "it takes whole numbers" if stored else "it takes one image at a time"
        return encoder
    try:
        twin = OnnxGraph(opened.model, path.parent, source=source.name, output=chosen.name)
        _same(encoder, twin)
    except Unsupported as reason:
        encoder.opaque = str(reason)
    except Exception as error:  # a form of an operator that this reader took for another
        encoder.opaque = f"{type(error).__name__}: {error}"
    else:
        encoder.twin = twin
    return encoder


def _input(path: Path, ports: tuple[Port, ...]) -> Port:
    images = [one for one in ports if len(one.shape) == 4 and 3 in (one.shape[1], one.shape[3])]
    known = [one for one in images if one.kind in NUMBERS or one.kind == "tensor(uint8)"]
    if len(ports) != 1 or len(known) != 1:
        raise ConfigError(
            f"{path} takes {named(ports)}; expected one input of images, (B, 3, S, S) or "
            "(B, S, S, 3)",
            hint="export the image part alone",
        )
    return known[0]


def _output(path: Path, ports: tuple[Port, ...], wanted: str | None) -> Port:
    flat = [one for one in ports if len([s for s in one.shape[1:] if s != 1]) == 1]
    found = [one for one in (ports if wanted else flat) if wanted in (None, one.name)]
    if not found:
        raise ConfigError(
            f"{path} gives {named(ports)}; "
            + (f"none is called {wanted!r}" if wanted else "none is (B, D), one vector per image"),
            hint="name the output with the vectors in a file: output = ...",
        )
    return found[0]


def _fitted(path: Path, source: Port, recipe: Recipe) -> Recipe:
    """The recipe with size and layout of the input."""
    last = source.shape[1] != 3
    sides = source.shape[1:3] if last else source.shape[2:]
    known = {side for side in sides if side is not None}
    if len(known) > 1:
        raise ConfigError(f"{path} takes {named([source])}; photos are squares here")
    said = recipe.model_fields_set
    for side in known:
        if "size" in said and recipe.size != side:
            raise ConfigError(f"{path} takes images of {side} pixels, the file says {recipe.size}")
    values = recipe.model_dump(include=said) | {"layout": "nhwc" if last else "nchw"}
    if known:
        values["size"] = known.pop()
    return Recipe.model_validate(values)


@torch.no_grad()
def _same(encoder: OnnxEncoder, twin: OnnxGraph) -> None:
    """Compare the twin with the file on three images, one of them alone.

    Raises:
        Unsupported: they differ.
    """
    side = encoder.size
    ramp = torch.linspace(0, 1, 3 * side**2).view(3, side, side)
    images = torch.stack([ramp, ramp.flip(0, 2), ramp.roll(7, 2).square()])
    for shown in (images, images[:1]):
        wanted = encoder.features(shown)
        found = vectors_of(twin(encoder.recipe(shown)), whose=encoder.name).reshape(wanted.shape)
        gap = float((found - wanted).norm() / wanted.norm().clamp(min=1e-12))
        if not gap <= CLOSE:
            raise Unsupported(f"its torch twin answers otherwise (by {gap:.1e})")
