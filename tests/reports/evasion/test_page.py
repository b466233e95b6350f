"""The evasion part of the page: what stands beside every rate, pictures, and files for machines."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from evasion_example import ATTACKS, BUDGETS, MODELS, example_audit, example_evasion
from pages import Outline, pointed, texts
from PIL import Image
from report_example import HOSTILE, example_report

from recsec.reports import Finding, Report, published_evasion, render
from recsec.reports.figures.evasion import success_curve, trade_off
from recsec.reports.formats.html import html
from recsec.reports.formats.junit import junit
from recsec.reports.formats.pictures import read_pictures
from recsec.reports.formats.sarif import sarif


@pytest.fixture(scope="module")
def page() -> str:
    return html(example_audit())


def only_evasion() -> Report:
    both = example_audit()
    return both.model_copy(update={"extraction": None, "findings": ()})


def test_both_threats_stand_on_one_page_with_one_verdict_above(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    for words in (
        "Attacks work",
        "Easily copied",
        "Photos can be planted",
        "Extraction",
        "Evasion",
    ):
        assert words in outline.text
    alone = Outline(html(only_evasion())).text
    assert "Photos can be planted" in alone
    assert "Easily copied" not in alone
    assert "Attacks work" not in alone


def test_quality_and_base_rates_stand_beside_every_worst_case(page: str) -> None:
    found = example_evasion()
    for at in range(len(found.worst)):
        place = f'data-json="/evasion/worst/{at}/eps"'
        line = next(row for row in page.split("<tr") if place in row and "rowheader" in row)
        for part in ("quality/precision@10", "quality/accuracy", "/evasion/base/"):
            assert part in line
        assert line.count('class="interval"') == 4


def test_every_attack_has_its_rate_n_and_quality(page: str) -> None:
    for at, row in enumerate(example_evasion().rows):
        if row.success:
            for name in ("success/success@3/value", "success/success@3/low", "pairs"):
                assert f'data-json="/evasion/rows/{at}/{name}"' in page
        assert f'data-json="/evasion/rows/{at}/backwards"' in page


def test_failures_and_others_numbers_are_told_apart(page: str) -> None:
    text = Outline(page).text
    assert "values that are not finite" in text
    assert "Published by others, not measured here" in text
    assert "left the ball" in text


def test_hostile_titles_stay_text(page: str) -> None:
    assert HOSTILE in Outline(page).text
    assert "<script" not in page


def test_pictures_are_inside_the_page_and_words_where_they_are_missing(tmp_path: Path) -> None:
    report = example_audit()
    (tmp_path / "pictures").mkdir()
    for name in ("a", "map", "other"):
        image = io.BytesIO()
        Image.new("RGB", (8, 8), "red").save(image, format="PNG")
        (tmp_path / "pictures" / f"{name}.png").write_bytes(image.getvalue())
    assert set(read_pictures(tmp_path, report)) == {"pictures/a.png", "pictures/map.png"}
    (tmp_path / "report.json").write_text(report.model_dump_json(), encoding="utf-8")
    page = render(tmp_path)[0].read_text(encoding="utf-8")
    assert set(re.findall(r'src="([^,]*),', page)) == {"data:image/png;base64"}
    assert page.count("<img") == 2 * (len(BUDGETS) + 1) + 1
    (tmp_path / "pictures" / "a.png").unlink()
    assert "no picture" in render(tmp_path)[0].read_text(encoding="utf-8")


def test_a_picture_elsewhere_is_not_read(tmp_path: Path) -> None:
    report = only_evasion()
    part = example_evasion(map=report.evasion.map.model_copy(update={"picture": "../secret.png"}))
    (tmp_path / "run").mkdir()
    (tmp_path / "secret.png").write_bytes(b"x")
    found = read_pictures(tmp_path / "run", report.model_copy(update={"evasion": part}))
    assert found == {}


def test_figures_name_series_and_point_into_the_report() -> None:
    found = example_evasion()
    svg = success_curve(found, "hardened 2")
    words = texts(svg)
    for name in ATTACKS:
        assert (name in words) == (not name.startswith("apgd"))  # survivors are other pairs
    assert "worst case" in words
    for where, text in pointed(svg).items():
        _, part, at, *_ = where.strip("/").split("/")
        value = found.scale[int(at)] if part == "scale" else found.worst[int(at)].eps
        assert float(text) == value
    assert set(MODELS) <= set(texts(trade_off(found)))
    assert svg == success_curve(found, "hardened 2")


def test_junit_and_sarif_hold_both_threats() -> None:
    finding = Finding(
        id="evasion-item-to-item",
        title="In",
        about="hardened 2",
        severity="high",
        atlas=("AML.T0015", "AML.T0043.000"),
        owasp=("ML01:2023",),
        evidence="99 %.",
    )
    report = example_audit(findings=(*example_report().findings, finding))
    suite = ET.fromstring(junit(report)).find("testsuite")
    assert suite is not None
    gates = [case for case in suite.findall("testcase") if case.attrib["name"] == "gate"]
    assert [gate.attrib["classname"] for gate in gates] == ["recsec.extraction", "recsec.evasion"]
    assert int(suite.attrib["errors"]) == 2
    run = json.loads(sarif(report))["runs"][0]
    place = run["results"][-1]["locations"][0]["logicalLocations"][0]
    assert place == {"name": "hardened 2", "fullyQualifiedName": "runs/hardened 2"}
    names = {taxon["id"]: taxon.get("name") for t in run["taxonomies"] for taxon in t["taxa"]}
    assert names["AML.T0015"] == "Evade AI Model"
    assert names["ML01:2023"] == "Input Manipulation Attack"
    assert len(run["invocations"][0]["toolExecutionNotifications"]) == 2


def test_the_published_table_is_the_thesis() -> None:
    rows = {(row.model, row.attack): row for row in published_evasion()}
    assert len(rows) == 14
    strongest = rows["undefended", "CW-1000"]
    assert strongest.success["success@3"][strongest.eps.index(0.05)] == 0.997
    trained = rows["adversarial training", "CW-1000"]
    assert trained.success["success@3"][trained.eps.index(0.05)] == 0.003
    for row in rows.values():
        assert all(len(values) == len(row.eps) for values in row.success.values())
        assert "no interval" in row.protocol
