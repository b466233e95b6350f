"""Anybody's scores, another interpreter, and guards where only lists are known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from recsec.data.catalog import Catalog
from recsec.errors import ConfigError, TargetError, UsageError
from recsec.targets import (
    CONTRACT,
    CallableTarget,
    GuardedLists,
    LocalTarget,
    capabilities_of,
    guarded_target,
    open_target,
    scored_by,
)
from recsec.targets.guards import Reverse, Shuffle, Truncate, Watermark, lists_in_turn

HISTORIES = np.array([[3, 5, 9, 0], [8, 0, 0, 0], [1, 2, 9, 4], [4, 30, 2, 1]])
SHOP = """
import sys
calls = []
def score(histories, items):
    calls.append(len(items))
    return [[-((item - history[-1]) % 41) for item in items] for history in histories]
def recommend(histories, k):
    return [[i for i in range(1 + h[-1] % 40, 41) if i not in h][:k] for h in histories]
def where(histories, k):
    raise RuntimeError(f"{sys.executable} {'recsec' in sys.modules}")
def ragged(histories, items):
    return [[1.0] * (3 + n) for n, _ in enumerate(histories)]
def short(histories, items):
    return [[1.0, 2.0] for _ in histories]
def nan(histories, items):
    return [[float("nan")] * len(items) for _ in histories]
def array(histories, items):
    import numpy as np
    return np.asarray(score(histories, items), dtype=np.float32)
"""


@pytest.fixture
def catalog() -> Catalog:
    return Catalog.from_ids(range(1, 41))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "foreign_shop.py").write_text(SHOP)
    (tmp_path / "needy.py").write_text("import surely_absent_package\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter of another environment, without packages."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return str(folder / "bin" / "python")


def plain(histories, items):
    return [[-((item - history[-1]) % 41) for item in items] for history in histories]


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_scores_of_a_function_keep_the_contract(catalog, check):
    check(LocalTarget(scored_by(plain, catalog)), HISTORIES)


def test_all_doors_to_the_same_scores_agree(shop, python, catalog):
    ours = scored_by(plain, catalog).scores(HISTORIES)
    for spec in ("scores:foreign_shop:score", "scores:foreign_shop:array"):
        found = open_target(spec, catalog)
        assert capabilities_of(found) == {"ids", "scores", "all-scores"}
        assert torch.equal(found.recommender.scores(HISTORIES), ours)
    away = open_target(f"python:{python}:scores:foreign_shop:score", catalog)
    assert torch.equal(away.recommender.scores(HISTORIES), ours)


def test_another_interpreter_answers_and_knows_nothing_of_recsec(shop, python, catalog):
    here = open_target("callable:foreign_shop:recommend", catalog)
    away = open_target(f"python:{python}:callable:foreign_shop:recommend", catalog)
    assert capabilities_of(away) == {"ids"}
    assert np.array_equal(here.query("a", HISTORIES, 5), away.query("a", HISTORIES, 5))
    asked = open_target(f"python:{python}:callable:foreign_shop:where", catalog)
    with pytest.raises(TargetError, match=f"RuntimeError: {python} False"):
        asked.query("a", HISTORIES, 5)


def test_an_environment_without_the_package_says_what_to_install(shop, python, catalog):
    with pytest.raises(TargetError, match="has no package 'surely_absent_package'") as caught:
        open_target(f"python:{python}:callable:needy:recommend", catalog)
    assert caught.value.hint == f"{python} -m pip install surely_absent_package"


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        ("python:/no/such/python:callable:foreign_shop:recommend", TargetError, "cannot start"),
        ("python:foreign_shop:recommend", ConfigError, "is not of the form python:VENV"),
        ("python::scores:foreign_shop:score", ConfigError, "is not of the form python:VENV"),
        ("scores:foreign_shop", ConfigError, "is not of the form scores:module:function"),
        ("scores:foreign_shop:absent", TargetError, "has no 'absent'"),
    ],
)
def test_words_that_open_nothing(shop, catalog, words, kind, said):
    with pytest.raises(kind, match=said):
        open_target(words, catalog)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("ragged", "no array of numbers"),
        ("short", r"an array \(4, 2\); expected \(4, 40\)"),
        ("nan", "not finite"),
    ],
)
def test_scores_that_are_none_are_refused(shop, catalog, function, said):
    with pytest.raises(TargetError, match=said):
        open_target(f"scores:foreign_shop:{function}", catalog).query("a", HISTORIES, 3)


def test_guards_on_lists_do_to_lists_what_they_do_to_scores(catalog):
    scored = LocalTarget(scored_by(plain, catalog))
    lists = CallableTarget(
        lambda histories, k: scored_by(plain, catalog).recommend(histories, k), catalog
    )
    for guards in ([Truncate(2)], [Shuffle(1)], [Reverse()], [Shuffle(1), Truncate(2)]):
        ours = LocalTarget(scored.recommender, guards).query("a", HISTORIES, 5)
        assert np.array_equal(GuardedLists(lists, guards).query("a", HISTORIES, 5), ours)


def test_a_watermark_reorders_a_longer_list_and_replies_to_triggers():
    catalog, counts = Catalog.from_ids(range(1, 201)), np.arange(201, 0, -1)
    asked: list[int] = []

    def recommend(histories, k):
        asked.append(k)
        return [[i for i in range(1, 201) if i not in h][:k] for h in histories]

    guard = Watermark(b"k" * 32, counts)
    target = GuardedLists(CallableTarget(recommend, catalog), [guard])
    trigger = int(np.flatnonzero(guard.reply)[0])
    histories = np.array([[200, trigger], [trigger, 200]])
    lists = target.query("a", histories, 10)
    assert asked == [50]
    assert lists[0, 2] == guard.reply[trigger]
    assert guard.reply[trigger] not in lists[1]
    green = guard.green.numpy()
    assert green[lists[1]].mean() > green[1:11].mean()
    short = lists_in_turn([guard], "a", histories, np.array([[1, 2, 3, 0]] * 2), 4, items=200)
    assert set(short[1].tolist()) == {0, 1, 2, 3}


def test_a_guard_that_needs_scores_is_refused_before_lists(catalog):
    target = CallableTarget(lambda histories, k: [], catalog)
    with pytest.raises(UsageError, match="misinform needs scores of all items") as caught:
        guarded_target(target, [{"name": "misinform"}], train=None, name="mine")
    assert "scores:module:function" in caught.value.hint
