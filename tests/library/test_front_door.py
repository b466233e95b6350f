"""``import recsec``: quick, complete, in the user's own ids, and pandas takes what it returns."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import recsec
from recsec import models
from recsec.data import Dataset
from recsec.errors import DataError, UsageError

HEAVY = {"torch", "scipy", "matplotlib", "polars", "numpy"}
STUB = Path(str(recsec.__file__)).with_suffix(".pyi")


def loaded(code: str) -> set[str]:
    """The heavy packages that a fresh interpreter has imported after some code."""
    told = "import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{told}"], capture_output=True, text=True, check=True
    )
    return HEAVY & set(done.stdout.split())


def test_importing_recsec_imports_nothing_heavy() -> None:
    assert loaded("import recsec") == set()


def test_a_report_is_read_without_torch(tmp_path: Path) -> None:
    code = (
        "import recsec\n"
        f"try: recsec.read_report({str(tmp_path)!r})\n"
        "except recsec.RecsecError: pass"
    )
    assert "torch" not in loaded(code)


def test_names_stub_and_homes_agree() -> None:
    tree = ast.parse(STUB.read_text())
    imported = {
        alias.name: str(node.module).removeprefix("recsec.")
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == recsec._HOMES
    assert set(recsec.__all__) == {*imported, "__version__"}
    for name in recsec.__all__:
        assert getattr(recsec, name) is not None
        assert name in dir(recsec)
        assert name == "__version__" or getattr(recsec, name).__doc__, name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'advise'"):
        _ = recsec.advise  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table whose item ids are text."""
    path = tmp_path_factory.mktemp("shop") / "orders.csv"
    rows = [
        f"u{user},SKU-{(user + step * (1 + user % 3)) % 20},{step}"
        for user in range(60)
        for step in range(8)
    ]
    path.write_text("\n".join(["user,item,time", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def data(shop: Path) -> Dataset:
    return recsec.open_data(shop)


@pytest.fixture(scope="module")
def checkpoint(shop: Path, data: Dataset) -> str:
    out = shop.parent / "markov"
    models.train("markov", data.split(), seed=0, training=models.Training(out=out))
    return str(out)


def backwards(histories: list[list[str]], k: int) -> list[list[str]]:
    """A user's function: the catalog backwards, without the history."""
    items = [f"SKU-{at}" for at in reversed(range(20))]
    return [[one for one in items if one not in history][:k] for history in histories]


class TestRecommender:
    def test_lists_are_in_own_ids(self, checkpoint: str) -> None:
        shop = recsec.open_recommender(checkpoint)
        (found,) = shop.recommend([["SKU-1", "SKU-2"]], k=3)
        assert len(found) == 3
        assert all(str(item).startswith("SKU-") for item in found)
        assert not {"SKU-1", "SKU-2"} & set(found)
        assert repr(shop) == f"OpenRecommender({checkpoint}, 20 items)"

    def test_scores_are_a_table_that_agrees_with_the_list(self, checkpoint: str) -> None:
        shop = recsec.open_recommender(checkpoint)
        table = shop.scores(["SKU-1"])
        assert table.columns == ["id", "title", "score"]
        best = table.filter(table["id"] != "SKU-1")["id"][0]
        assert shop.recommend([["SKU-1"]], k=1) == [[best]]

    def test_a_function_of_this_program_answers(self, data: Dataset) -> None:
        shop = recsec.open_recommender(backwards, data)
        assert shop.recommend([["SKU-19"]], k=2) == [["SKU-18", "SKU-17"]]
        with pytest.raises(UsageError, match="lists, not scores"):
            shop.scores(["SKU-1"])
        with pytest.raises(UsageError, match="needs data"):
            recsec.open_recommender(backwards)

    @pytest.mark.parametrize("histories", [["SKU-1"], "SKU-1", [1, 2]])
    def test_a_bare_history_is_named(self, checkpoint: str, histories: Sequence[object]) -> None:
        with pytest.raises(UsageError, match="a list of histories"):
            recsec.open_recommender(checkpoint).recommend(histories)  # type: ignore[arg-type]

    def test_an_unknown_id_is_named(self, checkpoint: str) -> None:
        with pytest.raises(DataError, match="'SKU-99' is not among"):
            recsec.open_recommender(checkpoint).recommend([["SKU-99"]])

    def test_guards_stand_before_it(self, checkpoint: str, data: Dataset) -> None:
        bare = recsec.open_recommender(checkpoint).recommend([["SKU-1"]], k=5)[0]
        guarded = recsec.guard(checkpoint, ["truncate:length=2"], data)
        assert guarded.recommend([["SKU-1"]], k=5)[0] == bare[:2]
        table = recsec.guard(checkpoint, [{"name": "truncate", "length": 2}], data)
        assert table.recommend([["SKU-1"]], k=5)[0] == bare[:2]


class TestEstimates:
    def test_pandas_and_polars_take_them(self, checkpoint: str, data: Dataset) -> None:
        pandas = pytest.importorskip("pandas")
        found = recsec.open_recommender(checkpoint).evaluate(data)
        frame = pandas.DataFrame(found)
        assert list(frame.columns) == ["name", "value", "low", "high", "n"]
        hr = found["hr@10"]
        row = frame[frame["name"] == "hr@10"].iloc[0]
        assert (row["value"], row["n"]) == (hr.value, hr.n)
        assert frame.equals(found.to_pandas())
        assert found.table().height == len(found)
        assert "leave-one-out" in found.protocol.lower()
        assert "<table" in found._repr_html_()
        assert len(repr(found)) < 200

    def test_an_unknown_name_lists_those_there_are(self) -> None:
        found = recsec.Estimates({"a": recsec.Estimate(1.0, None, None, 1)})
        with pytest.raises(UsageError, match="there is: a"):
            found["b"]


def test_extraction_audit_and_report(checkpoint: str, shop: Path, tmp_path: Path) -> None:
    found = recsec.extract(
        checkpoint,
        str(shop),
        tmp_path / "run",
        policy="random",
        calls=60,
        k=5,
        surrogate="meanpool",
        twins=0,
        users=20,
        settings={"length": 5, "surrogate_settings": {"epochs": 1}},
    )
    again = recsec.read_report(tmp_path / "run")
    assert again.report == found.report
    cells = again.table("cells")
    assert cells.height == 1
    assert {"policy", "agr@10", "agr@10.low", "agr@10.high", "agr@10.n"} <= set(cells.columns)
    assert again.tables["extraction.cells"].equals(cells)
    assert "low" in repr(again) or "high" in repr(again) or "moderate" in repr(again)
    assert len(repr(again)) < 200
    html = again._repr_html_()
    assert again.verdict.statement.split(":")[0] in html
    with pytest.raises(UsageError, match="no tables called 'cels'"):
        again.table("cels")


def test_thieves_are_watched_in_own_ids(checkpoint: str, data: Dataset, tmp_path: Path) -> None:
    recsec.fit_detectors(
        checkpoint,
        data,
        tmp_path / "detectors",
        plan={"k": 5, "queries": 8, "users": 20, "detectors": {"continuity": {}},
              "combined": ["continuity"]},
    )  # fmt: skip
    watcher = recsec.watch(tmp_path / "detectors")
    p = watcher.update("maria", recsec.Query(["SKU-1"], ["SKU-2", "SKU-3"]))
    assert 0 < p <= 1
    with pytest.raises(DataError, match="'SKU-77'"):
        watcher.update("maria", recsec.Query(["SKU-77"]))
    with pytest.raises(UsageError, match="a list of item ids"):
        recsec.Query("SKU-1")
    watcher.save(tmp_path / "state")
    again = recsec.watch(tmp_path / "detectors", tmp_path / "state")
    assert again.accounts().equals(watcher.accounts())


def test_the_query_of_the_inside_names_the_door() -> None:
    from recsec.traffic import Query

    with pytest.raises(UsageError, match="catalog indices, found \\['SKU-1'\\]") as told:
        Query(["SKU-1"], [])  # type: ignore[arg-type]
    assert "recsec.Query" in str(told.value.hint)
