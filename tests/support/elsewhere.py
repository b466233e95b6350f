"""A second device for tests: tensors on ``meta`` that hold numbers, computed by the CPU.

Within ``Elsewhere()``, whatever is made on or moved to ``meta`` is a wrapper around a CPU tensor.
Operations that mix devices fail as they would on an accelerator, ``.numpy()`` of such a tensor
fails, and numbers are those of the CPU to the last bit. So a tensor that is made on the CPU by
habit is found by running the real code.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

PLACE = torch.device("meta")


class There(torch.Tensor):
    """A tensor that says it is on ``PLACE``."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> There:
        found = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(),
            dtype=held.dtype, device=PLACE, requires_grad=False,
        )  # fmt: skip
        found.held = held
        return found

    def __repr__(self) -> str:  # type: ignore[override]
        return f"There({self.held})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class MixedError(RuntimeError):
    """An operation on tensors of two devices."""


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    given = [one for one in tree_leaves((args, kwargs)) if _tensor(one)]
    there = [one for one in given if isinstance(one, There)]
    here = [one for one in given if not isinstance(one, There) and one.dim()]
    device = kwargs.get("device")
    moved = device is not None and torch.device(device) == PLACE
    stays = device is not None and not moved
    if there and here and func not in ANY:
        raise MixedError(
            f"{func} got tensors of shape {[tuple(one.shape) for one in here]} on the CPU beside "
            f"{[tuple(one.shape) for one in there]} on the device"
        )
    plain = {**kwargs, "device": torch.device("cpu")} if moved else kwargs
    held = tree_map(lambda one: one.held if isinstance(one, There) else one, (args, plain))
    found = func(*held[0], **held[1])
    if func in COPIES:
        return args[0]
    if there and torch.Tag.inplace_view in func.tags:  # shape and strides of the wrapper follow
        with no_dispatch():
            func(*args, **kwargs)
        return args[0]
    wraps = moved or (bool(there) and not stays)
    same = {id(one.held): one for one in there}

    def wrapped(one: Any) -> Any:
        if not _tensor(one) or isinstance(one, There):
            return one
        return same[id(one)] if id(one) in same else There(one)

    return tree_map(wrapped, found) if wraps else found


def _tensor(one: Any) -> bool:
    return isinstance(one, torch.Tensor)


aten = torch.ops.aten
COPIES = {aten.copy_.default}
ANY = {
    *COPIES,
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
}
"""What takes tensors of two devices: copies, and indices on the CPU."""
PLAIN = torch.Generator


class _Generator(PLAIN):
    """One for ``PLACE``: draws what one of the CPU does."""

    def __new__(cls, device: Any = "cpu") -> Any:
        if torch.device(device) != PLACE:
            return PLAIN(device)
        return super().__new__(cls, "cpu")


def _of_cpu(function: Any) -> Any:
    """A function that is told of a kind of device, told of the CPU where it is of ``PLACE``."""

    def told(device: str, *args: Any, **kwargs: Any) -> Any:
        return function("cpu" if device == PLACE.type else device, *args, **kwargs)

    return told


PATCHED = {
    "Generator": _Generator,
    "autocast": _of_cpu(torch.autocast),
    "is_autocast_enabled": _of_cpu(torch.is_autocast_enabled),
    "get_autocast_dtype": _of_cpu(torch.get_autocast_dtype),
}
"""What torch does not do for ``meta``."""


class _Made(TorchFunctionMode):
    """``torch.tensor(numbers, device=PLACE)`` would make a meta tensor without the numbers."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if func in (torch.tensor, torch.Tensor.new_tensor):
            place = given.pop("device", None)
            if func is torch.Tensor.new_tensor:
                place, given = place or args[0].device, {"dtype": args[0].dtype, **given}
                args = args[1:]
            made = torch.tensor(*args, **given)
            return made if place is None else made.to(place)
        there = given.get("device") in (PLACE, PLACE.type) or any(
            isinstance(one, There) for one in args
        )
        draws = given.get("generator")
        if there and draws is not None and not isinstance(draws, _Generator):
            raise MixedError(f"{func} draws on the device with a generator of the CPU")
        if func is torch.Tensor.tolist and isinstance(args[0], There):
            return args[0].held.tolist()
        return func(*args, **given)


class Elsewhere(TorchDispatchMode):
    """``with Elsewhere(): model.to(PLACE)``."""

    def __enter__(self) -> Any:
        self.before = {name: getattr(torch, name) for name in PATCHED}
        for name, made in PATCHED.items():
            setattr(torch, name, made)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        self.made = _Made()
        self.made.__enter__()
        return super().__enter__()

    def __exit__(self, *given: Any) -> None:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
        for name, was in self.before.items():
            setattr(torch, name, was)
        super().__exit__(*given)
        self.made.__exit__(*given)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})
