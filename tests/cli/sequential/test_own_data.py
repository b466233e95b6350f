"""A checkpoint remembers its data: ``--data`` may be left out, and what is wrong then is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_plan import AUDIT

from recsec import open_data
from recsec.cli.main import main
from recsec.data import load
from recsec.errors import DataError
from recsec.models import recall

TINY = (
    "--twins 0 --calls 40 --surrogate meanpool --set length=5 --set sessions=4 "
    "--set surrogate_settings.embedding_dim=8 --set surrogate_settings.epochs=1 --device cpu"
)
SAID = "--columns user=who --catalog items.csv --filters min_item=2,min_user=3"
PLAN = f"""[target]
model = "model"
twins = 0
{AUDIT}"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table, a catalog, and a checkpoint that was trained on them with filters of its own."""
    monkeypatch.chdir(tmp_path)
    rows = [
        f"{user},{(user * 7 + step) % 40 + 1},{step}" for user in range(60) for step in range(8)
    ]
    (tmp_path / "shop.csv").write_text("\n".join(["who,item,time", *rows, "60,99,0", "60,1,1"]))
    items = [f"{item},Thing {item},Red|Big,{1950 + item}" for item in range(1, 40)]
    (tmp_path / "items.csv").write_text("\n".join(["item,title,genres,year", *items]) + "\n")
    assert main(["train", "markov", "--data", "shop.csv", *SAID.split(), "--out", "model"]) == 0
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], words: str, *, code: int = 0) -> dict[str, object]:
    capsys.readouterr()
    assert main([*words.split(), "--json"]) == code
    return dict(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    "words",
    [
        "evaluate --model MODEL",
        "compare --model MODEL --model MODEL --genre-bias 0 --users 20",
        "target check MODEL",
        "data traffic --model MODEL --out NEW --users 3",
        "detect fit --model MODEL --out NEW --detector off-list --queries 6",
        f"extract --model MODEL --out NEW {TINY}",
    ],
)
def test_data_may_be_left_out(words: str, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "elsewhere").mkdir()
    monkeypatch.chdir(shop / "elsewhere")
    assert main(words.replace("MODEL", "../model").split()) == 0


def test_the_same_numbers_as_with_data(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "--data shop.csv --columns user=who --catalog items.csv"
    short = answer(capsys, "evaluate --model model")
    long = answer(capsys, f"evaluate --model model {words} --filters min_item=2,min_user=3")
    assert short.pop("data") == str(shop / "shop.csv")
    assert long.pop("data") == "shop.csv"
    assert short == long


def test_a_plan_without_data(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "plan.toml").write_text(PLAN)
    assert answer(capsys, "audit plan.toml --out run")["verdict"]
    report = json.loads((shop / "run" / "report.json").read_text())
    assert report["extraction"]["data"]["items"] == 40
    (shop / "shop.csv").write_text((shop / "shop.csv").read_text() + "\n7,3,99")
    assert main(["audit", "plan.toml", "--out", "new"]) == 3
    assert "changed since model was trained on it" in capsys.readouterr().err


def test_recommend_counts_on_its_own_data(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("popular 2\n"))
    found = answer(capsys, "recommend --model model")
    assert [item["title"] for item in found["items"]] != []  # type: ignore[attr-defined]
    assert "counts are unknown" not in str(found["message"])


@pytest.mark.hint("--data {} takes it as it is now; or bring back what it was")
@pytest.mark.hint("--data NAME says where the data are now")
def test_changed_or_gone_data_are_refused(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = (shop / "shop.csv").read_text()
    (shop / "shop.csv").write_text(kept + "\n7,3,99")
    assert main(["evaluate", "--model", "model"]) == 3
    said = capsys.readouterr().err
    assert "changed since model was trained on it" in said
    hint = said.partition("next: ")[2].partition(" takes it")[0].split()
    assert main(["evaluate", "--model", "model", *hint, "--columns", "user=who"]) == 0
    (shop / "shop.csv").unlink()
    assert main(["evaluate", "--model", "model"]) == 3
    assert "is not there any more" in capsys.readouterr().err
    (shop / "moved.csv").write_text(kept)
    words = ["--data", "moved.csv", "--columns", "user=who", "--filters", "min_item=2,min_user=3"]
    assert main(["evaluate", "--model", "model", *words]) == 0
    (shop / "shop.csv").write_text(kept)
    (shop / "items.csv").unlink()
    assert main(["evaluate", "--model", "model"]) == 3
    assert "items.csv, which is not there any more" in capsys.readouterr().err


@pytest.mark.hint("--data NAME says on which data it was trained")
@pytest.mark.hint("name the data by --data; training again mends the file")
@pytest.mark.hint("add --data NAME")
def test_what_remembers_nothing_is_told_so(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "model" / "data.json").unlink()
    assert main(["evaluate", "--model", "model"]) == 2
    assert "does not remember its data" in capsys.readouterr().err
    assert main(["evaluate", "--model", "callable:shop:recommend"]) == 2
    assert "needs --data" in capsys.readouterr().err
    (shop / "model" / "data.json").write_text("{}")
    assert main(["evaluate", "--model", "model"]) == 3
    assert "is damaged" in capsys.readouterr().err
    words = f"--data shop.csv {SAID}".split()
    assert main(["evaluate", "--model", "model", *words]) == 0
    assert main(["train", "markov", "--out", "model", *words]) == 0
    assert main(["evaluate", "--model", "model"]) == 0


def test_options_about_data_need_data(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--model", "model", "--filters", "min_item=1"]) == 2
    assert "--filters is about --data, which is left out" in capsys.readouterr().err
    assert main(["evaluate", "--model", "model", "--data", "shop.csv", "--filters", "a=1"]) == 2
    assert "--filters: a: extra inputs are not permitted" in capsys.readouterr().err


def test_a_catalog_names_the_items(shop: Path) -> None:
    told = recall(shop / "model")
    assert told is not None
    catalog = told.load(whose=shop).catalog
    assert catalog.title(1) == "Thing 1"
    assert catalog.genres[0] == ["Red", "Big"]
    assert catalog.years[1] == 1951
    assert catalog.title(40) == "40"
    few = {"min_item": 1, "min_user": 1, "min_length": 1}
    found = open_data("shop.csv", columns={"user": "who"}, catalog="items.csv", filters=few)
    assert found.report.undescribed == (
        "items of the data that the catalog does not describe: 2 of 41",
    )


def test_a_catalog_of_other_items_is_refused(shop: Path) -> None:
    (shop / "other.csv").write_text("id,title\n1000,A\n")
    with pytest.raises(DataError, match="describes none of the 41 items"):
        load("shop.csv", columns={"user": "who"}, catalog="other.csv")
    (shop / "text.csv").write_text("id,title\na1,A\n")
    with pytest.raises(DataError, match=r"ids of text\.csv are text"):
        load("shop.csv", columns={"user": "who"}, catalog="text.csv")
