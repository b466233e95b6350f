"""``recsec data``: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small_archives import csv_members, pack

from recsec.cli.main import main

SMALL = "synthetic:users=60,items=40,seed=2"
FIGURES = {"lengths", "long-tail", "ratings", "genres", "years", "top", "matrix"}


@pytest.fixture
def latest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small archive of ``ml-latest-small`` and an empty cache."""
    monkeypatch.setenv("RECSEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RECSEC_MIRROR", raising=False)
    return pack(tmp_path / "small.zip", csv_members())


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_list_names_all_and_says_which_are_at_hand(
    latest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "get", "ml-latest-small", "--from", str(latest), "--json"]) == 0
    capsys.readouterr()
    assert main(["data", "list", "--json"]) == 0
    at_hand = {entry["name"]: entry["at_hand"] for entry in printed(capsys)["sets"]}
    names = ["ml-100k", "ml-1m", "ml-20m", "ml-25m", "ml-latest-small", "beauty", "yoochoose"]
    names += ["fashion", "deepfashion"]
    assert list(at_hand) == names
    assert [name for name in names if at_hand[name]] == ["ml-latest-small"]
    assert main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in [*names, "synthetic", "1,000,209"])
    assert max(map(len, out.splitlines())) <= 80


def test_get_prints_terms_and_how_it_was_checked(
    latest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "get", "ml-latest-small", "--from", str(latest)]
    assert main([*words, "--json"]) == 0
    receipt = printed(capsys)
    assert receipt["checked"] == "content"
    assert receipt["interactions"] == 36
    assert "GroupLens" in receipt["license"]
    assert Path(receipt["path"]).is_file()
    assert main(words[:3]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "members, columns and counts" in out
    assert "no commercial use" in out
    assert main(["data", "analyze", "ml-latest-small", "--json"]) == 0
    assert printed(capsys)["interactions"] == 36


def test_faults_exit_3_and_wrong_words_2(
    latest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.zip"
    cut.write_bytes(latest.read_bytes()[:100])
    assert main(["data", "get", "ml-latest-small", "--from", str(cut), "--json"]) == 3
    assert printed(capsys)["error"]["exit_code"] == 3
    assert main(["data", "get", "ml-latest-small", "--from", str(tmp_path / "no.zip")]) == 3
    assert main(["data", "analyze", "ml-1m"]) == 3
    assert "recsec data get ml-1m" in capsys.readouterr().err
    assert main(["data", "analyze", str(tmp_path / "no.csv")]) == 3
    assert main(["data", "analyze", "synthetic:user=3"]) == 2
    assert main(["data", "analyze", SMALL, "--columns", "user"]) == 2
    assert main(["data", "synthetic"]) == 2
    assert main(["data", "synthetic", "--out", str(tmp_path / "made.xls")]) == 2
    assert main(["data", "fetch"]) == 2


def test_analyze_prints_tables_that_fit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "analyze", SMALL]) == 0
    out = capsys.readouterr().out
    for words in (
        "made up",
        "users",
        "density",
        "What the filters dropped",
        "Top 20",
        "order only",
    ):
        assert words in out
    assert max(map(len, out.splitlines())) <= 80


def test_ids_as_long_as_a_uuid_keep_their_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [f"a5f09e63-45dd-b87d-a81a-a40a2b0b8c{n}" for n in range(10, 16)]
    path = tmp_path / "log.csv"
    rows = [f"{user},{item},{n}\n" for user in range(6) for n, item in enumerate(ids)]
    path.write_text("user,item,time\n" + "".join(rows))
    assert main(["data", "analyze", str(path)]) == 0
    out = capsys.readouterr().out
    assert all(out.count(item) == 1 for item in ids)
    assert "title" not in out
    assert max(map(len, out.splitlines())) <= 80


def test_analyze_json_is_flat_and_figures_are_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "analyze", SMALL, "--json", "--out", str(tmp_path)]) == 0
    summary = printed(capsys)
    assert summary["users"] == 60
    assert summary["synthetic"] is True
    assert not any(isinstance(value, dict) for value in summary.values())
    written = {path.stem: path for path in tmp_path.glob("*.png")}
    assert set(written) == FIGURES == {path.stem for path in tmp_path.glob("*.svg")}
    assert sorted(summary["figures"]) == sorted(map(str, tmp_path.iterdir()))
    for path in written.values():
        with Image.open(path) as image:
            assert len(set(image.convert("L").resize((64, 64)).tobytes())) > 3, path.name


