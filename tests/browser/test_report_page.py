"""``report.html`` in a real browser: every number is in ``report.json``, and it can be read."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from evasion_example import example_audit
from PIL import Image
from report_example import HOSTILE, defended_report, history
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from recsec.reports import render, render_training
from recsec.reports.document import FORMATS, LABELS
from recsec.reports.taxonomies import ATLAS, OWASP

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

NUMBERS = r"""
const found = [];
const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const parent = node.parentElement;
  if (!/\d/.test(node.data) || parent.closest("style, title")) continue;
  const marked = parent.closest("[data-json], [data-key]");
  found.push({
    text: (marked || parent).textContent.trim(),
    json: marked && marked.getAttribute("data-json"),
    key: marked && marked.getAttribute("data-key"),
    style: marked && marked.getAttribute("data-style"),
    value: marked && marked.getAttribute("value"),
  });
}
return found;
"""


def start(profile: Path, *, javascript: bool = True) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    if not javascript:
        options.add_experimental_option(
            "prefs", {"profile.managed_default_content_settings.javascript": 2}
        )
    service = Service(str(shutil.which("chromedriver")))
    return webdriver.Chrome(options=options, service=service)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    driver = start(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with ``report.json`` and ``report.html``."""
    audit, training, defended = (
        tmp_path_factory.mktemp(name) for name in ("audit", "training", "defended")
    )
    report = example_audit(synthetic=True, title=f"Audit of {HOSTILE}")
    (audit / "pictures").mkdir()
    for name in ("a", "map"):
        Image.new("RGB", (64, 64), "teal").save(audit / "pictures" / f"{name}.png")
    (audit / "report.json").write_text(report.model_dump_json(), encoding="utf-8")
    render(audit)
    (training / "history.json").write_text(json.dumps(history()))
    render_training(training)
    (defended / "report.json").write_text(defended_report().model_dump_json(), encoding="utf-8")
    render(defended)
    return {"audit": audit, "training": training, "defended": defended}


def show(
    browser: webdriver.Chrome, folder: Path, *, width: int = 1280, theme: str = "light"
) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": theme}]},
    )
    browser.get((folder / "report.html").as_uri())


