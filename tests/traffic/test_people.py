"""Planted people are recovered; laws go through files; what is no law is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsec.cli.main import main
from recsec.errors import ConfigError
from recsec.traffic import MEASURED, ClickLaw, click_law, measure_people, read_events, read_people

PLANTED = ClickLaw(acceptance=0.6, first=0.45, bias=0.7)


def planted(users: int = 400, *, reload: float = 0.2) -> pl.DataFrame:
    """Sessions of six new items; each list of 25 holds the next item with probability 0.6."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    for user in range(users):
        shown, time = [f"l{one}" for one in range(25)], 1000 * user
        for step in range(6):
            item = f"own-{user}-{step}"
            if step and rng.random() < PLANTED.acceptance:
                item = shown[int(rng.choice(25, p=PLANTED.probabilities(25)))]
            fresh = [f"l-{user}-{step}-{one}" for one in range(25)]
            listed = list(fresh)
            if rng.random() < 0.9:  # the list of the click itself, from which the rank is read
                rank = int(rng.choice(25, p=PLANTED.probabilities(25)))
                listed[rank] = item
            time += 20
            event = {"user": str(user), "session": f"s{user}", "item": item, "device": "one"}
            rows.append({**event, "time": time, "shown": listed})
            shown = listed
            if rng.random() < reload:
                rows.append({**event, "time": time + 5, "shown": None})
    return pl.DataFrame(rows, schema_overrides={"shown": pl.List(pl.String)})


def test_a_planted_law_is_recovered(tmp_path: Path) -> None:
    planted().write_parquet(tmp_path / "log.parquet")
    events = read_events(str(tmp_path / "log.parquet"))
    found = measure_people(events, name="planted", rng=np.random.default_rng(0), resamples=50)
    follows = events["user"].eq(events["user"].shift(1)).fill_null(False)
    again = events["item"].eq(events["item"].shift(1)).fill_null(False).filter(follows).mean()
    assert isinstance(again, float)
    for name, truth in {"P(1) k=25": 0.45, "eta k=25": 0.7, "reload": again}.items():
        one = found.estimates[name]
        assert one.low is not None
        assert one.high is not None
        assert one.low < one.value < one.high
        assert abs(one.value - truth) < (one.high - one.low)
    assert found.estimates["left k=25"].value < 0.03 < found.estimates["left alone k=25"].value
    # what is opened again is not new: the item at hand stands in its own list and is taken often
    assert found.estimates["acceptance k=25"].value == pytest.approx(0.55, abs=0.05)
    path = tmp_path / "law.json"
    path.write_text(found.model_dump_json())
    assert read_people(path) == found
    law = click_law(path, 25)
    assert law.first == pytest.approx(found.laws[25].first)
    assert law.bias == pytest.approx(found.laws[25].bias)


def test_laws_between_measured_lengths() -> None:
    trivago = MEASURED["trivago"]
    assert trivago.law(10).first == pytest.approx(0.40, abs=0.005)
    assert trivago.law(10).bias == pytest.approx(0.83, abs=0.005)
    assert trivago.law(25).acceptance == pytest.approx(0.66, abs=0.005)
    assert trivago.law(10).acceptance < trivago.law(15).acceptance < trivago.law(25).acceptance
    assert trivago.law(100).acceptance == trivago.law(25).acceptance


def test_what_is_no_law(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="had no lists"):
        click_law("yoochoose", 10)
    with pytest.raises(ConfigError, match="no law called 'nobody'"):
        click_law("nobody", 10)
    (tmp_path / "other.json").write_text("{}")
    words = ["data", "traffic", "synthetic", "--model", "markov", "--out", str(tmp_path / "x.csv")]
    with pytest.raises(ConfigError, match="no law that recsec traffic fit wrote"):
        click_law(tmp_path / "other.json", 10)
    assert main([*words, "--law", "nobody"]) == 2 or "error" in capsys.readouterr().err


def test_fit_through_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted(150).write_parquet(tmp_path / "log.parquet")
    law = tmp_path / "law.json"
    words = ["traffic", "fit", str(tmp_path / "log.parquet"), "--out", str(law), "--resamples", "5"]
    assert main([*words, "--figure", str(tmp_path / "law.svg"), "--json"]) == 0
    assert "lists of 10, counted" in (tmp_path / "law.svg").read_text()
    assert '"laws"' in capsys.readouterr().out
    assert click_law(law, 10).first is not None
    assert main(["traffic", "fit", "nowhere", "--out", str(law)]) == 2
