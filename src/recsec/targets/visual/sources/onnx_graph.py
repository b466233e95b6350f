"""The graph of an ONNX file as a torch module, so that gradients reach the pixels.

An interpreter of the operators that exported image networks use; who finds another one stays a
black box. Its answers are compared with those of onnxruntime before it is used (``onnx_file``).
onnx2torch would do the same, but needs torchvision, whose published wheel does not load beside the
CPU build of torch and then breaks transformers.

Source: the operator schemas of ONNX, https://onnx.ai/onnx/operators/, opset 13 and later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

__all__ = ["OnnxGraph", "Unsupported"]

Values: TypeAlias = Sequence[Any]
"""Inputs of a node: tensors, None where one is left out."""
Attributes: TypeAlias = dict[str, Any]
Operator: TypeAlias = Callable[[Values, Attributes], Any]


class Unsupported(Exception):  # noqa: N818 - a state: the file stays a black box
    """The graph holds what there is no torch for; says what."""


class OnnxGraph(nn.Module):
    """Images as the file takes them to one of its outputs.

    Args:
        model: ``onnx.ModelProto``.
        folder: where its external data are.
        source: name of the input that is the images; no other may lack a value.
        output: name of the output.

    Raises:
        Unsupported: an operator, or a form of one, that is not known here.
    """

    def __init__(self, model: Any, folder: Path, *, source: str, output: str) -> None:
        super().__init__()
        from onnx import numpy_helper

        self.source, self.output = source, output
        self.nodes: list[tuple[str, list[str], list[str], Attributes]] = []
        self.kept: dict[str, str] = {}
        known: dict[str, Any] = {"": None}
        for one in model.graph.initializer:
            known[one.name] = torch.from_numpy(numpy_helper.to_array(one, str(folder)).copy())
        for node in model.graph.node:
            if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
                raise Unsupported(f"the operator {node.domain or 'ai.onnx'}.{node.op_type}")
            step = node.op_type, list(node.input), list(node.output), _attributes(node, folder)
            if all(name in known for name in node.input):
                known |= _run(step, known)
            else:
                self.nodes.append(step)
        used = {name for _, inputs, _, _ in self.nodes for name in inputs}
        for place, name in enumerate(sorted(used & set(known) - {""})):
            self.kept[name] = f"value_{place}"
            self.register_buffer(self.kept[name], known[name])

    def forward(self, images: Tensor) -> Tensor:
        """What the output is for images."""
        values: dict[str, Any] = {"": None, self.source: images}
        values |= {name: getattr(self, kept) for name, kept in self.kept.items()}
        for step in self.nodes:
            values |= _run(step, values)
        found: Tensor = values[self.output]
        return found


def _run(
    step: tuple[str, list[str], list[str], Attributes], values: dict[str, Any]
) -> dict[str, Any]:
    kind, inputs, outputs, attributes = step
    found = OPERATORS[kind]([values[name] for name in inputs], attributes)
    return dict(zip(outputs, found if isinstance(found, tuple) else (found,), strict=False))


def _attributes(node: Any, folder: Path) -> Attributes:
    from onnx import helper, numpy_helper

    found: Attributes = {"outputs": len(node.output)}
    for one in node.attribute:
        value = helper.get_attribute_value(one)
        if type(value).__name__ == "TensorProto":
            value = torch.from_numpy(numpy_helper.to_array(value, str(folder)).copy())
        found[one.name] = value.decode() if isinstance(value, bytes) else value
    return found


def _get(x: Values, place: int) -> Any:
    return x[place] if place < len(x) else None


def _numbers(x: Values, a: Attributes, place: int, name: str) -> list[int] | None:
    """Whole numbers that newer opsets take as an input and older ones as an attribute."""
    given = _get(x, place)
    if given is not None:
        return [int(one) for one in given.flatten().tolist()]
    value = a.get(name)
    return None if value is None else [int(one) for one in value]


def _padded(x: Tensor, a: Attributes, value: float = 0.0) -> tuple[Tensor, list[int]]:
    """Padding that is the same at both ends is left to the operator; other is added here."""
    axes = x.ndim - 2
    pads = list(a.get("pads", [0] * 2 * axes))
    if a.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        pads = _same(x, a)
    if a.get("auto_pad") == "VALID":
        pads = [0] * 2 * axes
    if pads[:axes] == pads[axes:]:
        return x, pads[:axes]
    around = [one for axis in reversed(range(axes)) for one in (pads[axis], pads[axis + axes])]
    return F.pad(x, around, value=value), [0] * axes


def _same(x: Tensor, a: Attributes) -> list[int]:
    low, high = [], []
    strides = a.get("strides", [1] * (x.ndim - 2))
    spread = a.get("dilations", [1] * (x.ndim - 2))
    for side, kernel, stride, dilation in zip(
        x.shape[2:], a["kernel_shape"], strides, spread, strict=True
    ):
        needed = max(0, (-(-side // stride) - 1) * stride + (kernel - 1) * dilation + 1 - side)
        less, more = needed // 2, needed - needed // 2
        upper = a["auto_pad"] == "SAME_UPPER"
        low.append(less if upper else more)
        high.append(more if upper else less)
    return low + high


def _conv(x: Values, a: Attributes) -> Tensor:
    axes = x[0].ndim - 2
    function = {1: F.conv1d, 2: F.conv2d}.get(axes)
    if function is None:
        raise Unsupported(f"Conv over {axes} axes")
    shown, pads = _padded(x[0], {"kernel_shape": list(x[1].shape[2:]), **a})
    found: Tensor = function(
        shown, x[1], _get(x, 2), a.get("strides", 1), pads, a.get("dilations", 1), a.get("group", 1)
    )
    return found


def _pool(x: Values, a: Attributes, *, largest: bool) -> Tensor:
    if x[0].ndim != 4 or a.get("outputs", 1) > 1:
        raise Unsupported("pooling that is not over two axes, or that gives places")
    stride, ceil = a.get("strides", 1), bool(a.get("ceil_mode", 0))
    if largest:
        shown, pads = _padded(x[0], a, float("-inf"))
        return F.max_pool2d(shown, a["kernel_shape"], stride, pads, a.get("dilations", 1), ceil)
    counted = bool(a.get("count_include_pad", 0))
    shown, pads = _padded(x[0], a)
    if shown is not x[0] and not counted:
        raise Unsupported("AveragePool with uneven padding that does not count")
    return F.avg_pool2d(shown, a["kernel_shape"], stride, pads, ceil, counted)


def _gemm(x: Values, a: Attributes) -> Tensor:
    left = x[0].T if a.get("transA") else x[0]
    right = x[1].T if a.get("transB") else x[1]
    found: Tensor = a.get("alpha", 1.0) * (left @ right)
    return found if _get(x, 2) is None else found + a.get("beta", 1.0) * x[2]


def _clip(x: Values, a: Attributes) -> Tensor:
    low, high = _get(x, 1), _get(x, 2)
    low = a.get("min") if low is None else low.item()
    high = a.get("max") if high is None else high.item()
    found: Tensor = x[0] if low is None and high is None else x[0].clamp(low, high)
    return found


def _pad(x: Values, a: Attributes) -> Tensor:
    pads, value = _numbers(x, a, 1, "pads") or [], _get(x, 2)
    axes = [int(one) for one in x[3].tolist()] if _get(x, 3) is not None else range(x[0].ndim)
    each = {axis % x[0].ndim: (pads[at], pads[at + len(pads) // 2]) for at, axis in enumerate(axes)}
    around = [one for axis in reversed(range(x[0].ndim)) for one in each.get(axis, (0, 0))]
    mode = a.get("mode", "constant")
    if mode == "constant":
        return F.pad(x[0], around, value=a.get("value", 0.0) if value is None else value.item())
    if mode not in ("reflect", "edge") or x[0].ndim != 4 or any(around[4:]):
        raise Unsupported(f"Pad with mode {mode}")
    return F.pad(x[0], around[:4], mode="replicate" if mode == "edge" else "reflect")


def _reduce(function: Callable[..., Any]) -> Operator:
    def run(x: Values, a: Attributes) -> Any:
        axes = _numbers(x, a, 1, "axes")
        if not axes and a.get("noop_with_empty_axes"):
            return x[0]
        axes = axes or list(range(x[0].ndim))
        return function(x[0], dim=axes, keepdim=bool(a.get("keepdims", 1)))

    return run


def _reshape(x: Values, a: Attributes) -> Tensor:
    sides = [int(one) for one in x[1].tolist()]
    if not a.get("allowzero"):
        sides = [x[0].shape[at] if one == 0 else one for at, one in enumerate(sides)]
    found: Tensor = x[0].reshape(sides)
    return found


def _flatten(x: Values, a: Attributes) -> Tensor:
    rows = math.prod(x[0].shape[: a.get("axis", 1)])
    found: Tensor = x[0].reshape(rows, -1)
    return found


def _slice(x: Values, a: Attributes) -> Tensor:
    starts, ends = _numbers(x, a, 1, "starts") or [], _numbers(x, a, 2, "ends") or []
    axes = _numbers(x, a, 3, "axes") or list(range(len(starts)))
    steps = _numbers(x, a, 4, "steps") or [1] * len(starts)
    found: Tensor = x[0]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        rows = range(found.shape[axis])[start:end:step]
        found = found.index_select(axis, torch.tensor(list(rows), device=found.device))
    return found


def _split(x: Values, a: Attributes) -> tuple[Tensor, ...]:
    axis, sizes = a.get("axis", 0), _numbers(x, a, 1, "split")
    if sizes is None:
        return tuple(x[0].tensor_split(a["outputs"], dim=axis))
    return tuple(torch.split(x[0], sizes, dim=axis))


def _gather(x: Values, a: Attributes) -> Tensor:
    axis = a.get("axis", 0) % x[0].ndim
    places = x[1] % x[0].shape[axis]
    found: Tensor = x[0].index_select(axis, places.flatten())
    return found.reshape(*x[0].shape[:axis], *places.shape, *x[0].shape[axis + 1 :])


def _unsqueeze(x: Values, a: Attributes) -> Tensor:
    axes = _numbers(x, a, 1, "axes") or []
    found: Tensor = x[0]
    for axis in sorted(axis % (found.ndim + len(axes)) for axis in axes):
        found = found.unsqueeze(axis)
    return found


def _squeeze(x: Values, a: Attributes) -> Tensor:
    axes = _numbers(x, a, 1, "axes")
    found: Tensor = x[0].squeeze() if axes is None else x[0].squeeze(axes)
    return found


def _norm(x: Values, a: Attributes) -> Tensor:
    if a.get("training_mode"):
        raise Unsupported("BatchNormalization that is still learning")
    return F.batch_norm(x[0], x[3], x[4], x[1], x[2], eps=a.get("epsilon", 1e-5))


def _layer_norm(x: Values, a: Attributes) -> Tensor:
    sides = list(x[0].shape[a.get("axis", -1) :])
    return F.layer_norm(x[0], sides, x[1], _get(x, 2), a.get("epsilon", 1e-5))


def _lp_norm(x: Values, a: Attributes) -> Tensor:
    return F.normalize(x[0], p=float(a.get("p", 2)), dim=a.get("axis", -1))


def _constant(x: Values, a: Attributes) -> Tensor:
    if "value" in a:
        value: Tensor = a["value"]
        return value
    for name, kind in (("value_float", torch.float32), ("value_int", torch.int64)):
        for key in (name, f"{name}s"):
            if key in a:
                return torch.tensor(a[key], dtype=kind)
    raise Unsupported("a Constant that is no tensor of numbers")


def _filled(x: Values, a: Attributes) -> Tensor:
    value: Tensor = a.get("value", torch.zeros(1))
    return value.to(x[0].device).expand([int(one) for one in x[0].tolist()]).clone()


def _cast(x: Values, a: Attributes) -> Tensor:
    from onnx import helper

    kind = torch.from_numpy(_zeros(helper.tensor_dtype_to_np_dtype(a["to"]))).dtype
    found: Tensor = x[0].to(kind)
    return found


def _zeros(kind: Any) -> Any:
    import numpy as np

    return np.zeros(1, kind)


def _expand(x: Values, a: Attributes) -> Tensor:
    like = torch.empty([int(one) for one in x[1].tolist()], device="meta")
    found: Tensor = x[0].expand((torch.empty_like(x[0], device="meta") + like).shape)
    return found


def _gelu(x: Values, a: Attributes) -> Tensor:
    return F.gelu(x[0], approximate=a.get("approximate", "none"))


def _divide(x: Values, a: Attributes) -> Tensor:
    whole = not x[0].is_floating_point()
    found: Tensor = torch.div(x[0], x[1], rounding_mode="trunc") if whole else x[0] / x[1]
    return found


def _plain(function: Callable[..., Any]) -> Operator:
    return lambda x, a: function(*x)


OPERATORS: dict[str, Operator] = {
    **{
        name: _plain(getattr(torch, name.lower()))
        for name in (
            "Abs",
            "Erf",
            "Exp",
            "Log",
            "MatMul",
            "Neg",
            "Pow",
            "Reciprocal",
            "Relu",
            "Sigmoid",
            "Sqrt",
            "Tanh",
        )
    },
    "Add": _plain(torch.add),
    "AveragePool": lambda x, a: _pool(x, a, largest=False),
    "BatchNormalization": _norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda x, a: torch.cat(list(x), dim=a["axis"]),
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "Conv": _conv,
    "Div": _divide,
    "Dropout": lambda x, a: x[0],
    "Elu": lambda x, a: F.elu(x[0], a.get("alpha", 1.0)),
    "Equal": _plain(torch.eq),
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x, a: x[0].mean(list(range(2, x[0].ndim)), keepdim=True),
    "GlobalMaxPool": lambda x, a: x[0].amax(list(range(2, x[0].ndim)), keepdim=True),
    "HardSigmoid": lambda x, a: (a.get("alpha", 0.2) * x[0] + a.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": lambda x, a: F.hardswish(x[0]),
    "Identity": lambda x, a: x[0],
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda x, a: F.leaky_relu(x[0], a.get("alpha", 0.01)),
    "LpNormalization": _lp_norm,
    "MaxPool": lambda x, a: _pool(x, a, largest=True),
    "Mul": _plain(torch.mul),
    "PRelu": lambda x, a: torch.where(x[0] < 0, x[0] * x[1], x[0]),
    "Pad": _pad,
    "ReduceL2": _reduce(torch.linalg.vector_norm),
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "ReduceSum": _reduce(torch.sum),
    "Reshape": _reshape,
    "Shape": lambda x, a: torch.tensor(list(x[0].shape)[a.get("start", 0) : a.get("end")]),
    "Slice": _slice,
    "Softmax": lambda x, a: x[0].softmax(a.get("axis", -1)),
    "Softplus": lambda x, a: F.softplus(x[0]),
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _plain(torch.sub),
    "Transpose": lambda x, a: x[0].permute(a.get("perm", list(reversed(range(x[0].ndim))))),
    "Unsqueeze": _unsqueeze,
    "Where": _plain(torch.where),
}
"""Name to what it does: the inputs in order, and the attributes."""
