"""``recsec data`` for photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small_photos import deepfashion_members, fashion_members, write, zipped

from recsec.cli.main import main


@pytest.fixture
def fashion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECSEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RECSEC_MIRROR", raising=False)
    return zipped(tmp_path / "fashion.zip", fashion_members())


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_get_then_analyze(fashion: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "analyze", "fashion"]) == 3
    assert "recsec data get fashion --from PATH" in capsys.readouterr().err
    assert main(["data", "get", "fashion", "--from", str(fashion), "--json"]) == 0
    receipt = printed(capsys)
    assert (receipt["photos"], receipt["categories"], receipt["checked"]) == (12, 2, "content")
    assert "users" not in receipt
    assert main(["data", "list", "--json"]) == 0
    sets = {entry["name"]: entry for entry in printed(capsys)["sets"]}
    assert sets["fashion"]["at_hand"] == "cache"
    assert (sets["fashion"]["kind"], sets["ml-1m"]["kind"]) == ("photos", "interactions")
    assert main(["data", "analyze", "fashion", "--json"]) == 0
    summary = printed(capsys)
    assert (summary["photos"], summary["skipped[exact]"], summary["width_median"]) == (11, 1, 40.0)
    assert (summary["category[Shirts]"], summary["baseColour[Red]"], summary["baseColour[]"]) == (
        6,
        4,
        4,
    )
    assert not any(isinstance(value, dict) for value in summary.values())


def test_a_folder_is_noted(
    fashion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "deep", deepfashion_members())
    assert main(["data", "get", "deepfashion", "--from", str(folder)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "6 photos, 3 categories" in out
    assert "read where it lies" in out
    assert main(["data", "analyze", "deepfashion", "--json"]) == 0
    assert printed(capsys)["texture[floral]"] == 4


def test_tables_and_figures(
    fashion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "analyze", "fashion:fit=squash", "--from", str(fashion)]
    assert main([*words, "--out", str(tmp_path / "figures")]) == 0
    out = capsys.readouterr().out
    for said in ("What was skipped", "equal pixels", "Shirts", "baseColour", "squash"):
        assert said in out
    assert max(map(len, out.splitlines())) <= 80
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {
        "categories.svg",
        "categories.png",
        "attributes.svg",
        "attributes.png",
        "sheet.png",
    }
    with Image.open(tmp_path / "figures" / "sheet.png") as image:
        assert len(set(image.convert("L").resize((64, 64)).tobytes())) > 20


def test_made_up_and_own_photos(
    fashion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "analyze", "photos:items=40,categories=4"]) == 0
    assert "made up" in capsys.readouterr().out
    members = {name: data for name, data in fashion_members().items() if name.startswith("images")}
    text = "nr,kind\n" + "".join(f"{100 + place},Hat\n" for place in range(12))
    folder = write(tmp_path / "shop", {"shop.csv": text.encode(), **members})
    words = ["data", "analyze", str(folder), "--columns", "id=nr,category=kind", "--json"]
    assert main(words) == 0
    assert printed(capsys)["category[Hat]"] == 11


def test_broken_files_are_named(
    fashion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = fashion_members() | {"images/103.jpg": b"no photo"}
    broken = zipped(tmp_path / "broken.zip", members)
    assert main(["data", "analyze", "fashion", "--from", str(broken)]) == 0
    assert "skipped images/103.jpg" in capsys.readouterr().out


def test_wrong_words(fashion: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "analyze", "photos:items=20", "--min-rating", "3"]) == 2
    assert "are for interactions" in capsys.readouterr().err
    assert main(["data", "analyze", "photos:items=x"]) == 2
    assert main(["data", "analyze", "fashion", "--columns", "id=a"]) == 2
    assert main(["data", "get", "photos"]) == 2
    assert "made up when it is loaded" in capsys.readouterr().err


def test_the_python_of_the_how_to_runs() -> None:
    text = (Path(__file__).parents[3] / "docs" / "how-to" / "photos.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(text.partition("```python\n")[2].partition("```")[0], names)
    assert names["pixels"].shape == (180, 3, 32, 32)
    assert names["has_texture"].sum() == 240