def test_figures_of_clock_times_and_of_bare_sequences(latest: Path, tmp_path: Path) -> None:
    words = ["data", "analyze", "ml-latest-small", "--from", str(latest), "--quiet"]
    assert main([*words, "--out", str(tmp_path / "clock")]) == 0
    assert {path.stem for path in (tmp_path / "clock").iterdir()} == FIGURES | {"activity"}
    (tmp_path / "Toys.txt").write_text("".join(f"{user} 1 2 3 4 5\n" for user in range(1, 7)))
    words = ["data", "analyze", str(tmp_path / "Toys.txt"), "--quiet"]
    assert main([*words, "--out", str(tmp_path / "bare")]) == 0
    bare = {path.stem for path in (tmp_path / "bare").iterdir()}
    assert bare == FIGURES - {"ratings", "genres", "years"}


def test_equal_data_gives_equal_figures(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert main(["data", "analyze", SMALL, "--quiet", "--out", str(tmp_path / name)]) == 0
    for path in (tmp_path / "a").glob("*.svg"):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_own_columns_and_filters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.csv"
    rows = [f"{user},{item},{item % 5}\n" for user in range(6) for item in range(10)]
    path.write_text("who,what,stars\n" + "".join(rows))
    words = ["data", "analyze", str(path), "--columns", "user=who,item=what,rating=stars"]
    assert main([*words, "--min-rating", "3", "--min-user", "4", "--json"]) == 0
    summary = printed(capsys)
    assert (summary["items"], summary["interactions"]) == (4, 24)
    assert summary["dropped[rating below 3]"] == 36
    assert main([*words, "--min-item", "7"]) == 3
    assert "no interaction is left" in capsys.readouterr().err


def test_synthetic_writes_a_file_and_states_the_optimum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made.csv"
    words = ["data", "synthetic", "--users", "60", "--items", "40", "--seed", "2"]
    assert main([*words, "--out", str(out), "--json"]) == 0
    made = printed(capsys)
    assert made["name"] == SMALL
    assert 0.3 < made["best_hr@10"] < 1
    assert main(["data", "analyze", str(out), "--json"]) == 0
    from_file = printed(capsys)
    assert main(["data", "analyze", SMALL, "--json"]) == 0
    by_name = printed(capsys)
    same = ("users", "items", "interactions", "item_gini")
    assert [from_file[key] for key in same] == [by_name[key] for key in same]


def test_the_python_of_the_how_to_runs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "data.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(text.partition("```python\n")[2].partition("```")[0], names)
    assert names["lists"].shape == (256, 10)


@pytest.mark.parametrize(
    ("name", "code"),
    [("ml-9", 2), ("absent.csv", 3), ("shop/absent", 3), ("absent/", 3)],
)
@pytest.mark.parametrize(
    "words",
    [
        "data analyze DATA",
        "train markov --data DATA --out NEW/model",
        "train encoder --data DATA --out NEW/model",
        "evaluate --model callable:a:b --data DATA",
        "compare --model callable:a:b --model callable:c:d --data DATA",
        "recommend --model callable:a:b --data DATA",
        "extract --model callable:a:b --data DATA --out NEW/run",
    ],
)
def test_an_unknown_name_is_a_wrong_word_and_a_path_to_nothing_missing_data(
    words: str, name: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word.replace("DATA", name).replace("NEW", str(tmp_path)) for word in words.split()]
    assert main(given) == code
    assert name.rstrip("/") in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", ["train markov --data photos:items=50 --out NEW", "train encoder --data SET --out NEW"]
)
def test_data_of_the_other_kind_are_a_wrong_word(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"SET": SMALL, "NEW": str(tmp_path / "new")}
    assert main([names.get(word, word) for word in words.split()]) == 2
    assert "photos" in capsys.readouterr().err
