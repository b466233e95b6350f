"""Ids that the catalog lacks are counted and left out; another catalog is an error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from small_plan import AUDIT

from recsec.cli.main import main
from recsec.data import Catalog
from recsec.errors import TargetError
from recsec.targets import (
    Budget,
    CallableTarget,
    MeteredTarget,
    Unknown,
    recorded_unknown,
    unknown_items,
)
from recsec.targets.wire import Tally, read_list

CATALOG = Catalog.from_ids(list(range(1, 41)))
HISTORIES = np.array([[1, 2], [3, 4]])


def test_what_is_unknown_is_left_out_and_the_list_closes_up():
    tally = Tally()
    found = read_list([7, 99, 8, -1], catalog=CATALOG, k=5, whose="shop", tally=tally)
    assert found.tolist() == [7, 8, 0, 0, 0]
    assert tally.found == Unknown(listed=4, unknown=2, example="99")
    assert tally.found.said() == (
        "2 of 4 listed ids (50.0%) are not in the catalog, such as 99: they are left out, and the "
        "lists close up"
    )


@pytest.mark.parametrize("answer", [[99, 98], ["x"], [1.5], [None], [99, 99]])
def test_another_catalog_and_what_is_no_id_are_errors(answer):
    with pytest.raises(TargetError):
        read_list(answer, catalog=CATALOG, k=5, whose="shop", tally=Tally())


def test_mostly_unknown_is_another_catalog():
    tally = Tally()
    for _ in range(4):
        read_list([1, 98, 99], catalog=CATALOG, k=5, whose="shop", tally=tally)
    with pytest.raises(TargetError, match="unknown item: item 98 is not among the 40"):
        for _ in range(4):
            read_list([1, 98, 99], catalog=CATALOG, k=5, whose="shop", tally=tally)


def test_one_in_a_list_of_one_is_no_news_alone():
    assert read_list([99], catalog=CATALOG, k=1, whose="s", tally=Tally()).tolist() == [0]


def test_the_count_goes_on_where_a_killed_collection_was(tmp_path: Path):
    def listed(histories: list[list[int]], k: int) -> list[list[int]]:
        return [[7, 99] for _ in histories]

    counts = []
    for calls in (2, 4):  # the second process gets the first two from the record
        target = CallableTarget(listed, CATALOG)
        with MeteredTarget(target, budget=Budget(calls=4, k=2), folder=tmp_path) as metered:
            for _ in range(calls // 2):
                metered.query("a", HISTORIES, 2)
            assert unknown_items(metered).unknown == 2
        counts.append(recorded_unknown(tmp_path))
    assert counts == [Unknown(4, 2, "99"), Unknown(8, 4, "99")]


PLAN = f"""[target]
model = "callable:wide_shop:recommend"
data = "shop.csv"
twins = 0
filters = {{ min_item = 5 }}
{AUDIT}"""


def test_items_that_filters_drop_do_not_stop_a_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The function knows 41 items; the 41st has too few rows to count."""
    pairs = [(user, (user * 7 + step) % 40 + 1, step) for user in range(60) for step in range(8)]
    rows = [f"{user},{item},{step}" for user, item, step in [*pairs, (0, 41, 9)]]
    (tmp_path / "shop.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    (tmp_path / "wide_shop.py").write_text(
        "def recommend(histories, k):\n"
        "    return [[41, *(i for i in range(1 + h[-1] % 40, 41) if i not in h)][:k] if h[-1] % 5\n"
        "            else [i for i in range(1, 41) if i not in h][:k] for h in histories]\n"
    )
    (tmp_path / "plan.toml").write_text(PLAN)
    monkeypatch.chdir(tmp_path)
    assert (
        main(
            ["evaluate", "--model", "callable:wide_shop:recommend", "--data", "shop.csv", "--json"]
        )
        == 0
    )
    said = capsys.readouterr()
    share = json.loads(said.out)["unknown_ids"]["share"]
    assert 0.03 < share < 0.2
    assert "warning: " in said.err
    assert "are not in the catalog, such as 41" in said.err
    assert main(["audit", "plan.toml", "--out", "run"]) == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    found = [one for one in report["findings"] if one["id"] == "extraction-unknown-items"]
    assert "such as 41" in found[0]["evidence"]
    assert "such as 41" in report["extraction"]["protocol"]["statement"]
