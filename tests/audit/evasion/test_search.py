"""An audit of a visual search that lists ids: asked politely, nothing twice, and judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import visual_shop

from recsec.audit import exit_code, parse_plan, run_audit
from recsec.cli.main import main
from recsec.data import load_photos
from recsec.errors import ConfigError, TargetError
from recsec.reports import Report
from recsec.targets.visual import ImageSearch, check_search, read_search_file

PHOTOS = "photos:items=90,categories=4"
SIZE = visual_shop.SIZE
CHECK = 4
"""Uploads of the pre-flight."""


@pytest.fixture(scope="module")
def photos() -> Any:
    return load_photos(PHOTOS)


@pytest.fixture
def shop(photos: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A search; its file is in the current folder."""
    pixels = np.array(photos.pixels(np.arange(len(photos)), SIZE)).transpose(0, 2, 3, 1)
    monkeypatch.chdir(tmp_path)
    with visual_shop.Search(photos.ids.tolist(), visual_shop.vectors(pixels)) as running:
        describe(running)
        yield running


def describe(shop: Any, k: int = 40, more: str = "") -> None:
    text = f'[search]\nurl = "{shop.url}/search"\nk = {k}\nsize = {SIZE}\nretries = 0\n{more}'
    Path("shop.toml").write_text(text)


def plan(*attacks: Any, pairs: int = 3, eps: float = 0.05, **grid: Any) -> dict[str, Any]:
    return {
        "visual": {
            "data": PHOTOS,
            "pairs": pairs,
            "models": [{"name": "shop", "model": "shop.toml"}],
        },
        "evasion": [{"attacks": list(attacks), "eps": eps, **grid}],
        "engine": {"workers": 1, "device": "cpu"},
    }


def audit(values: dict[str, Any], **more: Any) -> Report:
    return run_audit(parse_plan(values), "run", command="recsec audit plan.toml --out run", **more)


def test_a_search_is_audited_within_the_uploads_that_were_said_and_asked_once(shop: Any) -> None:
    said: list[str] = []
    transfer = {"attack": "transfer", "steps": 2, "surrogates": ["torch:visual_shop:factory"]}
    values = plan("square-6", transfer)
    report: Any = audit(
        values,
        announce=lambda scopes: said.extend(
            line for scope in scopes.values() for line in scope.words(str)
        ),
    )
    uploads = shop.uploads
    (line,) = [line for line in said if "upload" in line]
    assert line == f"at most {CHECK + 3 * (2 + 9 + 2)} uploads to the visual search"
    assert CHECK + 3 * (2 + 4 + 2) <= uploads <= CHECK + 3 * (2 + 9 + 2)
    found = report.evasion
    assert [row.attack for row in found.rows] == [
        "square oracle=ids queries=6",
        "transfer steps=2 surrogates=['torch:visual_shop:factory']",
    ]
    assert all((row.pairs, row.status) == (3, "ok") for row in found.rows)
    assert list(found.rows[0].success) == [f"success@{r}" for r in (1, 3, 5, 10, 20)]  # of 40
    assert "lists of ids only" in found.rows[0].knowledge
    assert "nothing: searches on torch:visual_shop:factory" in found.threat_model.access
    assert "photos of the catalog find themselves first" in found.models[0].description
    assert "place of the target in the answer" in found.protocol.statement
    assert (report.verdict.level, exit_code(report.verdict)) == ("weak", 4)
    assert "3 pairs do not show that it is below 0.1" in report.verdict.statement
    assert "no attack without gradients is shown to do more than noise" in report.verdict.statement
    assert "lists of ids only" in Path("run/report.html").read_text()
    values["gate"] = {"evasion": {"metric": "success@3"}}
    again: Any = audit(values)
    assert shop.uploads == uploads
    assert again.evasion.rows == found.rows


def test_a_search_that_breaks_is_left_alone_and_taken_up_where_it_was(shop: Any) -> None:
    values = plan("square-6", pairs=5, eps=0.01)  # no pair is solved before its last question
    well = CHECK + 5 * 2 + 9 + 2  # noise on all, one pair, and the beginning of the next
    shop.after = (well, (429, {}, {}))
    report: Any = audit(values)
    assert exit_code(report.verdict) == 4
    (row,) = report.evasion.rows
    assert (row.status, row.pairs, row.missing) == ("error", 1, 4)
    assert "status 429" in str(row.error)
    assert shop.uploads == well + 3  # after three pairs in a row the last is not tried
    shop.after, shop.uploads = None, 0
    report = audit(values)
    assert report.verdict.level != "incomplete"
    (file,) = Path("run/evasion").glob("shop-square*.parquet")
    assert shop.uploads == sum(pl.read_parquet(file)["queries"].to_list()[1:]) + 4 * 3