def look_up(document: Any, where: str) -> Any:
    for part in where.strip("/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document


def check(document: Any, seen: dict[str, Any]) -> None:
    """A text with a digit in it is a value of the document, or the name of a metric."""
    if seen["json"] is None:
        key = seen["key"]
        if key is None and {*seen["text"].split(", ")} <= {*ATLAS, *OWASP}:
            return  # names of techniques
        assert key is not None, f"{seen['text']!r} does not say where it comes from"
        assert seen["text"] == LABELS.get(key, key)
        assert f'"{key}"' in json.dumps(document)
        return
    value = look_up(document, seen["json"])
    if isinstance(value, str):
        assert " ".join(seen["text"].split()) == " ".join(value.split())
    elif seen["style"] is not None:
        assert float(seen["value"]) == value
        assert seen["text"] == FORMATS[seen["style"]](value)
    else:  # a label on an axis: rounded, never wrong
        text = seen["text"].replace(",", "")
        digits = len(text.partition(".")[2])
        assert abs(float(text) - value) <= 0.5001 * 10.0**-digits


def check_all(document: Any, found: list[dict[str, Any]]) -> None:
    for seen in found:
        check(document, seen)


def numbers_in(value: Any) -> Iterator[float]:
    """All numbers of a document."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from numbers_in(part)
    elif isinstance(value, int | float):
        yield value


def printed(value: float) -> tuple[str, ...]:
    """How an alternative text may print a number."""
    return f"{value:.3f}", f"{value:g}", f"{value:,}"


@pytest.mark.parametrize("page", ["audit", "training", "defended"])
def test_every_number_is_found_in_the_report(
    browser: webdriver.Chrome, pages: dict[str, Path], page: str
) -> None:
    show(browser, pages[page])
    document = json.loads((pages[page] / "report.json").read_text(encoding="utf-8"))
    found = browser.execute_script(NUMBERS)
    assert len(found) > 100
    check_all(document, found)


def test_a_number_of_nowhere_is_noticed(browser: webdriver.Chrome, pages: dict[str, Path]) -> None:
    show(browser, pages["audit"])
    document = json.loads((pages["audit"] / "report.json").read_text(encoding="utf-8"))
    for change in (
        "document.querySelector('h2').append(' 0.97')",
        "document.querySelector('data').textContent = '0.970'",
        "document.querySelector('svg [data-json] text').textContent = '0.97'",
    ):
        show(browser, pages["audit"])
        browser.execute_script(change)
        found = browser.execute_script(NUMBERS)
        with pytest.raises(AssertionError):
            check_all(document, found)


def test_numbers_in_alternative_texts_are_in_the_report(
    browser: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    show(browser, pages["audit"])
    document = json.loads((pages["audit"] / "report.json").read_text(encoding="utf-8"))
    known = {"2", "3", "10"}  # of hardened 2, success@3 and Agr@10
    known |= {text for value in numbers_in(document) for text in printed(value)}
    alts = [
        plot.get_attribute("aria-label") for plot in browser.find_elements(By.CLASS_NAME, "plot")
    ]
    assert len(alts) == 2 + 6
    for alt in alts:
        assert alt is not None
        assert set(re.findall(r"\d(?:[\d.,]*\d)?", alt)) <= known


@pytest.mark.parametrize("page", ["audit", "training", "defended"])
def test_nothing_is_requested_runs_or_complains(
    browser: webdriver.Chrome, pages: dict[str, Path], page: str
) -> None:
    browser.get("about:blank")
    browser.get_log("performance")
    browser.get_log("browser")
    show(browser, pages[page])
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    asked = [url for url in urls if not url.startswith("data:")]
    assert asked == [(pages[page] / "report.html").as_uri()]
    assert browser.execute_script("return document.scripts.length") == 0
    assert "owned" not in browser.title.split("<")[0]


@pytest.mark.parametrize("page", ["audit", "training", "defended"])
@pytest.mark.parametrize("width", [320, 400, 768, 1280])
def test_no_horizontal_scroll(
    browser: webdriver.Chrome, pages: dict[str, Path], page: str, width: int
) -> None:
    show(browser, pages[page], width=width)
    wide = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide[0] <= wide[1] <= width


@pytest.mark.parametrize("page", ["audit", "defended"])
def test_text_is_large_enough_on_a_phone(
    browser: webdriver.Chrome, pages: dict[str, Path], page: str
) -> None:
    show(browser, pages[page], width=400)
    smallest = browser.execute_script(
        "return Math.min(...[...document.querySelectorAll('main *')]"
        ".filter(e => !e.closest('svg') && e.textContent.trim() && e.offsetHeight)"
        ".map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert smallest >= 11
    heights = browser.execute_script(
        "return [...document.querySelectorAll('svg text')]"
        ".map(e => Math.min(e.getBoundingClientRect().height, e.getBoundingClientRect().width * 9))"
    )
    assert min(heights) >= 9


@pytest.mark.parametrize("page", ["audit", "defended"])
def test_scrolling_tables_are_not_needed_on_a_phone(
    browser: webdriver.Chrome, pages: dict[str, Path], page: str
) -> None:
    show(browser, pages[page], width=400)
    assert browser.execute_script(
        "return [...document.querySelectorAll('.scroller')]"
        ".every(e => e.scrollWidth <= e.clientWidth)"
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes(browser: webdriver.Chrome, pages: dict[str, Path], theme: str) -> None:
    show(browser, pages["audit"], theme=theme)
    background, ink, figure = browser.execute_script(
        "const style = e => getComputedStyle(document.querySelector(e));"
        "return [style('body').backgroundColor, style('h1').color, style('svg text').fill]"
    )

    def bright(color: str) -> bool:
        return sum(map(int, re.findall(r"\d+", color)[:3])) > 384

    assert bright(background) == (theme == "light")
    assert bright(ink) == bright(figure) == (theme == "dark")


@pytest.mark.parametrize("page", ["audit", "training", "defended"])
def test_it_prints(browser: webdriver.Chrome, pages: dict[str, Path], page: str) -> None:
    show(browser, pages[page], theme="dark")
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    content = base64.b64decode(printed["data"])
    assert content.startswith(b"%PDF")
    count = len(re.findall(rb"/Type\s*/Page\b", content))
    assert 1 <= count <= 30
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert paper == "rgb(255, 255, 255)"


@pytest.mark.parametrize("page", ["audit", "defended"])
def test_tables_and_figures_are_accessible(
    browser: webdriver.Chrome, pages: dict[str, Path], page: str
) -> None:
    show(browser, pages[page])
    missing = browser.execute_script(
        """
        const bad = [];
        for (const table of document.querySelectorAll("table")) {
          if (!table.caption || !table.caption.textContent.trim()) bad.push("caption");
          for (const th of table.querySelectorAll("th")) if (!th.scope) bad.push("scope");
        }
        for (const svg of document.querySelectorAll("svg")) {
          const holder = svg.closest("[role=img]");
          if (!holder || !holder.getAttribute("aria-label")) bad.push("alternative text");
        }
        const levels = [...document.querySelectorAll("h1, h2, h3")].map(h => +h.tagName[1]);
        levels.forEach((level, i) => { if (i && level > levels[i - 1] + 1) bad.push("headings"); });
        if (!document.documentElement.lang) bad.push("lang");
        const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
        if (new Set(ids).size !== ids.length) bad.push("ids");
        return bad;
        """
    )
    assert missing == []


def test_shared_items_are_marked_by_more_than_color(
    browser: webdriver.Chrome, pages: dict[str, Path]
) -> None:
    show(browser, pages["audit"])
    shared = browser.find_elements(By.CSS_SELECTOR, "li.shared")
    assert len(shared) == 4
    for item in shared:
        assert item.text.startswith("✓")
        assert item.find_element(By.CSS_SELECTOR, "[aria-label='in both lists']")


def test_it_can_be_used_without_javascript(tmp_path: Path, pages: dict[str, Path]) -> None:
    driver = start(tmp_path / "profile", javascript=False)
    try:
        driver.get("data:text/html,<p>off</p><script>document.body.textContent='on'</script>")
        assert driver.find_element(By.TAG_NAME, "body").text == "off"
        driver.get((pages["audit"] / "report.html").as_uri())
        text = driver.find_element(By.TAG_NAME, "main").text
    finally:
        driver.quit()
    for words in ("Easily copied", "Photos can be planted", "Threat model", "How to reproduce"):
        assert words in text
