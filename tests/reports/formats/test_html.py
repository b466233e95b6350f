"""The page without a browser: hostile input stays text, nothing is fetched, cases all render."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import Outline
from report_example import CALLS, HOSTILE, defended_report, example_report, fidelity

from recsec.reports import ExampleItem, Row, Twin, Verdict
from recsec.reports.formats.html import html


def small(**changes: Any) -> Any:
    report = example_report()
    part = report.extraction
    parts = {"rows": part.rows[:2], "cells": part.cells[:2], "published": ()}
    verdict = report.verdict.model_copy(update={"row": 1})
    return example_report(**{**parts, "verdict": verdict, **changes})


def test_nothing_is_fetched_and_nothing_runs() -> None:
    page = html(example_report())
    assert "<script" not in page
    assert not re.search(r'\b(?:src|action|srcset|poster)="', page)
    assert set(re.findall(r'href="([^"#]*)', page)) <= {"data:,", ""}
    assert "@import" not in page
    assert not re.findall(r"url\((?!#)", page)
    assert not re.search(r"<[^>]* on[a-z]+=", page)
    assert "default-src 'none'" in page


def test_the_page_is_well_formed_and_small() -> None:
    page = html(example_report())
    assert Outline(page).open == []
    assert len(page.encode()) < 1_000_000


def test_a_plan_of_hundreds_of_rows_stays_below_five_megabytes() -> None:
    rows = [
        Row(
            policy=f"policy-{index % 20}",
            k=10 * (1 + index // 100),
            calls=calls,
            surrogate="sasrec",
            loss="cross-entropy",
            seeds=(1, 2, 3),
            metrics=fidelity(0.3),
        )
        for index in range(100)
        for calls in CALLS
    ]
    assert len(html(small(rows=tuple(rows))).encode()) < 5_000_000


def test_hostile_titles_stay_text() -> None:
    outline = Outline(html(example_report()))
    assert HOSTILE in outline.text
    assert "owned" not in "".join(name for tag in outline.tags for name in tag[1])


@settings(max_examples=15)
@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\0")))
def test_any_title_changes_the_text_only(title: str) -> None:
    def page(words: str) -> Outline:
        report = small(rows=())  # no figures: they are drawn from other words
        example = report.extraction.examples[0]
        item = ExampleItem(id="x", title=words)
        example = example.model_copy(update={"history": (item,), "target": (item,)})
        target = report.extraction.target.model_copy(update={"name": words or "-"})
        return Outline(html(small(rows=(), examples=(example,), target=target)))

    assert page(title).tags == page("plain").tags


def test_synthetic_data_is_said_at_the_top() -> None:
    words = "Synthetic data."
    assert words in Outline(html(small(synthetic=True))).text
    assert words not in Outline(html(small(synthetic=False))).text


def test_floor_and_twin_stand_in_the_table_and_an_absent_twin_gives_its_reason() -> None:
    report = small(twin=Twin(metrics=None, reason="the target cannot be retrained"))
    page = html(report)
    assert "the target cannot be retrained" in page
    assert 'data-json="/extraction/floor/metrics/agr@10/value"' in page
    assert 'data-json="/extraction/twin/metrics/agr@10/value"' in html(small())


def test_failures_are_named_and_not_called_safe() -> None:
    text = Outline(html(example_report())).text
    assert "503 from the target" in text
    assert "neither safe nor unsafe" in text
    assert "every cell of the plan was measured" in Outline(html(small())).text


@pytest.mark.parametrize(
    ("level", "passed", "words"),
    [
        ("low", True, "Gate: passed"),
        ("moderate", True, "Gate: passed"),
        ("high", False, "Gate: failed"),
        ("incomplete", False, "Gate: undecided, counted as failed"),
    ],
)
def test_each_level_has_its_words(level: Any, passed: bool, words: str) -> None:
    verdict = Verdict(level=level, passed=passed, rule="a rule", statement="a statement")
    text = Outline(html(small(verdict=verdict))).text
    assert words in text
    assert f"level: {level}" in text


def test_a_run_in_which_nothing_was_measured_still_has_a_page() -> None:
    verdict = Verdict(level="incomplete", passed=False, rule="r", statement="s")
    report = small(rows=(), cells=(), examples=(), cost=(), findings=(), verdict=verdict)
    assert "The plan holds no cells" in Outline(html(report)).text


def test_undefined_numbers_are_dashes() -> None:
    report = small()
    undefined = {"agr@10": {"value": None, "low": None, "high": None, "n": 0}}
    rows = report.extraction.rows
    row = Row.model_validate(rows[0].model_dump() | {"metrics": undefined})
    page = html(small(rows=(row, rows[1])))
    assert 'data-json="/extraction/rows/0/metrics/agr@10/value" title="not defined">–<' in page


def test_same_report_same_page() -> None:
    assert html(example_report()) == html(example_report())


def test_defenses_have_a_section_and_the_evidence_is_the_bare_target_s() -> None:
    page = html(defended_report())
    outline = Outline(page)
    assert outline.open == []
    assert "not measured: TargetError: 17 lists" in outline.text
    for where in (
        "defenses/1/quality/utility/value",
        "defenses/1/guards/0",
        "rows/3/metrics/lift/value",
        "rows/3/metrics/lift_taken/low",
        "rows/3/metrics/served_agr@10/value",
    ):
        assert f'data-json="/extraction/{where}"' in page
    evidence = page[page.index('id="evidence-extraction"') : page.index('id="defenses-extraction"')]
    assert 'data-json="/extraction/rows/1/' in evidence
    assert 'data-json="/extraction/rows/2/' not in evidence
    assert 'id="defenses-extraction"' not in html(example_report())


def test_a_report_of_the_schema_before_defenses_is_read() -> None:
    report = example_report()
    old = report.model_dump(mode="json") | {"schema_version": 2}
    del old["extraction"]["defenses"]
    for row in (*old["extraction"]["rows"], *old["extraction"]["cells"]):
        del row["defense"]
        row.pop("adaptive", None)
    assert type(report).model_validate(old).extraction == report.extraction
