"""Take the README's picture of a report: ``python docs/img/picture.py RUN`` (needs Chromium).

RUN is a finished audit of synthetic data; the picture shows the top of the page and its curves.
"""

from __future__ import annotations

import base64
import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from recsec.reports import read_report, render

OUT = Path(__file__).with_name("report.png")
WIDTH, GAP = 1140, 28
PARTS = {"header": ".verdict:has(#verdict-extraction)", ".figures": ".figures"}
"""First and last element of each part of the page that is shown."""


def clip(driver: webdriver.Chrome, first: str, last: str) -> Image.Image:
    """The page from the top of one element to the bottom of another."""
    top, bottom = driver.execute_script(
        "const at = e => document.querySelector(e).getBoundingClientRect();"
        "return [at(arguments[0]).top + scrollY, at(arguments[1]).bottom + scrollY]",
        first,
        last,
    )
    area = {"x": 0, "y": top - 12, "width": WIDTH, "height": bottom - top + 24, "scale": 1}
    shot = driver.execute_cdp_cmd(
        "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": area}
    )
    return Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """A browser as wide as the pictures."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(flag)
    with webdriver.Chrome(options, Service(shutil.which("chromedriver"))) as driver:
        driver.set_window_size(WIDTH, 900)
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": WIDTH, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        yield driver


def picture(run: Path) -> None:
    """Write ``report.png`` from a run directory."""
    if not read_report(run).synthetic:
        sys.exit(f"{run} is not an audit of synthetic data; pictures show no real data")
    with tempfile.TemporaryDirectory() as folder:
        page = render(run, out=Path(folder))[0]
        with browser() as driver:
            driver.get(page.as_uri())
            parts = [clip(driver, first, last) for first, last in PARTS.items()]
    height = sum(part.height for part in parts) + GAP * (len(parts) - 1)
    whole = Image.new("RGB", (WIDTH, height), "#e7ebef")
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height + GAP
    whole.quantize(128).save(OUT, optimize=True)


if __name__ == "__main__":
    picture(Path(sys.argv[1]))
