"""The dashboard in a real browser: by keyboard, on a phone, in both themes, live, and with axe."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from dashboard_world import PASSWORD, POLICY, PROOF, cheap_passwords
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from service_world import small_world

from recsec.detection import Pooled
from recsec.serving.answering import Answering
from recsec.serving.api import create_app
from recsec.serving.dashboard import Place, add_dashboard
from recsec.serving.engine import Engine, open_state
from recsec.serving.evidence import Event
from recsec.serving.policy import Policy, Rule
from recsec.serving.running import listen
from recsec.serving.state import new_key, new_operator
from recsec.serving.together import Cluster, ClusterLook, PoolLook
from recsec.targets import LocalTarget

pytestmark = pytest.mark.browser

AXE = Path(__file__).with_name("axe.min.js.gz")
"""axe-core 4.14.1 of the npm registry, dist file axe.min.js (MPL-2.0; its head says so)."""

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
SITE = "audits/site/index.html"
PAGES = ("", "account", "decision", "screened", "policy", "policy/thief", "audits", SITE, "proof")
RUNS = Path(__file__).resolve().parents[2] / "examples" / "runs"


class Shop:
    """A served application with a thief in it."""

    def __init__(self, folder: Path) -> None:
        world = small_world(folder)
        (folder / "policy.toml").write_text(POLICY)
        rules = {"rules": [{"name": "thief", "p_value": 0.3, "action": "block"}]}
        names, store = open_state(folder / "state")
        self.engine = Engine(
            Policy.model_validate({**rules, "detectors": folder / "detectors"}),
            names,
            store,
            fitted=world.fitted,
        )
        new_operator(store, "ann", "admin", PASSWORD)
        new_key(store, "shop", role="client", k=20, scores=True)
        app = create_app(Answering(self.engine, LocalTarget(world.model)), open_to_all=True)
        place = Place(folder / "policy.toml", folder / "state", world.model.catalog.title)
        add_dashboard(app, self.engine, place)
        shutil.copytree(RUNS, folder / "state" / "audits")
        (folder / "state" / "proofs").mkdir()
        (folder / "state" / "proofs" / "one.json").write_text(json.dumps(PROOF))
        self.socket = listen("127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        config = uvicorn.Config(app, lifespan="on", log_level="critical", ws="none")
        self.server = uvicorn.Server(config)
        sockets = {"sockets": [self.socket]}
        self.thread = threading.Thread(target=self.server.run, kwargs=sockets, daemon=True)
        self.thread.start()

    def look_at_all(self) -> None:
        """What a pool and a cluster look like, as if it had been time."""
        name = self.engine.names.account("mallory")
        apart = {"transition": 1.2, "off-list": 0.4}
        pool = Pooled(50, 0.4, 1e-4, {"growing": 0.7, "window": 0.3}, apart)
        young, linked = self.engine.evidence.young, self.engine.evidence.linked
        young.looks.append(PoolLook(self.engine.clock(), 10, pool, (name,)))
        alike = (Cluster((name, *(f"{one:032x}" for one in range(9))), 1e-5, 8),)
        linked.looks.append(ClusterLook(self.engine.clock(), 120, alike))

    def flag(self, account: str) -> None:
        """A photo of an account is flagged."""
        rule = Rule(name="fake", evidence="screen", p_value=0.01, action="block")
        told = {"level": 0.01, "threshold": 1.0, "scores": {"hubs": 3.5, "panel": 2.0}}
        told |= {"fitted_on": 400, "listing": "1163", "sha256": "ab" * 32}
        self.engine.decide(rule, self.engine.names.account(account), {"screen": told})

    def steal(self, account: str, *, seed: int = 0) -> str:
        """25 random queries; the name under which the account is kept."""
        rng, name, history = np.random.default_rng(seed), self.engine.names.account(account), []
        for _ in range(25):
            history.append(int(rng.integers(1, 131)))
            answer = rng.permutation(130)[:10] + 1
            now = self.engine.clock()
            self.engine.note(Event(name, "", now, np.array(history, dtype=np.int64), answer))
        self.engine.settle()
        return name

    def close(self) -> None:
        """As SIGTERM does."""
        self.engine.draining = True
        self.server.should_exit = True
        self.thread.join(20)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with pytest.MonkeyPatch.context() as patch:
        cheap_passwords(patch)
        found = Shop(tmp_path_factory.mktemp("shop"))
        found.steal("mallory")
        found.look_at_all()
        found.flag("olga")
        yield found
        found.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> Iterator[webdriver.Chrome]:
    """Logged in by keyboard."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(str(shutil.which("chromedriver"))))
    driver.get(f"{shop.address}/dashboard/")
    assert driver.current_url.endswith("/dashboard/login")
    driver.switch_to.active_element.send_keys("ann", Keys.TAB, PASSWORD, Keys.ENTER)
    wait(driver, lambda: driver.find_elements(By.CSS_SELECTOR, "#accounts table"))
    yield driver
    driver.quit()


