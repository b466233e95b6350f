"""The page of ``recsec try`` in a real browser: by keyboard, on a phone, in both themes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from try_world import list_bench, photo_bench, served

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
)  # fmt: skip


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(list_bench(), photo_bench()) as found:
        yield found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(str(shutil.which("chromedriver"))))
    yield driver
    driver.quit()


def show(
    browser: webdriver.Chrome, address: str, view: str, *, width: int = 1280, theme: str = "light"
) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": theme}]},
    )
    browser.get("about:blank")
    browser.get(f"{address}/#{view}")
    ready = {"lists": "#columns section", "photos": "#pick-target .thumb"}[view]
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, ready))


def wait(browser: webdriver.Chrome, seen: object) -> None:
    WebDriverWait(browser, 60, 0.05).until(lambda _: seen())  # type: ignore[operator]


def attack(browser: webdriver.Chrome) -> str:
    """Start it with the keyboard; what the page says at the end."""
    browser.find_element(By.ID, "start").send_keys(Keys.ENTER)
    wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#runs tbody tr"))
    wait(browser, lambda: browser.find_element(By.ID, "start").is_enabled())
    return browser.find_element(By.ID, "rank").text


def answered(browser: webdriver.Chrome, *, items: int) -> None:
    """Until the lists are those of a history of so many items: before, they are replaced."""
    wait(
        browser,
        lambda: (
            len(browser.find_elements(By.CSS_SELECTOR, "#history li")) == items
            and not browser.find_element(By.ID, "lists-note").text
        ),
    )


def test_a_history_is_built_by_keyboard(browser: webdriver.Chrome, address: str) -> None:
    show(browser, address, "lists")
    browser.find_element(By.ID, "clear").send_keys(Keys.ENTER)
    answered(browser, items=0)
    browser.find_element(By.ID, "words").send_keys(Keys.ENTER)  # adds the first that is found
    answered(browser, items=1)
    browser.find_elements(By.CSS_SELECTOR, "#columns .item")[3].send_keys(Keys.ENTER)
    answered(browser, items=2)
    browser.find_element(By.CSS_SELECTOR, "#history button").send_keys(Keys.ENTER)
    answered(browser, items=1)
    names = [one.text for one in browser.find_elements(By.CSS_SELECTOR, "#columns h3")]
    assert names == ["original", "copy", "closed"]
    assert "8 of 10 are in the first list" in browser.find_element(By.ID, "columns").text
    assert "the shop is closed" in browser.find_element(By.ID, "columns").text


def test_an_attack_is_watched_and_gone_through_again(
    browser: webdriver.Chrome, address: str
) -> None:
    show(browser, address, "photos")
    said = attack(browser)
    assert re.match(r"Rank [\d,]+ → [\d,]+", said)
    for name in ("before", "after", "difference", "wanted"):
        image = browser.find_element(By.ID, name)
        assert browser.execute_script("return arguments[0].naturalWidth", image) == 224
    after = browser.find_element(By.ID, "after").get_attribute("src")
    browser.find_element(By.ID, "step").send_keys(Keys.HOME)
    assert browser.find_element(By.ID, "step-at").text == "0"
    assert browser.find_element(By.ID, "after").get_attribute("src") != after
    assert len(browser.find_elements(By.CSS_SELECTOR, "#near li")) == 10


def test_escape_cancels(browser: webdriver.Chrome, address: str) -> None:
    show(browser, address, "photos")
    browser.execute_script(
        "document.getElementById('attack').value = 'square';"
        "document.getElementById('levels').value = 1"
    )
    start, said = browser.find_element(By.ID, "start"), ""
    for _ in range(3):  # on a slow machine the attack may end before the key arrives
        start.send_keys(Keys.ENTER)
        wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#curve circle"))
        browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
        wait(browser, start.is_enabled)
        said = browser.find_element(By.ID, "rank").text
        if "Cancelled" in said:
            break
    assert "Cancelled" in said


@pytest.mark.parametrize("view", ["lists", "photos"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_it_fits_in_both_themes_and_asks_nobody_else(
    browser: webdriver.Chrome, address: str, view: str, theme: str, width: int
) -> None:
    browser.get_log("performance")
    browser.get_log("browser")
    show(browser, address, view, width=width, theme=theme)
    if view == "photos":
        attack(browser)
    wide, there = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= there <= width
    background, ink = browser.execute_script(
        "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]"
    )
    bright = [sum(map(int, re.findall(r"\d+", one)[:3])) > 384 for one in (background, ink)]
    assert bright == [theme == "light", theme == "dark"]
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        one["params"]["request"]["url"]
        for one in messages
        if one["method"] == "Network.requestWillBeSent"
    ]
    assert asked
    assert all(one.startswith((address, "data:", "about:")) for one in asked)


@pytest.mark.parametrize("view", ["lists", "photos"])
def test_everything_has_a_name_and_can_be_reached(
    browser: webdriver.Chrome, address: str, view: str
) -> None:
    show(browser, address, view)
    nameless = browser.execute_script(
        """
        const seen = [...document.querySelectorAll("button, input, select, img")]
          .filter(e => e.checkVisibility());
        return seen.filter(e => e.tagName === "IMG" ? !e.hasAttribute("alt")
          : !(e.getAttribute("aria-label") || e.labels?.length || e.textContent.trim())
            || e.tabIndex < 0).map(e => e.outerHTML);
        """
    )
    assert nameless == []
