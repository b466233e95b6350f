"""Take the pictures of the dashboard: ``python docs/img/watch_page.py`` (needs Chromium).

It trains on made-up data, serves the model with detectors, replays people and lets one thief ask
as fast as it can. What the pictures show is what the service then says. With a folder as argument
all pages are taken too, in both themes and two widths.
"""

from __future__ import annotations

import base64
import contextlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
from picture import WIDTH, browser
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from recsec import models
from recsec.data import load
from recsec.rng import Streams
from recsec.targets import LocalTarget
from recsec.traffic import click_law, honest_log

OUT = Path(__file__).with_name("watch.png")
DATA = "synthetic:users=2500,items=400,length=60,seed=3"
PEOPLE, QUERIES, SECONDS = 60, 40, 40.0
NAME, PASSWORD = "ann", "made up for a picture"
POLICY = """
detectors = "detectors"
enforce = true
[[rules]]
name = "thief"
p_value = 0.01
action = "block"
duration = "1h"
enforce = true
[[rules]]
name = "odd"
p_value = 0.1
action = "shorten"
[[rules]]
name = "haste"
more_than = 90
within = "1m"
action = "slow"
"""


def recsec(*words: str, **options: object) -> None:
    """Run a command to its end."""
    line = [sys.executable, "-m", "recsec", *words]
    subprocess.run(line, check=True, **options)  # type: ignore[call-overload]  # noqa: S603 - ours


def prepare(folder: Path) -> None:
    """Train, fit detectors, write the policy, add an operator."""
    model, detectors = str(folder / "markov"), str(folder / "detectors")
    recsec("train", "markov", "--data", DATA, "--out", model, "--quiet")
    words = ("detect", "fit", "--model", model, "--data", DATA, "--queries", "50")
    recsec(*words, "--out", detectors, "--quiet")
    (folder / "policy.toml").write_text(POLICY)
    words = ("operators", "add", NAME, "--role", "admin", "--state", str(folder / "state"))
    recsec(*words, "--quiet", input=PASSWORD, text=True)


@contextlib.contextmanager
def service(folder: Path) -> Iterator[str]:
    """The address of a running service."""
    words = ["serve", str(folder / "markov"), "--policy", str(folder / "policy.toml")]
    words += ["--state", str(folder / "state"), "--port", "0"]
    log = folder / "log.txt"
    with log.open("wb") as stderr:
        running = subprocess.Popen([sys.executable, "-m", "recsec", *words], stderr=stderr)  # noqa: S603
    try:
        while (found := re.search(r"at (http://\S+)", log.read_text())) is None:
            time.sleep(0.1)
        for _ in range(100):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{found[1]}/readyz").status_code == 200:
                    break
            time.sleep(0.1)
        yield found[1]
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait()


def traffic(folder: Path, url: str, nearly: threading.Event, *, seconds: float = SECONDS) -> None:
    """People as their histories have it, and from a third of the time on a thief among them.

    ``nearly`` is set when most of it is over.
    """
    model, data = models.load(folder / "markov"), load(DATA).sequences()
    rng, catalog = Streams(7).numpy("people"), model.catalog
    users = rng.choice(len(data), PEOPLE, replace=False)
    log = honest_log(
        LocalTarget(model), data, users, click_law("trivago", 10), queries=QUERIES, k=10, rng=rng
    )
    stolen: list[int] = []
    begun, n = time.monotonic(), len(log)
    with httpx.Client(base_url=url) as client:

        def ask(account: str, history: list[object]) -> int:
            body = {"account": account, "history": history, "k": 10}
            return client.post("/v1/recommend", json=body).status_code

        for row, account in enumerate(log.calls.account):
            items, _ = log.histories(np.array([row]))
            ask(account, catalog.external(items))
            if row > n // 3 and row % 12 == 0:
                stolen = [*stolen, int(rng.integers(1, len(catalog) + 1))][-40:]
                ask("mallory", catalog.external(np.array(stolen)))
            if row > 0.85 * n:
                nearly.set()
            wait = begun + seconds * row / n * (1 + 0.25 * np.sin(row / 150)) - time.monotonic()
            if wait > 0:
                time.sleep(wait)


def login(driver: webdriver.Chrome, url: str) -> None:
    """As a person does."""
    driver.get(f"{url}/dashboard/login")
    driver.find_element(By.NAME, "name").send_keys(NAME)
    driver.find_element(By.NAME, "password").send_keys(PASSWORD)
    driver.find_element(By.CSS_SELECTOR, ".door button").click()
    WebDriverWait(driver, 20).until(lambda _: driver.find_elements(By.ID, "accounts"))


def look(driver: webdriver.Chrome, *, width: int, height: int, theme: str) -> None:
    """From now on through a window of this size."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": theme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def pages(driver: webdriver.Chrome, url: str) -> dict[str, str]:
    """Address of each page, by name."""
    driver.get(f"{url}/dashboard/")
    account = driver.find_element(By.CSS_SELECTOR, "#accounts a").get_attribute("href")
    decision = driver.find_element(By.CSS_SELECTOR, "#decisions a.pill").get_attribute("href")
    found = {"account": str(account), "decision": str(decision)}
    for name in ("", "policy", "audits", "proof"):
        found[name or "watch"] = f"{url}/dashboard/{name}"
    return found


def shoot(driver: webdriver.Chrome, path: Path, *, whole: bool) -> None:
    """One picture."""
    time.sleep(2.5)  # until the live parts came, and the charts are drawn
    if whole:
        size = driver.execute_script("return document.documentElement.scrollHeight")
        width = driver.execute_script("return document.documentElement.clientWidth")
        area = {"x": 0, "y": 0, "width": width, "height": min(size, 4000), "scale": 1}
        options = {"captureBeyondViewport": True, "clip": area}
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", options)
        path.write_bytes(base64.b64decode(shot["data"]))
    else:
        driver.save_screenshot(str(path))


def main(all_into: Path | None) -> None:
    """Take the picture for the README, and all others into a folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        with service(folder) as url, browser() as driver:
            login(driver, url)
            nearly = threading.Event()
            going = threading.Thread(target=traffic, args=(folder, url, nearly))
            going.start()
            nearly.wait()
            look(driver, width=WIDTH + 140, height=860, theme="light")
            driver.get(f"{url}/dashboard/")
            shoot(driver, OUT, whole=False)
            Image.open(OUT).convert("RGB").quantize(128).save(OUT, optimize=True)
            going.join()
            for page, address in pages(driver, url).items() if all_into is not None else ():
                for width, theme in (
                    (1280, "light"),
                    (1280, "dark"),
                    (400, "light"),
                    (400, "dark"),
                ):
                    look(driver, width=width, height=900, theme=theme)
                    driver.get(address)
                    shoot(driver, Path(all_into or "") / f"{page}-{width}-{theme}.png", whole=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
