"""Looks at accounts, and the file in which they outlive the process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recsec.detection.state import pack_names, read_arrays, unpack_names, write_arrays

__all__ = ["Judged", "read_looks", "write_looks"]

AGAIN = "delete that file: the pages begin without former looks"


@dataclass(frozen=True)
class Judged:
    """A look at an account.

    Attributes:
        account: the name under which it is kept.
        at: seconds since 1970.
        queries: how many there were, repeats left out.
        share: of a rule's level that this look may spend.
        p_values: by detector; those that rules ask for, and ``combined``.
        young: whether the account was.
    """

    account: str
    at: float
    queries: int
    share: float
    p_values: dict[str, float]
    young: bool


def write_looks(path: Path, looks: Sequence[Judged]) -> None:
    """Write looks; a p-value that a look has not is a gap.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    labels = sorted({label for one in looks for label in one.p_values})
    found = [[one.p_values.get(label, np.nan) for label in labels] for one in looks]
    names, ends = pack_names([one.account for one in looks])
    known, known_ends = pack_names(labels)
    arrays: dict[str, npt.NDArray[Any]] = {
        "names": names,
        "ends": ends,
        "labels": known,
        "label-ends": known_ends,
        "at": np.array([one.at for one in looks], dtype=np.float64),
        "queries": np.array([one.queries for one in looks], dtype=np.int64),
        "share": np.array([one.share for one in looks], dtype=np.float64),
        "young": np.array([one.young for one in looks], dtype=np.int64),
        "p-values": np.array(found, dtype=np.float64).reshape(len(looks), len(labels)),
    }
    write_arrays(path, arrays, {})


def read_looks(path: Path) -> list[Judged]:
    """What ``write_looks`` wrote, oldest first; nothing where there is no file.

    Raises:
        CheckpointError: the file is broken.
    """
    if not path.exists():
        return []
    arrays, _ = read_arrays(path, hint=AGAIN)
    names = unpack_names(arrays["names"], arrays["ends"])
    labels = unpack_names(arrays["labels"], arrays["label-ends"])
    rows = zip(
        names,
        arrays["at"].tolist(),
        arrays["queries"].tolist(),
        arrays["share"].tolist(),
        arrays["p-values"].tolist(),
        arrays["young"].tolist(),
        strict=True,
    )
    return [
        Judged(
            account,
            at,
            queries,
            share,
            {label: p for label, p in zip(labels, found, strict=True) if not np.isnan(p)},
            bool(young),
        )
        for account, at, queries, share, found, young in rows
    ]