def test_ranks_of_the_users_own_system_come_first(shop: Any, photos: Any) -> None:
    lines = ["item,neighbor,place"]
    for row in (0, 7):
        near = np.argsort(-(shop.catalog @ shop.catalog[row]), kind="stable")
        names = [photos.ids[at] for at in near if at != row][:5]
        lines += [f"{photos.ids[row]},{name},{place}" for place, name in enumerate(names, 1)]
    Path("ranks.csv").write_text("\n".join(lines) + "\n")
    describe(shop, more='ranks = "ranks.csv"\n')
    with ImageSearch(read_search_file("shop.toml"), photos) as search:
        images = np.array(photos.pixels([3, 4, 5], SIZE))
        seen = check_search(search, images, np.array([3, 4, 5]))
    assert "10 of 10 known ranks found again" in str(seen)
    wrong = [line.replace(f"{photos.ids[7]},", f"{photos.ids[50]},") for line in lines]
    Path("ranks.csv").write_text("\n".join(wrong) + "\n")
    shop.uploads = 0
    with pytest.raises(TargetError, match=r"5 of 10 places in ranks\.csv are found"):
        audit(plan("square-2"))
    assert shop.uploads == CHECK + 2
    assert not list(Path("run").glob("evasion/*"))


def test_a_search_of_other_photos_costs_no_more_than_the_pre_flight(
    shop: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.catalog = np.roll(shop.catalog, 45, axis=0) * -1
    values = plan("square-2")
    Path("plan.toml").write_text(
        f'[visual]\ndata = "{PHOTOS}"\nmodels = [{{ name = "shop", model = "shop.toml" }}]\n'
        f"[[evasion]]\nattacks = {json.dumps(values['evasion'][0]['attacks'])}\neps = 0.1\n"
    )
    assert main(["audit", "plan.toml", "--out", "run", "-q"]) == 3
    assert "it searches other photos" in capsys.readouterr().err
    assert shop.uploads == CHECK


def test_a_function_and_a_search_get_a_number_from_a_surrogate_that_the_audit_trains(
    shop: Any,
) -> None:
    Path("own.toml").write_text(
        f'[encoder]\nsource = "callable:visual_shop:vectors"\nsize = {SIZE}\n'
    )
    values = plan("transfer-2", pairs=2)
    small = {"size": 16, "stem": 8, "widths": [8], "epochs": 1}
    values["visual"]["models"].insert(0, {"name": "own", "model": "own.toml"})
    values["visual"]["surrogate"] = {"settings": small}
    report: Any = audit(values)
    assert exit_code(report.verdict) == 4
    rows = {row.model: row for row in report.evasion.rows}
    assert set(rows) == {"own", "shop"}
    for row in rows.values():
        assert (row.attack, row.status, row.pairs, row.queries) == ("transfer-2", "ok", 2, 0.0)
        assert row.knowledge.endswith("a resnet of its own, trained on the photos of the catalog")
        assert row.backwards == 2
    assert Path("run/models/surrogate/model.safetensors").exists()
    assert str(Path("run").resolve()) not in Path("run/report.json").read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"attacks": ["mi-4"]}, "follows gradients"),
        ({"attacks": {"attack": "transfer", "surrogates": ["torch:nowhere:make"]}}, "nowhere"),
        ({"size": 64}, "says the size"),
        ({"project": False}, "says the size"),
        ({}, "looks at the first 10"),
    ],
)
def test_what_lists_cannot_tell_is_refused_before_anything_is_asked(
    shop: Any, change: dict[str, Any], said: str
) -> None:
    values = plan("square-2")
    values["evasion"][0] |= change
    describe(shop, k=40 if change else 5)
    with pytest.raises((ConfigError, TargetError), match=said):
        audit(values)
    assert shop.uploads == 0
    assert not Path("run").exists()
