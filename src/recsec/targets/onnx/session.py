"""An ONNX file opened for asking: no operators of others, no weights outside of its folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recsec.errors import ConfigError

__all__ = ["OpenedOnnx", "Port", "external_files", "named", "open_onnx_file"]


@dataclass(frozen=True)
class Port:
    """What goes in or comes out: ``shape`` with None where it may vary."""

    name: str
    kind: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class OpenedOnnx:
    """A file that onnxruntime answers.

    Attributes:
        path: of the file.
        model: as read, without external data.
        session: of onnxruntime, on the CPU.
        inputs: what it takes.
        outputs: what it gives.
    """

    path: Path
    model: Any
    session: Any
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def open_onnx_file(path: Path) -> OpenedOnnx:
    """Open a file, with as many threads as torch has.

    Raises:
        ConfigError: the libraries are missing, it is no ONNX file, it uses operators of others, or
            keeps weights outside of its folder.
    """
    onnx, onnxruntime = _libraries(path)
    model = _read(onnx, path)
    home = path.parent.resolve()
    for name, place in _places(model):
        found = (home / place).resolve()
        if not found.is_relative_to(home):
            raise ConfigError(
                f"{path} keeps the weights {name!r} in {place!r}, outside of its folder",
                hint="put the data file beside it and export again, or save all in one file",
            )
        if not found.is_file():
            raise ConfigError(
                f"{path} keeps its weights in {place!r}, and there is no such file beside it",
                hint="copy both files",
            )
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
    return OpenedOnnx(
        path, model, session, _ports(session.get_inputs()), _ports(session.get_outputs())
    )


def external_files(path: Path) -> list[Path]:
    """The files beside a file that hold its weights.

    Raises:
        ConfigError: as ``open_onnx_file``.
    """
    return sorted({path.parent / place for _, place in _places(_read(_libraries(path)[0], path))})


def _libraries(path: Path) -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"{path} needs the libraries onnx and onnxruntime, which are not installed",
            hint='pip install "recsec[onnx]"',
        ) from error
    return onnx, onnxruntime


def _read(onnx: Any, path: Path) -> Any:
    """The model without external data."""
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf says it in many ways
        raise ConfigError(f"{path} is no ONNX file: {str(error)[:200]}") from error
    if not model.graph.node:
        raise ConfigError(f"{path} is no ONNX file: it holds no graph")
    return model


def _places(model: Any) -> Iterator[tuple[str, str]]:
    """Name and place of each constant that lies outside of the file."""
    from onnx.external_data_helper import uses_external_data

    inside = (_of_nodes(function.node) for function in model.functions)
    for tensor in (*_of_graph(model.graph), *(one for part in inside for one in part)):
        if uses_external_data(tensor):
            for entry in tensor.external_data:
                if entry.key == "location":
                    yield tensor.name, entry.value


def _of_graph(graph: Any) -> Iterator[Any]:
    """All constants of a graph, those of its nodes and of graphs within it included."""
    yield from graph.initializer
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        for one in node.attribute:
            yield from [one.t, *one.tensors]
            for inner in (one.g, *one.graphs):
                yield from _of_graph(inner)


def _ports(found: Iterable[Any]) -> tuple[Port, ...]:
    def shape(one: Any) -> tuple[int | None, ...]:
        return tuple(side if isinstance(side, int) else None for side in one.shape)

    return tuple(Port(one.name, one.type, shape(one)) for one in found)


def named(ports: Iterable[Port]) -> str:
    """Ports as messages name them, with ``?`` for a side that may vary."""
    return ", ".join(
        f"{one.name} {tuple('?' if side is None else side for side in one.shape)} {one.kind}"
        for one in ports
    )
