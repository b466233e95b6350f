from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from recsec.data.catalog import Catalog
from recsec.errors import ConfigError, TargetError
from recsec.targets import CallableTarget, Target

HISTORIES = np.array([[1, 2], [3, 0]])


@pytest.fixture
def shop(monkeypatch):
    monkeypatch.chdir(Path(__file__).parent / "shop")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", ".")])
    monkeypatch.delitem(sys.modules, "my_shop", raising=False)


def target(function, catalog, **options):
    return CallableTarget(function, catalog, **options)


@pytest.mark.parametrize("function", ["recommend", "model.recommend"])
def test_a_function_of_the_current_directory_speaks_external_ids(shop, catalog, function):
    found = CallableTarget.from_spec(f"callable:my_shop:{function}", catalog)
    assert isinstance(found, Target)
    lists = found.query("thief", HISTORIES, 3)
    assert "my_shop" not in sys.modules
    assert [catalog.external(row) for row in lists] == [[15, 16, 17], [22, 23, 24]]
    assert repr(found) == f"CallableTarget(my_shop:{function})"


@pytest.mark.parametrize(
    ("spec", "kind", "words"),
    [
        ("callable:my_shop", ConfigError, "not of the form callable:module:function"),
        ("callable::x", ConfigError, "not of the form callable:module:function"),
        ("callable:no_such_shop:x", TargetError, "there is no module 'no_such_shop'"),
        ("callable:my_shop:absent", TargetError, "'my_shop' has no 'absent'"),
        ("callable:my_shop:number", TargetError, "cannot be called: 5"),
    ],
)
def test_words_that_name_no_function(shop, catalog, spec, kind, words):
    with pytest.raises(kind, match=words):
        CallableTarget.from_spec(spec, catalog)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import surely_absent_package", "No module named 'surely_absent_package'"),
        ("def f(:", "SyntaxError"),
    ],
)
def test_a_module_that_fails_to_import_is_shown(tmp_path, monkeypatch, catalog, source, words):
    (tmp_path / "bad_shop.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(TargetError, match=words) as caught:
        CallableTarget.from_spec("callable:bad_shop:f", catalog)
    assert "bad_shop fails to import" in str(caught.value)


def test_an_error_of_the_function_shows_its_own_lines(shop, catalog):
    found = CallableTarget.from_spec("callable:my_shop:broken", catalog)
    with pytest.raises(TargetError) as caught:
        found.query("a", HISTORIES, 3)
    text = str(caught.value)
    assert text.startswith("my_shop:broken failed\nKeyError: 7")
    assert "my_shop.py:" in text
    assert "return {}[histories[0][0]]" in text
    assert "targets/callable.py" not in text


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "answered NoneType; expected a list of lists of ids, one for each of the 2"),
        ("ab", "answered str; expected a list of lists"),
        ([[1, 2]], "answered 1 lists to 2 histories"),
        ([1, 2], "answered 1; expected a list of at most 3 item ids"),
        ([[1], "abc"], "answered 'abc'; expected a list"),
        ([[1, 2, 3, 4], []], "answered 4 items where 3 were asked for"),
        ([[1, 1], []], "named item 1 twice"),
        ([[1, "1"], []], "named item 1 twice"),
        ([[0, 41], []], "unknown item: item 0 is not among the 40 items"),
        ([[1, 2.0], []], "unknown item: 2.0"),
    ],
)
def test_an_answer_that_breaks_the_contract_is_refused(catalog, answer, words):
    with pytest.raises(TargetError, match=words):
        target(lambda histories, k: answer, catalog).query("a", HISTORIES, 3)


@pytest.mark.hint(
    "name each item once: list(dict.fromkeys(ids)) keeps its best place; the response of an API "
    "must point at one list"
)
def test_a_list_that_names_an_item_twice_is_mended_as_the_hint_says(catalog):
    ids = [14, 7, 14]
    with pytest.raises(TargetError, match="named item 14 twice") as caught:
        target(lambda histories, k: [ids, ids], catalog).query("a", HISTORIES, 3)
    step = re.search(r"once: (.*?) keeps", str(caught.value.hint)).group(1)
    mended = eval(step, {"ids": ids})
    lists = target(lambda histories, k: [mended, mended], catalog).query("a", HISTORIES, 3)
    assert lists[0].tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    "answer", [[[7, 14], []], np.array([[7, 14], [21, 28]]), ((7, 14), (np.int64(21), "28"))]
)
def test_lists_arrays_and_tuples_are_read(catalog, answer):
    lists = target(lambda histories, k: answer, catalog).query("a", HISTORIES, 3)
    assert lists[0].tolist() == [1, 2, 0]
    assert lists[1].tolist() == ([0, 0, 0] if len(answer[1]) == 0 else [3, 4, 0])


def test_ids_that_are_strings(catalog):
    words = Catalog.from_ids(["b", "a", "7"])
    found = target(lambda histories, k: [[7, "a"] for _ in histories], words)
    assert found.query("x", HISTORIES, 2).tolist() == [[3, 2], [3, 2]]


def test_no_histories_do_not_reach_the_function(catalog):
    found = target(lambda histories, k: 1 / 0, catalog)
    assert found.query("a", HISTORIES[:0], 3).shape == (0, 3)
