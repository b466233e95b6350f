"""Which files a page may hold: pictures of its own run, and nothing else of this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from evasion_example import example_audit, example_evasion

from recsec.reports import Report
from recsec.reports.formats.pictures import read_pictures


def naming(picture: str) -> Report:
    """A report whose map is this picture, and that has no other."""
    found = example_evasion()
    assert found.map is not None
    part = found.model_copy(
        update={"map": found.map.model_copy(update={"picture": picture}), "journeys": ()}
    )
    return example_audit().model_copy(update={"evasion": part})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory beside a secret."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.png").write_bytes(b"secret")
    (tmp_path / "run" / "pictures" / "deeper").mkdir(parents=True)
    (tmp_path / "run" / "pictures" / "own.png").write_bytes(b"own")
    (tmp_path / "run" / "pictures" / "deeper" / "a.png").write_bytes(b"deeper")
    (tmp_path / "run" / "report.png").write_bytes(b"beside")
    return tmp_path / "run"


def test_its_own_picture_is_read(run: Path) -> None:
    assert set(read_pictures(run, naming("pictures/own.png"))) == {"pictures/own.png"}


@pytest.mark.hostile(kind="paths", what="a picture of a run that leads out of the run")
@pytest.mark.parametrize(
    "name",
    [
        "../secret/a.png",
        "pictures/../../secret/a.png",
        "pictures/deeper/a.png",
        "report.png",
        "pictures/link.png",
        "pictures/chain.png",
        "pictures/loop.png",
        "pictures/out/a.png",
        "pictures/pipe.png",
        "pictures/absent.png",
        "pictures/\x00.png",
        "pictures/" + "x" * 5000 + ".png",
        "pictures",
        "",
    ],
)
def test_a_picture_elsewhere_is_not_read(run: Path, name: str) -> None:
    pictures = run / "pictures"
    (pictures / "link.png").symlink_to(run.parent / "secret" / "a.png")
    (pictures / "chain.png").symlink_to(pictures / "link.png")
    (pictures / "loop.png").symlink_to(pictures / "loop.png")
    (pictures / "out").symlink_to(run.parent / "secret")
    os.mkfifo(pictures / "pipe.png")
    assert read_pictures(run, naming(name)) == {}


def test_absolute_names_and_a_folder_that_is_a_link_are_not_read(run: Path) -> None:
    assert read_pictures(run, naming(str(run.parent / "secret" / "a.png"))) == {}
    (run / "pictures").rename(run / "elsewhere")
    (run / "pictures").symlink_to(run.parent / "secret")
    assert read_pictures(run, naming("pictures/a.png")) == {}


def test_a_run_that_is_reached_by_a_link_keeps_its_pictures(run: Path) -> None:
    link = run.parent / "latest"
    link.symlink_to(run)
    assert set(read_pictures(link, naming("pictures/own.png"))) == {"pictures/own.png"}
