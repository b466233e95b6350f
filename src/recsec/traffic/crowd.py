"""What is remembered of many accounts as arrays of few bytes, and back.

A crowd's state is written often, and what that costs is mostly new memory: so accounts are taken
some thousands at a time, and numbers get as many bytes as they need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from recsec.traffic.memory import HEAD, SIDE, TAIL, Memory, Past, packed

__all__ = ["pack_crowd", "unpack_crowd"]

AT_ONCE = 4096
"""Accounts that are packed together."""

KINDS = (np.uint8, np.int8, np.uint16, np.int16, np.int32, np.int64)
"""Types of whole numbers, the smallest first; those without a sign join without growing."""

UNUSED = (-1,) * SIDE

Columns = dict[str, npt.NDArray[Any]]


def pack_crowd(memories: Sequence[Memory]) -> Columns:
    """What is kept of accounts.

    Returns:
        ``counters`` ``(A, 1 + SIDE)``: chains, and which grew last, filled up with -1. And a row
        for each history: ``account`` (its place), ``tail`` ``(n, TAIL)``, ``chain``, ``rank``,
        ``past`` (1 for extended ones) and ``answer`` ``(n, K)``, zeros on the right. The histories
        of an account are in the order of keeping.
    """
    parts = [
        _columns(memories[first : first + AT_ONCE], first)
        for first in range(0, max(len(memories), 1), AT_ONCE)
    ]
    wide = max(part["answer"].shape[1] for part in parts)
    for part in parts:
        part["answer"] = _widened(part["answer"], wide)
    return {name: np.concatenate([part.pop(name) for part in parts]) for name in list(parts[0])}


def _columns(memories: Sequence[Memory], first: int) -> Columns:
    """``pack_crowd`` of some accounts, numbered from ``first``."""
    counters = chain.from_iterable(
        islice(chain((one.chains,), one.recent, UNUSED), 1 + SIDE) for one in memories
    )
    every = [leaf for one in memories for leaf in one.leaves.values()]
    long = max((len(leaf[1]) for leaf in every), default=0)
    places = np.arange(first, first + len(memories))
    parts = [
        {
            "account": np.repeat(places, [len(one.leaves) for one in memories]),
            "tail": _numbers(b"".join([key for one in memories for key in one.leaves]), len(every)),
            "chain": np.array([leaf[0] for leaf in every], dtype=np.int64),
            "rank": np.array([leaf[2] for leaf in every], dtype=np.int64),
            "past": np.zeros(len(every), dtype=np.uint8),
            "answer": _numbers(
                b"".join([leaf[1].ljust(long, b"\0") for leaf in every]), len(every)
            ),
        }
    ]
    for size in {one.past.wide for one in memories}:
        alike = [
            (code, one.past.records)
            for code, one in enumerate(memories, first)
            if one.past.wide == size
        ]
        text = b"".join([records for _, records in alike])
        records = np.frombuffer(text, dtype=np.int32).reshape(-1, (HEAD + size) // 4)
        counts = [len(records) // (HEAD + size) for _, records in alike]
        chains = np.ascontiguousarray(records[:, TAIL : TAIL + 2]).view(np.int64)[:, 0]
        parts.append(
            {
                "account": np.repeat([code for code, _ in alike], counts),
                "tail": _least(records[:, :TAIL]),
                "chain": chains,
                "rank": np.full(len(records), -1, dtype=np.int8),
                "past": np.ones(len(records), dtype=np.uint8),
                "answer": _least(records[:, HEAD // 4 :]),
            }
        )
    wide = max(part["answer"].shape[1] for part in parts)
    for part in parts:
        part["answer"] = _widened(part["answer"], wide)
    counted = np.fromiter(counters, dtype=np.int64).reshape(-1, 1 + SIDE)
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {name: _least(column) for name, column in (("counters", counted), *found.items())}


def _numbers(items: bytes, n: int) -> npt.NDArray[Any]:
    """N rows of int32 from their bytes, in fewer bytes."""
    wide = len(items) // 4 // n if n else 0
    return _least(np.frombuffer(items, dtype=np.int32).reshape(n, wide))


def _least(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Whole numbers in as few bytes as hold them.

    >>> _least(np.array([3, 300])).dtype, _least(np.array([-1, 10])).dtype
    (dtype('uint16'), dtype('int8'))
    """
    low, high = numbers.min(initial=0), numbers.max(initial=0)
    fits = (one for one in KINDS if np.iinfo(one).min <= low and high <= np.iinfo(one).max)
    return numbers.astype(next(fits))


def _widened(lists: npt.NDArray[Any], wide: int) -> npt.NDArray[Any]:
    """Lists with zeros on the right."""
    missing = wide - lists.shape[1]
    return np.pad(lists, ((0, 0), (0, missing))) if missing else lists


def unpack_crowd(arrays: Mapping[str, npt.NDArray[Any]]) -> list[Memory]:
    """What ``pack_crowd`` packed."""
    memories = []
    for chains, *recent in arrays["counters"].tolist():
        memories.append(Memory(chains=chains, recent=tuple(one for one in recent if one >= 0)))
    past = arrays["past"] > 0
    answers = packed(arrays["answer"][~past].astype(np.int64))
    tails = arrays["tail"][~past].astype(np.int32)
    columns = (arrays[name][~past].tolist() for name in ("account", "chain", "rank"))
    for row, (code, number, rank) in enumerate(zip(*columns, strict=True)):
        memories[code].leaves[tails[row].tobytes()] = (number, answers[row], rank)
    parts = (
        arrays["tail"][past].astype(np.int32),
        arrays["chain"][past].astype(np.int64)[:, None].view(np.int32),
        arrays["answer"][past].astype(np.int32),
    )
    order = np.argsort(arrays["account"][past], kind="stable")
    codes, counts = np.unique(arrays["account"][past], return_counts=True)
    records = np.concatenate(parts, axis=1)[order].tobytes()
    wide, at = 4 * arrays["answer"].shape[1], 0
    for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
        end = at + count * (HEAD + wide)
        memories[code].past = Past(records[at:end], wide)
        at = end
    return memories
