"""What a plan says wrongly is found before the first call, and ends with its exit code."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from recsec.cli.main import main

if TYPE_CHECKING:
    from conftest import Place

PLAN = """
[target]
model = "callable:planted_api:recommend"
data = "shop.csv"
twins = { model = "markov" }
[[extraction]]
policies = "mixed"
calls = [60, 150]
seeds = 0
length = 20
sessions = 8
surrogate_settings = { embedding_dim = 8, blocks = 1, max_length = 20, epochs = 3 }
[evaluation]
resamples = 100
recheck = false
[gate]
fail_at = "never"
[engine]
workers = 1
device = "cpu"
"""
VISUAL = """
[visual]
data = "photos:items=60,categories=3"
models = [{ name = "own", train = "encoder" }]
[[evasion]]
attacks = "pgd"
eps = 0.03
"""
SURROGATE = "embedding_dim = 8,"
WRONG = {
    "device": ('device = "cpu"', 'device = "evil"'),
    "device that is not there": ('device = "cpu"', 'device = "cuda:99"'),
    "lr nan": (SURROGATE, "embedding_dim = 8, lr = nan,"),
    "lr -1": (SURROGATE, "embedding_dim = 8, lr = -1,"),
    "lr inf": (SURROGATE, "embedding_dim = 8, lr = inf,"),
    "lr text": (SURROGATE, 'embedding_dim = 8, lr = "fast",'),
    "no such setting": (SURROGATE, "embedding_dim = 8, wings = 2,"),
    "epochs": ("epochs = 3", "epochs = -3"),
    "surrogate": ("seeds = 0", 'seeds = 0\nsurrogate = "no-such"'),
    "surrogate that is counted": ("seeds = 0", 'seeds = 0\nsurrogate = "markov"'),
    "policy": ('policies = "mixed"', 'policies = "no-such"'),
    "policy's setting": ("seeds = 0", "seeds = 0\npolicy_settings = { mixed = { share = 7 } }"),
    "loss": ("seeds = 0", 'seeds = 0\nloss = "hope"'),
    "switch": ("seeds = 0", 'seeds = 0\nadaptive = ["invisible"]'),
    "leak": ("seeds = 0", "seeds = 0\nleak = 1.5"),
    "k of 0": ("seeds = 0", "seeds = 0\nk = 0"),
    "k beyond the catalog": ("seeds = 0", "seeds = 0\nk = 60"),
    "calls": ("calls = [60, 150]", "calls = [60, -1]"),
    "seed": ("seeds = 0", "seeds = -1"),
    "depth": ("resamples = 100", "resamples = 100\ndepth = 3"),
    "no users": ("resamples = 100", "resamples = 100\nusers = 0"),
    "cost inf": ("[gate]", "[cost]\ncalls_per_second = inf\n[gate]"),
    "cost 0": ("[gate]", "[cost]\ncalls_per_second = 0\n[gate]"),
    "gate's key": ('fail_at = "never"', "hihg = 0.3"),
    "gate's level": ('fail_at = "never"', 'fail_at = "sometimes"'),
    "gate nan": ('fail_at = "never"', "high = nan"),
    "gate upside down": ('fail_at = "never"', "moderate = 0.5"),
    "twin's model": ('model = "markov"', 'model = "no-such"'),
    "twin's setting": ('model = "markov"', 'model = "markov", settings = { reach = -3 }'),
    "no such table": ("[gate]", "[gates]"),
    "workers": ("workers = 1", "workers = 0"),
    "threads": ("workers = 1", "workers = 1\nthreads = 0"),
    "guard before a function": ("[gate]", '[[defense]]\nname = "d"\nguards = "quantize"\n[gate]'),
    "guard": ("[gate]", '[[defense]]\nname = "d"\nmodel = "m"\nguards = "no-such"\n[gate]'),
    "separator": ('data = "shop.csv"', 'data = "shop.csv"\nsep = "ab"'),
    "form of times": ('data = "shop.csv"', 'data = "shop.csv"\ntime_format = "noon"'),
    "column": ('data = "shop.csv"', 'data = "shop.csv"\ncolumns = { buyer = "user" }'),
    "encoder": ("[gate]", VISUAL.replace('"encoder"', '"no-such"') + "[gate]"),
    "encoder's setting": (
        "[gate]",
        VISUAL.replace('train = "encoder"', 'train = "encoder", settings = { lr = nan }')
        + "[gate]",
    ),
    "attack": ("[gate]", VISUAL.replace('"pgd"', '"no-such"') + "[gate]"),
    "eps": ("[gate]", VISUAL.replace("0.03", "nan") + "[gate]"),
    "photos": ("[gate]", VISUAL.replace("photos:items", "photos:wings") + "[gate]"),
    "not TOML": ("[gate]", "[gate"),
}
GONE = {
    "data": ('"shop.csv"', '"none.csv"'),
    "function": (":recommend", ":recommends"),
    "module": ("planted_api", "no_such_module"),
    "model folder": ('"callable:planted_api:recommend"', '"no/such/model"'),
    "defense's model": ("[gate]", '[[defense]]\nname = "d"\nmodel = "no/such"\n[gate]'),
    "encoder's folder": (
        "[gate]",
        VISUAL.replace('train = "encoder"', 'model = "no/such"') + "[gate]",
    ),
}
CASES = [pytest.param(*change, 2, id=name) for name, change in WRONG.items()]
CASES += [pytest.param(*change, 3, id=f"{name} gone") for name, change in GONE.items()]


def write(place: Place, text: str) -> list[str]:
    (place.folder / "plan.toml").write_text(text)
    return ["audit", "plan.toml", "--out", "run", "--json", "-q"]


@pytest.mark.hostile(kind="plans", what="a wrong word or number, or what is named is not there")
@pytest.mark.parametrize(("old", "new", "code"), CASES)
def test_nothing_is_asked_for_a_wrong_plan(
    place: Place, old: str, new: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old in PLAN
    words = write(place, PLAN.replace(old, new, 1))
    assert main(words) == code
    error = json.loads(capsys.readouterr().out)["error"]
    assert "should not" not in error["message"]
    assert place.asked == []
    assert not (place.folder / "run").exists()


class Api(BaseHTTPRequestHandler):
    """Counts what it is asked."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        """Answer a list that depends on the last item."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(json.dumps(body))
        steps = ((body["history"][-1] * 7 + 11 * step) % 60 + 1 for step in range(60))
        kept = [item for item in dict.fromkeys(steps) if item not in set(body["history"])]
        content = json.dumps({"items": kept[: body["k"]]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    Api.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.hostile(kind="plans", what="a wrong plan before an API that counts its calls")
@pytest.mark.parametrize("name", ["lr nan", "policy", "k beyond the catalog", "encoder's setting"])
def test_an_api_is_not_asked_for_a_wrong_plan(place: Place, address: str, name: str) -> None:
    plan = PLAN.replace("callable:planted_api:recommend", address).replace(*WRONG[name], 1)
    assert main(write(place, plan)) == 2
    assert Api.asked == []


def test_the_corrected_plan_uses_what_an_api_answered(place: Place, address: str) -> None:
    plan = PLAN.replace("callable:planted_api:recommend", address)
    wrong = plan.replace(SURROGATE, "embedding_dim = 8, lr = 1e30, warmup = 0.0,")
    assert main(write(place, wrong)) == 4
    check, owner, thief = 72, 40, 150
    assert len(Api.asked) == check + owner + thief
    assert main(write(place, plan)) == 0
    assert len(Api.asked) == check + owner + thief, "nothing is asked again"


def test_a_plan_that_no_disk_holds_is_refused_with_its_exit_code(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    full = shutil.disk_usage(Path())._replace(free=1)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: full)
        assert main(write(place, PLAN)) == 3
    assert place.asked == []
