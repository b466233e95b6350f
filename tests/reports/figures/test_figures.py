"""Figures: text is text, numbers point into the report, series differ by more than color."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from pages import pointed, texts
from report_example import DEFENDED, HOSTILE, defended_report, example_report, fidelity, history

from recsec.reports import Extraction
from recsec.reports.figures.defenses import frontier, spread
from recsec.reports.figures.extraction import fidelity_curve, series_of
from recsec.reports.figures.style import DASHES, MARKERS, OKABE_ITO, keep_apart, look
from recsec.reports.figures.training import loss_curve, metric_curve
from recsec.reports.training import Epoch


def test_text_is_text_and_floor_and_twin_are_named() -> None:
    words = texts(fidelity_curve(example_report().extraction, 10))
    for word in ("mixed", "random", "floor", "twin", "Agr@10", "1,000,000"):
        assert word in words


def test_every_number_on_an_axis_points_into_the_report() -> None:
    report = example_report().extraction
    svg = fidelity_curve(report, 100)
    marks = pointed(svg)
    numbers = [text for text in texts(svg) if re.fullmatch(r"[\d.,]+", text)]
    assert sorted(numbers) == sorted(marks.values())
    for where, text in marks.items():
        _, kind, index, *_ = where.strip("/").split("/")
        value = report.scale[int(index)] if kind == "scale" else report.rows[int(index)].calls
        assert float(text.replace(",", "")) == value


def test_same_figure_same_text_and_ids_of_two_figures_differ() -> None:
    report = example_report().extraction
    assert fidelity_curve(report, 10) == fidelity_curve(report, 10)
    ids = [set(re.findall(r'\bid="([^"]+)"', fidelity_curve(report, k))) for k in (10, 100)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_references_inside_the_figure_resolve() -> None:
    svg = fidelity_curve(example_report().extraction, 10)
    ids = set(re.findall(r'\bid="([^"]+)"', svg))
    used = re.findall(r"url\(#([^)]+)\)", svg) + re.findall(r'href="#([^"]+)"', svg)
    assert used
    assert set(used) <= ids


def test_colors_follow_the_page() -> None:
    svg = fidelity_curve(example_report().extraction, 10)
    colors = re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", svg)
    assert colors == []
    assert "var(--series-0, #0072b2)" in svg


def test_series_are_told_apart_without_color() -> None:
    assert len(set(MARKERS)) == len(MARKERS) == len(OKABE_ITO) == len(set(DASHES))
    looks = [look(index) for index in range(36)]
    assert len({one[:2] for one in looks}) == len({one[1:] for one in looks}) == 36
    assert all(a != b for one, next_ in pairwise(looks) for a, b in zip(one, next_, strict=True))


def test_names_join_only_where_they_differ() -> None:
    report = example_report().extraction
    assert list(series_of(report.rows, 10)) == ["random", "autoregressive", "mixed"]
    other = report.rows[0].model_copy(update={"loss": "hinge"})
    assert "random, hinge" in series_of((*report.rows, other), 10)


@pytest.mark.parametrize("policy", ["$x$ & <b>", r"\frac", "a_b^c"])
def test_a_policy_of_any_name_is_drawn(policy: str) -> None:
    report = example_report().extraction
    row = report.rows[0].model_copy(update={"policy": policy})
    assert policy in texts(fidelity_curve(report.model_copy(update={"rows": (row,)}), 10))


def test_one_budget_zero_calls_and_absent_metrics_are_drawn() -> None:
    report: Extraction = example_report().extraction
    row = report.rows[0].model_copy(update={"calls": 0, "metrics": {}})
    bare = report.model_copy(
        update={
            "rows": (row,),
            "floor": report.floor.model_copy(update={"metrics": {}}),
            "twin": report.twin.model_copy(update={"metrics": None, "reason": "none"}),
        }
    )
    assert "twin" not in texts(fidelity_curve(bare, 10))
    single = report.model_copy(update={"rows": (report.rows[0],)})
    assert "10,000" in texts(fidelity_curve(single, 10))


def test_crowded_ticks_are_thinned_and_the_largest_stays() -> None:
    report = example_report().extraction
    rows = tuple(
        report.rows[0].model_copy(update={"calls": calls, "metrics": fidelity(0.2)})
        for calls in range(10_000, 1_000_000, 30_000)
    )
    marks = pointed(fidelity_curve(report.model_copy(update={"rows": rows}), 10))
    shown = [text for where, text in marks.items() if where.startswith("/extraction/rows")]
    assert 2 <= len(shown) <= 6
    assert f"{rows[-1].calls:,}" in shown
    assert keep_apart([0.5, 0.5, 0.5], 0.1) == [0]


def epochs(count: int, *, train: bool = True) -> list[Epoch]:
    return [
        Epoch(
            epoch=entry["epoch"],
            loss=entry["loss"],
            valid=entry["valid"],
            train=entry.get("train_ndcg@10"),
        )
        for entry in history(count, train=train)
    ]


@pytest.mark.parametrize("count", [1, 2, 25, 200])
def test_training_curves_mark_the_best_epoch(count: int) -> None:
    found = epochs(count)
    best = max(range(count), key=lambda i: found[i].valid["ndcg@10"])
    svg = metric_curve(found, best, "ndcg@10", "NDCG@10")
    assert "best" in texts(svg)
    assert pointed(svg)[f"/epochs/{best}/epoch"] == str(found[best].epoch)
    assert "generalization gap" in texts(svg)
    assert "loss (logarithmic)" in texts(loss_curve(found, best))


def test_without_a_training_metric_there_is_no_gap() -> None:
    words = texts(metric_curve(epochs(5, train=False), 4, "ndcg@10", "NDCG@10"))
    assert "generalization gap" not in words
    assert "training" not in words


def test_the_frontier_names_every_defense_that_was_measured() -> None:
    report = defended_report().extraction
    words = texts(frontier(report))
    assert {"undefended", *DEFENDED} - {HOSTILE} <= set(words)
    assert HOSTILE not in words
    marks = pointed(frontier(report))
    for where, text in marks.items():
        if where.startswith("/extraction/defenses/"):
            index = int(where.split("/")[3])
            value = report.defenses[index].quality["utility"].value
            assert float(text) == pytest.approx(value, abs=5e-4)


def test_the_curve_shows_the_bare_target_only() -> None:
    report = defended_report().extraction
    assert list(series_of(report.rows, 10)) == ["random", "mixed +set-only"]
    assert list(series_of(report.rows, 10).values()) == [[0], [1]]


def test_names_keep_apart_inside_the_figure() -> None:
    found = spread([0.97, 0.5, 0.98, 0.51], 0.1)
    assert [found[1], found[3]] == [0.5, 0.6]
    assert found[0] == pytest.approx(0.9)
    assert found[2] == 1.0
