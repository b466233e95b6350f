"""Take the README's picture of ``recsec try``: ``python docs/img/try_page.py`` (needs Chromium).

It starts the page on its made-up samples, attacks the first pair, and shows both views.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from picture import GAP, WIDTH, browser, clip
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

OUT = Path(__file__).with_name("try.png")
PARTS = (
    ("lists", "#lists .desk", "#columns"),
    ("photos", "#order", "#near"),
)
"""View, and the first and last element of what is shown of it."""


def picture() -> None:
    """Write ``try.png``."""
    words = [sys.executable, "-m", "recsec", "try", "--no-browser", "--json"]
    with (
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as page,  # noqa: S603 - ours
        browser() as driver,
    ):
        url = json.loads(page.stdout.readline())["url"]  # type: ignore[union-attr]
        wait = WebDriverWait(driver, 60)
        parts = []
        for view, first, last in PARTS:
            driver.get("about:blank")
            driver.get(f"{url}#{view}")
            if view == "lists":
                wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, "#columns section"))
                driver.execute_script("document.getElementById('found').style.maxHeight = '7rem'")
            else:
                wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, "#pick-target .thumb"))
                driver.find_element(By.ID, "start").click()
                wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, "#runs tbody tr"))
            parts.append(clip(driver, first, last))
        page.send_signal(signal.SIGINT)
    whole = Image.new("RGB", (WIDTH, sum(part.height for part in parts) + GAP), "#e7ebef")
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height + GAP
    whole.quantize(128).save(OUT, optimize=True)


if __name__ == "__main__":
    picture()
