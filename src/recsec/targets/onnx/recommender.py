"""``onnx:FILE`` as a recommender: histories as numbers in, scores of all items out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from recsec.data.catalog import Catalog
from recsec.data.sources.tables import Field, read_table
from recsec.errors import ConfigError, TargetError
from recsec.targets.foreign import ForeignRecommender
from recsec.targets.onnx.file import OnnxFile, read_onnx_file
from recsec.targets.onnx.session import OpenedOnnx, Port, external_files, named, open_onnx_file
from recsec.types import IntArray

__all__ = ["onnx_files", "open_onnx"]

WHOLE: Final = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
MASKS: Final = {**WHOLE, "tensor(bool)": np.bool_, "tensor(float)": np.float32}
CELLS: Final = 1 << 24
"""Scores that are asked for at once."""


@dataclass(frozen=True, eq=False, kw_only=True)
class _Ports:
    """What goes in, and what comes out."""

    history: Port
    lengths: Port | None
    mask: Port | None
    scores: Port


@dataclass(frozen=True, eq=False, kw_only=True)
class _Asked:
    """An ONNX file, and how it is asked.

    Attributes:
        opened: the file.
        ports: what goes in, and what comes out.
        length: newest items that it takes; None: as many as there are.
        left: shorter histories are filled on the left.
        numbers: ``(N + 1,)`` the number of each item, the filling one at 0.
        first: the number whose score is in column 0.
    """

    opened: OpenedOnnx
    ports: _Ports
    length: int | None
    left: bool
    numbers: IntArray
    first: int

    def __call__(self, histories: IntArray) -> npt.NDArray[Any]:
        """Scores ``(B, N)`` after histories ``(B, L)`` of catalog indices, zeros on the right."""
        out = np.empty((len(histories), len(self.numbers) - 1), np.float32)
        columns = self.numbers[1:] - self.first
        in_order = bool((np.diff(columns) == 1).all())
        kept: Any = slice(columns[0], columns[-1] + 1) if in_order else columns
        for rows, scores in self.parts(histories):
            out[rows] = scores[:, kept]
        return out

    def parts(self, histories: IntArray) -> Iterator[tuple[IntArray, npt.NDArray[Any]]]:
        """Rows that are asked together, and their scores of all columns."""
        lengths = (histories > 0).sum(axis=1)
        used = np.maximum(lengths, 1)
        for width in np.unique(used).tolist() if self.length is None else [self.length]:
            rows = np.flatnonzero(used == width) if self.length is None else np.arange(len(used))
            step = self._rows(width)
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                yield part, self._ask(histories[part], lengths[part], width)

    def _rows(self, width: int) -> int:
        """Histories per call of onnxruntime."""
        if self.ports.history.shape[0] == 1:
            return 1
        each = len(self.numbers) * (width if len(self.ports.scores.shape) == 3 else 1)
        return max(1, CELLS // each)

    def _ask(self, histories: IntArray, lengths: IntArray, width: int) -> npt.NDArray[Any]:
        begin = lengths - width if self.left else np.maximum(lengths - width, 0)
        places = begin[:, None] + np.arange(width)
        held = (places >= 0) & (places < lengths[:, None])
        padded = histories if histories.shape[1] else np.zeros((len(histories), 1), np.int64)
        items = np.take_along_axis(padded, places.clip(0, padded.shape[1] - 1), axis=1)
        windows = self.numbers[np.where(held, items, 0)]
        used = np.clip(lengths, 1, width)
        ports = self.ports
        feed = {ports.history.name: windows.astype(WHOLE[ports.history.kind])}
        if ports.lengths is not None:
            feed[ports.lengths.name] = used.astype(WHOLE[ports.lengths.kind])
        if ports.mask is not None:
            feed[ports.mask.name] = held.astype(MASKS[ports.mask.kind])
        label = self.opened.path.name
        try:
            found = self.opened.session.run([ports.scores.name], feed)[0]
        except Exception as error:  # whatever the graph stumbles over
            raise TargetError(
                f"{label} does not take histories of shape {windows.shape}: {str(error)[:300]}",
                hint="say length, side and pad in a file with [onnx]; export it with a batch axis "
                "that may vary",
            ) from error
        whole = len(found) == len(histories)
        if whole and found.ndim == 3 and found.shape[1] in (1, width):
            last = np.full(len(used), -1) if self.left or found.shape[1] == 1 else used - 1
            found = found[np.arange(len(found)), last]
        if not whole or found.ndim != 2:
            raise TargetError(
                f"{label} gives {ports.scores.name} of shape {found.shape} for "
                f"{len(histories)} histories; expected one row of scores for each",
                hint="name the output with the scores in a file with [onnx]: scores = ...; "
                "export it with a batch axis that may vary",
            )
        scores: npt.NDArray[Any] = found
        return scores


def open_onnx(spec: str, catalog: Catalog) -> ForeignRecommender:
    """A recommender from ``onnx:FILE``, or from a TOML file with ``[onnx]``.

    Three histories are asked here, so a file that cannot be asked is refused before anything else.

    Raises:
        ConfigError: the file is none, or its inputs and outputs are not those of a recommender of
            this catalog.
        DataError: the table of numbers is broken.
        TargetError: onnxruntime fails.
    """
    settings = read_onnx_file(spec)
    opened = open_onnx_file(settings.file)
    ports = _ports(opened, settings)
    length = _length(opened.path, ports.history, settings)
    side = settings.side or ("left" if ports.lengths is None else "right")
    asked = _Asked(
        opened=opened,
        ports=ports,
        length=length,
        left=side == "left",
        numbers=_numbers(catalog, settings),
        first=settings.first,
    )
    _, scores = next(asked.parts(np.tile([1, len(catalog)], (3, 1))))
    _check_columns(asked, scores.shape[1], settings)
    found = ForeignRecommender(catalog, asked, label=opened.path.name)
    found.words = _words(asked, side, scores.shape[1], settings)
    return found


def onnx_files(spec: str) -> list[Path]:
    """The files that decide what such a source answers.

    Raises:
        ConfigError: as ``open_onnx``.
    """
    settings = read_onnx_file(spec)
    table = [settings.items] if settings.items is not None else []
    return [settings.file, *external_files(settings.file), *table]


def _ports(opened: OpenedOnnx, settings: OnnxFile) -> _Ports:
    """The inputs and the output that were named, else those that look like it.

    Raises:
        ConfigError: there is none, or one is left over.
    """
    inputs = opened.inputs
    masks = [one for one in inputs if len(one.shape) == 2 and one.kind in MASKS]
    masks = [one for one in masks if "mask" in one.name.lower()]
    flat = [one for one in inputs if len(one.shape) == 1 and one.kind in WHOLE]
    rows = [one for one in inputs if len(one.shape) == 2 and one.kind in WHOLE]
    rows = [one for one in rows if settings.mask != one.name and one not in masks]

    def chosen(name: str | None, ports: list[Port]) -> Port | None:
        if name is None:
            return ports[0] if len(ports) == 1 else None
        return next((one for one in inputs if one.name == name), None)

    history = chosen(settings.history, rows)
    lengths, mask = chosen(settings.lengths, flat), chosen(settings.mask, masks)
    used = [one.name for one in (history, lengths, mask) if one is not None]
    named_ones = {settings.history, settings.lengths, settings.mask} - {None}
    fits = all(
        one is None or (len(one.shape) == sides and one.kind in kinds)
        for one, sides, kinds in ((history, 2, WHOLE), (lengths, 1, WHOLE), (mask, 2, MASKS))
    )
    if history is None or not fits or sorted(used) != sorted(one.name for one in inputs):
        raise ConfigError(
            f"{opened.path} takes {named(inputs)}; expected the numbers of a history (B, L), and "
            "at most their count (B,) and a mask (B, L)"
            + (f"; named are {', '.join(sorted(map(str, named_ones)))}" if named_ones else ""),
            hint="name its inputs in a file with [onnx]: history, lengths, mask; fix others when "
            "it is exported",
        )
    if history.shape[0] not in (None, 1):
        raise ConfigError(
            f"{opened.path} takes {history.shape[0]} histories at a time, no more and no fewer",
            hint="export it with a batch axis that may vary",
        )
    outputs = [one for one in opened.outputs if len(one.shape) in (2, 3)]
    scores = [one for one in outputs if settings.scores in (None, one.name)]
    if not scores:
        raise ConfigError(
            f"{opened.path} gives {named(opened.outputs)}; expected the scores of all items (B, C)",
            hint="name the output with the scores in a file with [onnx]: scores = ...",
        )
    return _Ports(history=history, lengths=lengths, mask=mask, scores=scores[0])


def _length(path: Path, history: Port, settings: OnnxFile) -> int | None:
    fixed = history.shape[1]
    if fixed is not None and settings.length not in (None, fixed):
        raise ConfigError(
            f"{path} takes histories of {fixed} items, the file says {settings.length}"
        )
    if fixed is None and settings.length is None and settings.side is not None:
        raise ConfigError(
            f"{path} takes histories of any length, so nothing is filled on the {settings.side}",
            hint="say length in the file with [onnx], or leave out side",
        )
    return fixed or settings.length


def _numbers(catalog: Catalog, settings: OnnxFile) -> IntArray:
    """The model's number of each catalog index ``(N + 1,)``; at 0 the one that fills.

    Raises:
        ConfigError: items without a number, or two with one.
        DataError: the table is missing or broken.
    """
    items = len(catalog)
    if settings.items is None:
        return np.concatenate([[settings.pad], np.arange(1, items + 1)])
    table = settings.items.expanduser()
    rows = read_table(table, {"item": Field("id"), "number": Field("whole")}).rows
    known = dict(zip(rows["item"].cast(pl.String), rows["number"].to_list(), strict=True))
    found = [known.get(str(item)) for item in catalog.ids.tolist()]
    missing = [str(item) for item, one in zip(catalog.ids, found, strict=True) if one is None]
    if missing:
        raise ConfigError(
            f"{table} has no number for {len(missing)} of {items} items, such as {missing[0]}",
            hint="leave such items out by --filters, or name the data that it was trained on",
        )
    numbers = [settings.pad, *found]
    if len(set(numbers)) < len(numbers):
        twice = next(one for one in numbers if numbers.count(one) > 1)
        raise ConfigError(
            f"{table} gives the number {twice} to two items"
            + (", or to one while it fills short histories" if twice == settings.pad else ""),
            hint="pad in the file with [onnx] says which number fills",
        )
    return np.array(numbers, dtype=np.int64)


def _check_columns(asked: _Asked, columns: int, settings: OnnxFile) -> None:
    """Each item has a column; where no table says which, there are as many as items and filling.

    Raises:
        ConfigError: it scores other items.
    """
    numbers = asked.numbers[1:]
    least, most = int(numbers.min()), int(numbers.max())
    wanted = most - settings.first + 1
    fits = columns == wanted if settings.items is None else columns >= wanted
    if least < settings.first or not fits:
        raise ConfigError(
            f"{asked.opened.path} gives {columns} scores; numbers {least} to {most} with number "
            f"{settings.first} in column 0 are {wanted}",
            hint="a file with [onnx] says it: items = a table item,number, first = the number in "
            "column 0",
        )


def _words(asked: _Asked, side: str, columns: int, settings: OnnxFile) -> str:
    """What goes in and what is read, for whoever checks it."""
    ports = asked.ports
    taken = (
        f"the newest {asked.length} items, filled on the {side} with {asked.numbers[0]}"
        if asked.length is not None
        else "histories as long as they are"
    )
    also = "".join(
        f"; {one.name} takes {what}"
        for one, what in ((ports.lengths, "their count"), (ports.mask, "1 where an item is"))
        if one is not None
    )
    where = (
        "number n is the n-th item of the data"
        if settings.items is None
        else f"numbers are those of {settings.items}"
    )
    after = ", the last of each position" if len(ports.scores.shape) == 3 else ""
    guessed = "" if settings.said else "; nothing was said about it, a TOML file with [onnx] can"
    return (
        f"{named([ports.history])} takes {taken}{also}; {where}; {ports.scores.name} gives "
        f"{columns} scores{after}, column 0 of number {settings.first}{guessed}"
    )
