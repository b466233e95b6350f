"""``onnx:FILE``: answered by onnxruntime; gradients where the graph can be turned into torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recsec.errors import ConfigError, TargetError
from recsec.targets.visual.black_box import BlackBox
from recsec.targets.visual.recipe import Recipe
from recsec.targets.visual.sources.onnx_graph import OnnxGraph, Unsupported
from recsec.targets.visual.vectors import checked, vectors_of

__all__ = ["PREFIX", "OnnxEncoder", "open_onnx"]

PREFIX = "onnx"
NUMBERS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
CLOSE = 1e-3
"""Share of a vector's length by which torch and onnxruntime may differ."""


@dataclass(frozen=True)
class _Port:
    """What goes in or comes out: ``shape`` with None where it may vary."""

    name: str
    kind: str
    shape: tuple[int | None, ...]


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
    model, session = _opened(path)
    source = _input(path, [_port(one) for one in session.get_inputs()])
    chosen = _output(path, [_port(one) for one in session.get_outputs()], output)
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
            found = [session.run([chosen.name], {source.name: part})[0] for part in parts]
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
        twin = OnnxGraph(model, path.parent, source=source.name, output=chosen.name)
        _same(encoder, twin)
    except Unsupported as reason:
        encoder.opaque = str(reason)
    except Exception as error:  # a form of an operator that this reader took for another
        encoder.opaque = f"{type(error).__name__}: {error}"
    else:
        encoder.twin = twin
    return encoder


def _opened(path: Path) -> tuple[Any, Any]:
    """The model as read, and a session that answers."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"{path} needs the libraries onnx and onnxruntime, which are not installed",
            hint='pip install "recsec[onnx]"',
        ) from error
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf says it in many ways
        raise ConfigError(f"{path} is no ONNX file: {str(error)[:200]}") from error
    if not model.graph.node:
        raise ConfigError(f"{path} is no ONNX file: it holds no graph")
    _check_external(path, model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its own hierarchy of errors is not public
        words = str(error)
        custom = "custom" in words or "not a registered function/op" in words
        hint = (
            "it uses operators that onnxruntime does not have; serve it by callable:module:function"
            if custom
            else "export it again"
        )
        raise ConfigError(f"onnxruntime refuses {path}: {words[:300]}", hint=hint) from error
    return model, session


def _check_external(path: Path, model: Any) -> None:
    """Weights beside the file are fine; elsewhere they could be anything of this machine's."""
    from onnx.external_data_helper import uses_external_data

    home = path.parent.resolve()
    for tensor in _tensors(model.graph):
        if not uses_external_data(tensor):
            continue
        places = [one.value for one in tensor.external_data if one.key == "location"]
        for place in places:
            found = (home / place).resolve()
            if not found.is_relative_to(home):
                raise ConfigError(
                    f"{path} keeps the weights {tensor.name!r} in {place!r}, outside of its folder",
                    hint="put the data file beside it and export again, or save all in one file",
                )
            if not found.is_file():
                raise ConfigError(
                    f"{path} keeps its weights in {place!r}, and there is no such file beside it",
                    hint="copy both files",
                )


def _tensors(graph: Any) -> Iterator[Any]:
    """All constants of a graph, those of its nodes and of graphs within it included."""
    yield from graph.initializer
    for node in graph.node:
        for one in node.attribute:
            yield from [one.t, *one.tensors]
            for inner in (one.g, *one.graphs):
                yield from _tensors(inner)


def _port(one: Any) -> _Port:
    shape = tuple(side if isinstance(side, int) else None for side in one.shape)
    return _Port(one.name, one.type, shape)


def _said(ports: list[_Port]) -> str:
    return ", ".join(
        f"{one.name} {tuple('?' if side is None else side for side in one.shape)} {one.kind}"
        for one in ports
    )


def _input(path: Path, ports: list[_Port]) -> _Port:
    images = [one for one in ports if len(one.shape) == 4 and 3 in (one.shape[1], one.shape[3])]
    known = [one for one in images if one.kind in NUMBERS or one.kind == "tensor(uint8)"]
    if len(ports) != 1 or len(known) != 1:
        raise ConfigError(
            f"{path} takes {_said(ports)}; expected one input of images, (B, 3, S, S) or "
            "(B, S, S, 3)",
            hint="export the image part alone",
        )
    return known[0]


def _output(path: Path, ports: list[_Port], wanted: str | None) -> _Port:
    flat = [one for one in ports if len([s for s in one.shape[1:] if s != 1]) == 1]
    found = [one for one in (ports if wanted else flat) if wanted in (None, one.name)]
    if not found:
        raise ConfigError(
            f"{path} gives {_said(ports)}; "
            + (f"none is called {wanted!r}" if wanted else "none is (B, D), one vector per image"),
            hint="name the output with the vectors in a file: output = ...",
        )
    return found[0]


def _fitted(path: Path, source: _Port, recipe: Recipe) -> Recipe:
    """The recipe with size and layout of the input."""
    last = source.shape[1] != 3
    sides = source.shape[1:3] if last else source.shape[2:]
    known = {side for side in sides if side is not None}
    if len(known) > 1:
        raise ConfigError(f"{path} takes {_said([source])}; photos are squares here")
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
