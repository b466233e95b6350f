"""A twin has the target's recipe and another seed, or there is a reason why there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recsec.audit import parse_plan
from recsec.audit.extraction.twins import TwinOf, twin_recipes


def target(**values: Any) -> Any:
    values = {"data": "synthetic", **values}
    return parse_plan({"target": values, "extraction": {"calls": 1}}).target


def checkpoint(folder: Path, **more: Any) -> str:
    config = {
        "format": 1,
        "model": "sasrec",
        "config": {"lr": 0.1, "epochs": 3},
        "seed": 4,
        "data": {"name": "synthetic", "fingerprint": "abc"},
    }
    folder.mkdir(exist_ok=True)
    kept = {key: value for key, value in (config | more).items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))
    return str(folder)


def test_the_recipe_of_a_checkpoint_with_the_next_seeds(tmp_path: Path) -> None:
    spec = checkpoint(tmp_path / "model")
    recipes, reason = twin_recipes(target(model=spec, twins=2), "abc")
    assert reason == ""
    assert recipes == [TwinOf("sasrec", {"lr": 0.1, "epochs": 3}, seed) for seed in (5, 6)]


def test_the_recipe_of_a_target_that_the_audit_trains() -> None:
    recipes, _ = twin_recipes(target(train="markov", seed=9), "abc")
    assert recipes == [TwinOf("markov", {}, 10)]


def test_other_data_or_no_recipe_is_a_reason(tmp_path: Path) -> None:
    other = checkpoint(tmp_path / "other")
    assert "other data" in twin_recipes(target(model=other), "xyz")[1]
    bare = checkpoint(tmp_path / "bare", seed=None)
    assert "how it was trained" in twin_recipes(target(model=bare), "abc")[1]
    nameless = checkpoint(tmp_path / "nameless", data={})
    assert "on which data" in twin_recipes(target(model=nameless), "abc")[1]
    for spec in ("callable:a:b", "http://localhost/api", "target.toml"):
        recipes, reason = twin_recipes(target(model=spec), "abc")
        assert (recipes, "only answers" in reason) == ([], True)
    found, reason = twin_recipes(target(train="markov", twins=0), "abc")
    assert (found, reason) == ([], "none was trained: set twins in [target], or --twins")


def test_the_plan_may_name_an_independent_model_of_an_api() -> None:
    twins = {"count": 1, "model": "meanpool", "settings": {"epochs": 2}}
    recipes, _ = twin_recipes(target(model="callable:a:b", twins=twins), "abc")
    assert recipes == [TwinOf("meanpool", {"epochs": 2}, 1)]
