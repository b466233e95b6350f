"""The targets that ship keep the contract; targets that break it are caught."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from recsec.data.catalog import Catalog
from recsec.errors import TargetError
from recsec.models import SasRec, SasRecConfig
from recsec.targets import CONTRACT, CallableTarget, LocalTarget

EXAMPLE = Path(__file__).parents[2] / "examples" / "my_recommender.py"
HISTORIES = np.array([[3, 5, 9, 0], [8, 0, 0, 0], [1, 2, 9, 4], [4, 30, 2, 1]])

by_name = pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)


@pytest.fixture
def catalog():
    return Catalog.from_ids(range(1, 41))


@pytest.fixture
def sasrec(catalog):
    torch.manual_seed(3)
    return SasRec(catalog, SasRecConfig(embedding_dim=16, max_length=8))


@by_name
def test_local(sasrec, check):
    check(LocalTarget(sasrec), HISTORIES)


@by_name
def test_callable(catalog, check):
    function = runpy.run_path(str(EXAMPLE))["recommend"]
    check(CallableTarget(function, catalog), HISTORIES)


class Wrong:
    """Answers well unless told to do one thing wrong."""

    def __init__(self, catalog, fault):
        self.catalog, self.chunk, self.fault, self.turn = catalog, 4, fault, 0

    def query(self, account, histories, k):
        rows = len(histories)
        newest = np.array([row[row > 0][-1] if row.any() else 0 for row in histories], dtype=int)
        if self.fault == "counts padding":
            newest = newest + histories.shape[1]
        if self.fault == "looks at the first row" and rows:
            newest = newest + newest[0]
        if self.fault == "forgets nothing":
            self.turn += 1
            newest = newest + self.turn
        if self.fault == "knows the account":
            newest = newest + len(account)
        if self.fault == "ignores history":
            newest = newest * 0
        lists = (newest[:, None] + np.arange(k)) % len(self.catalog) + 1
        if self.fault == "zeros in front":
            lists[:, 0] = 0
        if self.fault == "names an item twice":
            lists[:, -1] = lists[:, 0]
        if self.fault == "unknown item":
            lists[:, 0] = len(self.catalog) + 1
        if self.fault == "one more":
            lists = np.pad(lists, ((0, 0), (0, 1)))
        if self.fault == "int32":
            lists = lists.astype(np.int32)
        if self.fault == "writes" and rows:
            histories[0, 0] += 1
        return lists[:1] if self.fault == "one list" else lists


FAULTS = {
    "counts padding": "ignores_padding",
    "looks at the first row": "answers_rows_alone",
    "forgets nothing": "passes_preflight",
    "knows the account": "answers_growing_histories",
    "ignores history": "passes_preflight",
    "zeros in front": "answers_in_shape",
    "names an item twice": "answers_in_shape",
    "unknown item": "answers_in_shape",
    "one more": "answers_in_shape",
    "int32": "answers_in_shape",
    "writes": "leaves_histories_alone",
    "one list": "answers_in_shape",
}


@pytest.mark.parametrize(("fault", "name"), FAULTS.items())
def test_a_fault_is_caught_by_its_check(catalog, fault, name):
    check = next(check for check in CONTRACT if check.__name__ == name)
    with pytest.raises(TargetError):
        check(Wrong(catalog, fault), HISTORIES.copy())


@by_name
def test_the_same_target_without_fault_passes(catalog, check):
    check(Wrong(catalog, None), HISTORIES.copy())


def test_what_is_no_target_is_caught(catalog):
    for thing in (object(), Wrong(catalog, None)):
        thing.__dict__.update(chunk=0) if isinstance(thing, Wrong) else None
        with pytest.raises(TargetError, match=r"chunk"):
            CONTRACT[0](thing, HISTORIES)