def wait(browser: webdriver.Chrome, seen: Callable[[], Any]) -> None:
    WebDriverWait(browser, 60, 0.05).until(lambda _: seen())


def show(
    browser: webdriver.Chrome, shop: Shop, page: str, *, width: int = 1280, theme: str = "light"
) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": theme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    account, other = (shop.engine.names.account(name) for name in ("mallory", "olga"))
    decision, screened = (shop.engine.store.about(name)[0].id for name in (account, other))
    path = {
        "account": f"accounts/{account}",
        "decision": f"decisions/{decision}",
        "screened": f"decisions/{screened}",
    }.get(page, page)
    browser.get(f"{shop.address}/dashboard/{path}")
    if not page:
        wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#looks canvas"))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_page_fits_is_accessible_and_asks_nobody_else(
    browser: webdriver.Chrome, shop: Shop, page: str, theme: str
) -> None:
    browser.get_log("performance")
    browser.get_log("browser")
    for width in (400, 1280):
        show(browser, shop, page, width=width, theme=theme)
        wide, there = browser.execute_script(
            "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert wide <= there <= width
        background, ink = browser.execute_script(
            "const one = getComputedStyle(document.body); return [one.backgroundColor, one.color]"
        )
        bright = [sum(map(int, re.findall(r"\d+", one)[:3])) > 384 for one in (background, ink)]
        assert bright == [theme == "light", theme == "dark"]
        browser.execute_script(gzip.decompress(AXE.read_bytes()).decode())
        found = browser.execute_async_script(
            "const done = arguments[0]; axe.run().then(r => done(r.violations), e => done([e]))"
        )
        serious = [
            (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        one["params"]["request"]["url"]
        for one in messages
        if one["method"] == "Network.requestWillBeSent"
    ]
    assert asked
    assert all(one.startswith((shop.address, "data:", "about:")) for one in asked)


def test_the_watch_is_live_and_can_be_held_still(browser: webdriver.Chrome, shop: Shop) -> None:
    show(browser, shop, "")
    first = shop.steal("eve", seed=1)
    wait(browser, lambda: browser.find_elements(By.ID, f"a-{first}"))
    browser.find_element(By.ID, "live").send_keys(Keys.SPACE)
    second = shop.steal("trudy", seed=2)
    before = len(shop.engine.store.decisions())
    assert before >= 3
    WebDriverWait(browser, 10).until(
        lambda _: second[:8] in browser.execute_async_script(
            "const done = arguments[0];"
            "fetch('/dashboard/').then(answer => answer.text()).then(done)"
        )
    )  # fmt: skip
    assert not browser.find_elements(By.ID, f"a-{second}")
    browser.find_element(By.ID, "live").send_keys(Keys.SPACE)


def test_an_account_is_found_blocked_and_cleared_by_keyboard(
    browser: webdriver.Chrome, shop: Shop
) -> None:
    show(browser, shop, "")
    told = browser.find_element(By.TAG_NAME, "main").text
    assert "p 0.0001; on average one puts items together that people rarely choose" in told
    assert "120 accounts were compared" in told
    browser.find_element(By.NAME, "account").send_keys("mallory", Keys.ENTER)
    name = shop.engine.names.account("mallory")
    wait(browser, lambda: browser.current_url.endswith(name))
    browser.find_element(By.ID, "act-reason").send_keys("asks at random")
    browser.find_element(By.CSS_SELECTOR, "button[value=block]").send_keys(Keys.ENTER)
    wait(browser, lambda: shop.engine.ledger.treatment(name).action == "block")
    wait(browser, lambda: "asks at random" in browser.find_element(By.TAG_NAME, "main").text)
    browser.find_element(By.CSS_SELECTOR, ".decisions .pill.on").send_keys(Keys.ENTER)
    wait(browser, lambda: browser.find_elements(By.ID, "clear-reason"))
    browser.find_element(By.ID, "clear-reason").send_keys("was a test", Keys.ENTER)
    wait(browser, lambda: shop.engine.ledger.treatment(name).action == "observe")


def test_another_threshold_is_tried_while_typing(browser: webdriver.Chrome, shop: Shop) -> None:
    show(browser, shop, "policy/thief")
    field = browser.find_element(By.ID, "level")
    field.clear()
    field.send_keys("0.9")
    wait(browser, lambda: "With p ≤ 0.9" in browser.find_element(By.ID, "what-if").text)
    assert browser.current_url.endswith("/policy/thief"), "the page stayed"
