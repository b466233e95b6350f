"""``recsec compare``: side by side, as tables and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recsec.cli.main import main
from recsec.cli.sequential.compare import labels
from recsec.data import load


@pytest.fixture
def words(checkpoints: Path, small_data: str) -> list[str]:
    """Compare both checkpoints."""
    models = [word for name in ("markov", "popularity") for word in ("--model", checkpoints / name)]
    return ["compare", *map(str, models), "--data", small_data]


def run(words: list[str], capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert main([*words, "--json", "--quiet", *more]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_json_compares_both_models_with_and_without_bias(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(words, capsys)
    assert [(row["model"], row["genre_bias"]) for row in found["models"]] == [
        ("markov", 0.0),
        ("markov", 0.3),
        ("popularity", 0.0),
        ("popularity", 0.3),
    ]
    assert len(found["changes"]) == 4
    assert found["agr@10"] == found["changes"][0]["agr@10"]
    assert set(found["agr@10"]) == {"value", "low", "high", "n"}
    assert "protocol" in found


def test_the_change_is_the_difference_of_the_models(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(words, capsys)
    before, after = found["models"][0], found["models"][2]
    everyone = found["changes"][0]["groups"][0]
    step = after["hr@10"]["value"] - before["hr@10"]["value"]
    assert everyone["hr@10"]["value"] == pytest.approx(step)
    assert everyone["gain"]["value"] - everyone["lose"]["value"] == pytest.approx(step)


def test_four_profiles_and_the_histories_that_were_given(
    words: list[str], small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    split = load(small_data).split()
    ids = [str(split.catalog.ids[at]) for at in (3, 0)]
    user = str(split.full.users[2])
    found = run(words, capsys, "--history", ",".join(ids), "--user", user)
    sides = {side["name"]: side for side in found["histories"]}
    assert len(sides) == 6
    given = sides[f"history {','.join(ids)}"]
    assert [str(item["id"]) for item in given["history"]] == ids
    assert [str(item["id"]) for item in sides[f"user {user}"]["history"]] == [
        str(identifier) for identifier in split.catalog.external(split.history("test", 2))
    ]
    first, second = ({item["id"] for item in lists["items"]} for lists in given["lists"][::2])
    shared = next(
        pair["value"]
        for pair in given["shared"]
        if pair["a"]["genre_bias"] == pair["b"]["genre_bias"] == 0
    )
    assert shared == len(first & second) / 10


def test_tables_fit_80_columns_and_name_everything(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    seen = capsys.readouterr()
    assert max(map(len, seen.out.splitlines())) <= 80
    for text in ("Quality", "Fidelity", "For whom: markov to popularity", "After ", "in all lists"):
        assert text in seen.out
    assert "lists of markov" in seen.err


def test_a_model_and_itself_are_told_apart_and_agree(
    checkpoints: Path, small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", str(checkpoints / "markov")]
    found = run(["compare", *model, *model, "--data", small_data], capsys, "--genre-bias", "0")
    assert found["agr@10"]["value"] == found["agr@1"]["value"] == 1
    assert len(found["changes"]) == 1
    assert len({row["model"] for row in found["models"]}) == 2


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--user", "nobody"], 2, "no user 'nobody'"),
        (["--history", "999999"], 3, "999999"),
        (["--genre-bias", "1.5"], 2, "between 0 and 1"),
    ],
)
def test_wrong_words_are_named(
    words: list[str],
    more: list[str],
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*words, *more]) == code
    assert says in capsys.readouterr().err


def test_one_model_is_not_enough(
    checkpoints: Path, small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one = ["compare", "--model", str(checkpoints / "markov"), "--data", small_data]
    assert main(one) == 2
    assert "two models" in capsys.readouterr().err


def test_data_without_genres_has_no_profiles_and_no_bias(
    plain_data: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "first_shop.py").write_text(
        "def answer(histories, k):\n    return [['item 1', 'item 2'][:k] for _ in histories]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    model = ["--model", "callable:first_shop:answer"]
    assert main(["compare", *model, *model, "--data", plain_data, "--history", "item 3"]) == 0
    seen = capsys.readouterr()
    assert "no taste profiles" in seen.err
    assert "After history item 3" in seen.out


def test_labels_are_short_and_distinct() -> None:
    assert labels(["runs/a", "runs/b"]) == ["a", "b"]
    assert labels(["x/a", "y/a"]) == ["x/a", "y/a"]
    assert labels(["x/a", "x/a"]) == ["x/a", "x/a (2)"]
