"""``recsec evaluate``: tables, JSON, figures, and what it refuses."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsec.cli.main import main
from recsec.data import load
from recsec.evaluation import evaluate
from recsec.models import load as load_model


def words(model: object, data: str, *more: str) -> list[str]:
    return ["evaluate", "--model", str(model), "--data", data, *more]


def result(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_json_holds_flat_metrics_with_intervals_and_protocol(
    checkpoints: Path, small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(checkpoints / "markov", small_data, "--json")) == 0
    found = result(capsys)
    for name in ("hr", "ndcg", "mrr", "coverage"):
        for k in (1, 5, 10, 20):
            assert set(found[f"{name}@{k}"]) == {"value", "low", "high", "n"}
    assert found["hr@1"]["value"] <= found["hr@10"]["value"]
    assert found["hr@10"]["low"] <= found["hr@10"]["value"] <= found["hr@10"]["high"]
    assert "full ranking" in found["protocol"]
    assert "history excluded" in found["protocol"]
    assert found["synthetic"] is True
    assert {row["by"] for row in found["groups"]} == {"activity", "genre"}
    assert (
        sum(row["users"] for row in found["groups"] if row["by"] == "activity")
        == found["hr@10"]["n"]
    )


def test_the_numbers_are_those_of_the_library(
    checkpoints: Path, small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(words(checkpoints / "popularity", small_data, "--json"))
    found = result(capsys)
    library = evaluate(load_model(checkpoints / "popularity"), load(small_data).split())
    assert found["hr@10"]["value"] == pytest.approx(library.values["hr@10"].mean())
    assert found["ndcg@20"]["value"] == pytest.approx(library.values["ndcg@20"].mean())


def test_the_same_seed_gives_the_same_json(
    checkpoints: Path, small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = []
    for _ in range(2):
        main(words(checkpoints / "markov", small_data, "--json", "--users", "50", "--quiet"))
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert json.loads(outputs[0])["hr@10"]["n"] == 50
    main(words(checkpoints / "markov", small_data, "--json", "--users", "50", "--seed", "1"))
    assert capsys.readouterr().out != outputs[0]


def test_tables_fit_80_columns_and_end_with_the_protocol(
    checkpoints: Path, small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(checkpoints / "markov", small_data)) == 0
    seen = capsys.readouterr()
    lines = seen.out.rstrip().splitlines()
    assert max(map(len, lines)) <= 80
    for title in ("Ranking", "Lists of 10", "By activity", "By dominant genre"):
        assert any(line.startswith(title) for line in lines)
    assert "leave-one-out (last item held out)" in seen.out
    assert "the data is synthetic" in seen.err
    assert "\x1b" not in seen.out


def test_data_without_genres_says_what_is_left_out(
    plain_data: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also: the user's own callable is measured on its lists."""
    (tmp_path / "ring_shop.py").write_text(
        "def answer(histories, k):\n"
        "    starts = [int(h[-1].split()[1]) for h in histories]\n"
        "    return [[f'item {(s + j) % 12}' for j in range(1, 7)][:k] for s in starts]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    model = "callable:ring_shop:answer"
    assert main(words(model, plain_data, "--json", "--k", "5", "--figures", str(tmp_path))) == 0
    seen = capsys.readouterr()
    found = json.loads(seen.out)
    assert found["hr@1"]["value"] == 1
    assert "hr@10" not in found
    assert "only the first 5 places" in found["protocol"]
    assert found["left_out"]["genre_consistency@10"] == "the items have no genres"
    assert found["figures"] == []
    assert "no figures" in seen.err
    assert main(words(model, plain_data)) == 0
    assert "genre_consistency@10 is left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate", "--model", "MODEL", "--users", "10"],
        ["compare", "--model", "MODEL", "--model", "MODEL", "--users", "10"],
        ["recommend", "--model", "MODEL"],
        ["verify", "--suspect", "MODEL", "--key", "KEY", "--queries", "20"],
    ],
)
def test_columns_of_own_files_may_have_any_names(
    command: list[str],
    plain_data: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = Path(plain_data).read_text()
    renamed = tmp_path / "shop.csv"
    renamed.write_text(text.replace("user,item,time", "who,what,when"))
    columns = ["--columns", "user=who,item=what,time=when"]
    out = str(tmp_path / "model")
    assert main(["train", "markov", "--data", str(renamed), *columns, "--out", out]) == 0
    assert main(["verify", "keygen", "--out", str(tmp_path / "key")]) == 0
    names = {"MODEL": out, "KEY": str(tmp_path / "key")}
    monkeypatch.setattr(sys, "stdin", io.StringIO("popular\n"))
    given = [names.get(word, word) for word in command]
    capsys.readouterr()
    assert main([*given, "--data", str(renamed), *columns, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
    assert main([*given, "--data", str(renamed), "--json"]) == 3
    assert "--columns user=..,item=.." in capsys.readouterr().err


def test_figures_are_written_and_named(
    checkpoints: Path, small_data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "figures"
    assert main(words(checkpoints / "markov", small_data, "--json", "--figures", str(folder))) == 0
    found = result(capsys)
    assert [Path(path).name for path in found["figures"]] == [
        "genre-confusion.svg",
        "hr-by-genre.svg",
    ]
    for path in found["figures"]:
        text = Path(path).read_text()
        assert "<svg" in text
        assert "<title>" in text or "<dc:title>" in text
    shares = np.array(
        [
            [np.nan if cell is None else cell for cell in row]
            for row in found["genre_confusion"]["shares"]
        ]
    )
    known = ~np.isnan(shares).all(axis=1)
    assert shares[known].sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--model", "nowhere", "--data", "ml-nothing"], 2, "ml-nothing"),
        (["--model", "nowhere", "--data", "SMALL"], 3, "nowhere"),
        (["--model", "callable:no_such_module:f", "--data", "SMALL"], 3, "no_such_module"),
        (["--data", "SMALL"], 2, "model"),
        (["--model", "x", "--data", "SMALL", "--stage", "tomorrow"], 2, "tomorrow"),
        (["--model", "x", "--data", "SMALL", "--k", "0"], 2, "k"),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    more: list[str], code: int, says: str, small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [small_data if word == "SMALL" else word for word in more]
    assert main(["evaluate", *arguments]) == code
    seen = capsys.readouterr()
    assert "error:" in seen.err
    assert says in seen.err
    assert "Traceback" not in seen.err


def test_data_of_another_catalog_is_refused(
    checkpoints: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = "synthetic:users=120,items=70,length=12,seed=9"
    assert main(words(checkpoints / "markov", other)) == 3
    assert "not the same catalog" in capsys.readouterr().err


def test_who_of_unseen_people_is_served_worse_is_said_and_fitted_to(
    checkpoints, small_data, tmp_path, capsys
):
    words = ["evaluate", "--model", str(checkpoints / "markov"), "--data", small_data]
    people = tmp_path / "people.json"
    asks = ["--guard", "misinform", "--unseen", "40", "--people", str(people)]
    assert main([*words, *asks, "--json"]) == 0
    out = capsys.readouterr()
    found = json.loads(out.out)["unseen"]
    assert (found["worse"]["n"], found["worse_fitted"]["n"]) == (20, 20)
    assert "unseen people served worse" in out.err
    assert main([*words, "--guard", f"misinform:people={people}"]) == 0
    for wrong in (["--unseen", "40"], ["--guard", "misinform", "--people", "x"]):
        assert main([*words, *wrong]) == 2
    assert main([*words, "--guard", "misinform", "--unseen", "100"]) == 2
    assert main([*words, "--guard", "misinform:people=nowhere.json"]) == 2
