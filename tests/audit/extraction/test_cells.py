"""Cells, and the queries they share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recsec.audit import expand, parse_plan
from recsec.audit.extraction.scope import scope_of


def plan(*grids: dict[str, Any], model: str = "callable:a:b", **more: Any) -> Any:
    target = {"model": model, "data": "synthetic"}
    return parse_plan({"target": target, "extraction": list(grids), **more})


def test_budgets_share_one_collection_at_the_largest() -> None:
    grid = expand(plan({"policies": ["random", "mixed"], "calls": [500, 100], "seeds": [0, 1]}))
    assert len(grid.cells) == 8
    assert [collection.calls for collection in grid.collections] == [500] * 4
    assert grid.calls == 2000
    assert grid.cells[0].id == "random-k10-c100-s0"
    assert grid.cells[0].collection == "random-k10-s0"


def test_two_tables_that_ask_alike_share_too() -> None:
    first = {"policies": "mixed", "calls": 100, "seeds": [0, 1]}
    second = {"policies": "mixed", "calls": 900, "seeds": 0}
    grid = expand(plan(first, second))
    assert {collection.id: collection.calls for collection in grid.collections} == {
        "mixed-k10-s0": 900,
        "mixed-k10-s1": 100,
    }
    assert len(grid.cells) == 3


def test_of_a_thief_who_opens_small_budgets_with_less_only_large_ones_share() -> None:
    grid = expand(plan({"policies": "rank-law", "calls": [400, 12_500, 50_000], "seeds": 0}))
    small, middle, large = (cell.collection for cell in grid.cells)
    assert small != middle == large
    assert sorted(collection.calls for collection in grid.collections) == [400, 50_000]


def test_the_same_cell_twice_counts_once() -> None:
    table = {"policies": "mixed", "calls": 100, "seeds": 0}
    assert len(expand(plan(table, table)).cells) == 1


def test_other_surrogates_share_queries_and_other_settings_do_not() -> None:
    base = {"policies": "mixed", "calls": 100, "seeds": 0}
    loss = expand(plan(base, {**base, "loss": "hinge"}))
    assert len({cell.id for cell in loss.cells}) == len({cell.row for cell in loss.cells}) == 2
    assert len(loss.collections) == 1
    share = expand(plan(base, {**base, "policy_settings": {"mixed": {"share": 0.5}}}))
    assert len(share.collections) == 2
    assert share.cells[1].policy == "mixed share=0.5"


def test_time_is_told_at_the_rate_limit_of_an_api() -> None:
    wanted = plan({"policies": "mixed", "calls": 36_000, "seeds": 0})
    scope = scope_of(wanted, expand(wanted), items=60)
    assert (scope.cells, scope.calls, scope.local) == (1, 36_000, False)
    assert scope.seconds > 3600  # 10 calls a second


def test_one_copy_is_made_by_one_core_and_the_second_look_at_it_counts() -> None:
    grid = {"policies": "mixed", "calls": 100_000, "seeds": 0}
    alone, four = (
        scope_of(plan(grid, engine={"workers": n}), expand(plan(grid)), items=60).seconds
        for n in (1, 4)
    )
    assert alone == four
    quick = plan(grid, evaluation={"recheck": False})
    assert scope_of(quick, expand(quick), items=60).seconds < alone


def test_a_checkpoint_behind_guards_answers_here(tmp_path: Path) -> None:
    served, api = tmp_path / "guarded.toml", tmp_path / "api.toml"
    served.write_text('checkpoint = "runs/x"\n[[guards]]\nname = "reverse"\n')
    api.write_text('url = "http://shop.example/recommend"\n')
    for path, local in ((served, True), (api, False)):
        wanted = plan({"policies": "mixed", "calls": 100, "seeds": 0}, model=str(path))
        assert scope_of(wanted, expand(wanted), items=60).local is local
