"""Plans with changed bytes and values: an audit could begin, or a RecsecError says why not."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzzing import BOUNDED, corpus, ends_well, near
from hypothesis import given
from hypothesis import strategies as st

from recsec.audit import gate_policy, load_plan, parse_plan
from recsec.audit.threat import audits

WORDS = (
    b"nan", b"inf", b"-inf", b"-1", b"0", b"1e999", b"9" * 400, b"''", b"[]", b"{}", b"[[", b"]]",
    b"<b>x", b"../../x", b"\x00", b"\xff\xfe", b"true", b"1979-05-27", b"mixed", b"[[defense]]\n",
    b"policies = ", b"calls = ", b"\n[gate]\n", b"undefended", b"callable:os:abort", b"[[[[[[[[",
)  # fmt: skip
HOSTILE: list[Any] = [
    None, True, -1, 0, 2**63, 10**30, float("nan"), float("inf"), -0.0, "", "nan", "<b>x", "../x",
    "a" * 5000, "\x1b[2J", "\u202e", [], {}, [[]], [None], {"": {}}, ["mixed"] * 3, ["x", 1],
    "callable:os:abort", "synthetic", "http://[::1", {"count": -1}, {"model": "sasrec"},
]  # fmt: skip
NAMES_FILES = {"data", "model", "train"}
"""What would be opened, trained or made: only their kind is changed, never their words."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The table that the plans of the corpus name."""
    folder = tmp_path_factory.mktemp("plans")
    rows = [f"u{user},i{(user + step) % 40},{step}" for user in range(30) for step in range(6)]
    (folder / "shop.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def begins(plan: Any) -> None:
    """Everything that an audit does before it makes its folder."""
    gate_policy(plan.gate)
    plan.evidence()
    for audit in audits().values():
        if audit.asked(plan):
            audit.open(plan, authorised=False)


@pytest.mark.hostile(kind="runs", what="mutated plans (fuzzed)", cases=120)
@given(near("plans", words=WORDS))
@BOUNDED
def test_mutated_plans(place: Path, found: tuple[str, bytes]) -> None:
    path = place / "plan.toml"
    path.write_bytes(found[1])
    ends_well(lambda: load_plan(path).evidence())


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Paths to everything in a plan that may be changed."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found: list[tuple[str | int, ...]] = []
    for key, one in inner:
        if key in NAMES_FILES:
            continue
        found.append((*path, key))
        if isinstance(one, dict | list):
            found += leaves(one, (*path, key))
    return found


@pytest.mark.hostile(kind="runs", what="one value of a plan is another (fuzzed)", cases=120)
@given(st.data())
@BOUNDED
def test_one_value_is_another(place: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(corpus("plans")))
    values = copy.deepcopy(tomllib.loads(path.read_text()))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.sampled_from(leaves(values)))
        spot: Any = values
        for key in at[:-1]:
            spot = spot[key]
        new = copy.deepcopy(data.draw(st.sampled_from(HOSTILE)))
        if data.draw(st.booleans()) or not isinstance(spot, dict):
            spot[at[-1]] = new
        else:
            spot[data.draw(st.text(max_size=6))] = new
    ends_well(lambda: begins(parse_plan(values)))


@pytest.mark.parametrize("path", corpus("plans"), ids=lambda path: path.stem)
def test_the_corpus_is_right(place: Path, path: Path) -> None:
    begins(load_plan(path))
