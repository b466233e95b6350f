"""Several recommenders behind one address: one file, each by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from liar import Handler, Liar, good_list

from recsec.audit import parse_plan
from recsec.cli.main import main
from recsec.data.catalog import Catalog
from recsec.errors import ConfigError
from recsec.sources import kind_of_source
from recsec.targets import HttpConfig, HttpTarget, open_target
from recsec.targets.sources import target_digests

NAMES = ("home", "because you watched", "similar")


def by_place(handler: Handler) -> None:
    """Each of the three shifts the list; the third calls it something else."""
    at = next(n for n, name in enumerate(NAMES) if name in (handler.body["slot"], "similar"))
    ids = good_list(handler.body["history"], handler.body["k"] + at)[at:]
    handler.send(json.dumps({"alike" if at == 2 else "items": ids}).encode())


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    with Liar() as running:
        running.otherwise = by_place
        Path("shop.toml").write_text(
            f'url = "{running.url}/{{recommender}}"\nrate = 1000.0\n'
            '[request]\nslot = "{recommender}"\nhistory = "{history}"\nk = "{k}"\n'
            '[recommenders.home]\n[recommenders."because you watched"]\n'
            '[recommenders.similar]\nresponse = "$.alike"\n'
        )
        yield running


def test_each_is_a_target_of_its_own_and_the_rest_of_the_file_is_shared(shop: Any) -> None:
    catalog = Catalog.from_ids(range(1, 41))
    lists, names = [], []
    for name in NAMES:
        spec = f"shop.toml#{name}"
        assert kind_of_source(spec, "extraction").name == "toml"
        target: Any = open_target(spec, catalog)
        assert isinstance(target, HttpTarget)
        with target:
            lists.append(target.query("a", np.array([[3, 5]]), 3)[0].tolist())
            names.append(target.name)
            assert target.config.rate == 1000.0
    assert lists == [[6, 7, 8], [7, 8, 9], [8, 9, 10]]
    assert names == [f"{shop.url}/{path}#{name}" for path, name in zip(
        ["home", "because%20you%20watched", "similar"], NAMES, strict=True)]  # fmt: skip
    assert [path for _, path, _, _ in shop.seen][1] == "/recommend/because%20you%20watched"
    assert [body["slot"] for *_, body in shop.seen] == list(NAMES)
    digests = {name: target_digests(f"shop.toml#{name}") for name in NAMES}
    assert len({next(iter(found.values())) for found in digests.values()}) == 3
    plan: Any = parse_plan({
        "target": {"model": "shop.toml#similar", "data": "made-up", "twins": 0},
        "extraction": [{"policies": "random", "k": 5, "calls": 10, "length": 5}],
    })  # fmt: skip
    assert plan.target.model == "shop.toml#similar"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("shop.toml#hoem", "has no recommender 'hoem'; there are: home, because you watched, sim"),
        ("shop.toml#", "has no recommender ''; there are"),
        ("shop.toml", "names several recommenders; there are: home, because you watched, similar"),
        ("plain.toml#home", "has no recommender 'home'"),
        ("bad.toml#home", "a name holds no braces"),
        ("flat.toml#home", "a table of settings"),
        ("extra.toml#home", "recommenders: Extra inputs"),
    ],
)
def test_a_name_that_is_wrong_or_missing_is_answered_by_those_there_are(
    shop: Any, spec: str, said: str
) -> None:
    Path("plain.toml").write_text(f'url = "{shop.url}"\n')
    Path("bad.toml").write_text(f'url = "{shop.url}"\nrecommenders = ["home", "{{k}}"]\n')
    Path("flat.toml").write_text(f'url = "{shop.url}"\n[recommenders]\nhome = 3\n')
    Path("extra.toml").write_text(f'url = "{shop.url}"\n[recommenders.home]\nrecommenders = 1\n')
    with pytest.raises(ConfigError, match=said):
        HttpConfig.load(spec)
    assert not shop.seen


@pytest.mark.hint("--model {}")
def test_target_check_shows_which_it_is_and_which_there_are(
    shop: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        f"{user},{(user * 7 + step) % 40 + 1},{step}" for user in range(30) for step in range(8)
    ]
    Path("shop.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    words = ["target", "check", "shop.toml#home", "--data", "shop.csv", "--k", "3", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["shown"] == (
        "home of the recommenders home, because you watched, similar"
    )
    asked = len(shop.seen)
    assert main(["target", "check", "shop.toml", "--data", "shop.csv"]) == 2
    said = capsys.readouterr().err
    assert "there are: home, because you watched, similar" in said
    assert "--model shop.toml#home" in said
    assert len(shop.seen) == asked
