"""``recsec demo``: its folders, its plans, and one quick run to the report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from recsec.cli import demo
from recsec.cli.main import main
from recsec.cli.shared.output import configure


def finished(folder: Path) -> None:
    folder.mkdir()
    (folder / "report.html").write_text("done")


def test_a_new_demo_gets_its_own_folder(tmp_path: Path) -> None:
    finished(tmp_path / "recsec-demo")
    (tmp_path / "recsec-demo-2").mkdir()
    (tmp_path / "recsec-demo-2" / "letter.txt").write_text("dear")
    (tmp_path / "recsec-demo-3").write_text("a file")
    (tmp_path / "recsec-demo-4").mkdir()
    (tmp_path / "recsec-demo-4" / "run.json").write_text("{}")
    found = demo._folders(tmp_path, "recsec-demo")
    assert next(found).name == "recsec-demo-4"  # begun and not finished: it continues
    assert next(found).name == "recsec-demo-5"


def test_the_demo_is_named_after_its_data() -> None:
    assert demo._name("synthetic", quick=False) == "recsec-demo"
    assert demo._name("ml-1m", quick=True) == "recsec-demo-ml-1m-quick"
    assert demo._name("shop/orders.csv", quick=False) == "recsec-demo-orders"


def test_the_current_folder_is_used_where_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert demo._place() == Path()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write")
def test_a_read_only_folder_is_left_for_one_of_the_user(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir("/proc")
    configure(quiet=False)  # a test before this one may have asked for silence
    place = demo._place()
    assert place.is_absolute()
    assert place.is_dir()
    assert "/proc cannot be written to" in capsys.readouterr().err


@pytest.mark.parametrize("data", ["synthetic", "ml-1m"])
@pytest.mark.parametrize("quick", [True, False])
def test_the_plans_fit(data: str, quick: bool) -> None:
    plan = demo.demo_plan(data, quick=quick)
    assert plan.target.train == "sasrec"
    assert plan.target.twins.count == 1
    assert (plan.visual is not None) == (data == "synthetic")


@pytest.mark.slow
def test_a_quick_demo_ends_with_three_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same interpreter as the user's, the words of the README."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["recsec", "demo", "--quick"])
    assert main() == 0
    streams = capsys.readouterr()
    found, report, step = streams.out.splitlines()
    assert found.startswith("found (synthetic data): With 1,000 calls")
    assert "photos enter the first 10 neighbors" in found
    assert report == f"report: {tmp_path / 'recsec-demo-quick' / 'report.html'}"
    assert step == "next: recsec data get ml-1m && recsec demo --data ml-1m --quick"
    assert "The data is synthetic" in streams.err
    written = json.loads((tmp_path / "recsec-demo-quick" / "report.json").read_text())
    assert written["synthetic"] is True
    assert written["extraction"]["data"]["synthetic"] is True
    assert written["evasion"]["data"]["synthetic"] is True
