"""Tables that once were read wrongly, or made recsec fail, through the commands."""

from __future__ import annotations

import json
import random
import shlex
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from recsec.cli.main import main
from recsec.data import Catalog, load_photos
from recsec.errors import DataError
from recsec.traffic import read_log

START = 1_600_000_000
Reads = Callable[..., dict[str, Any]]


@pytest.fixture
def analyze(capsys: pytest.CaptureFixture[str]) -> Reads:
    """``recsec data analyze`` without filters; the error where it is not 0."""

    def run(path: Path, *words: str, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        whole = ["--min-item", "1", "--min-user", "1", "--min-length", "1", "--json", "--quiet"]
        photos = path.is_dir() and any(path.rglob("*.tif"))
        options = ["--json", "--quiet"] if photos else whole
        assert main(["data", "analyze", str(path), *options, *words]) == code
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found if code == 0 else found["error"]

    return run


def rows(users: int = 12, items: int = 8) -> list[tuple[int, int, int]]:
    """User, item and second, as a shop logs them."""
    draw = random.Random(5)
    return [
        (user, 1 + (user + step) % items, START + 4000 * step + draw.randrange(4000))
        for user in range(1, users + 1)
        for step in range(items)
    ]


def write(path: Path, header: str, lines: Sequence[object]) -> Path:
    path.write_text("\n".join([header, *map(str, lines)]) + "\n")
    return path


def joined(*values: object) -> str:
    return ",".join(map(str, values))


@pytest.mark.hostile(kind="tables", what="row names of R: one name fewer than fields")
def test_row_names_of_r(tmp_path: Path, analyze: Reads) -> None:
    lines = [f'"{n}",5,{joined(*row)}' for n, row in enumerate(rows(), start=1)]
    path = write(tmp_path / "log.csv", '"store","user","item","time"', lines)
    error = analyze(path, code=3)
    assert "line 2: found 5 fields" in error["message"]
    assert "row.names" in error["hint"]


@pytest.mark.hostile(kind="tables", what="a title with a comma that nobody quoted, column not read")
def test_a_comma_in_a_column_that_is_not_read(tmp_path: Path, analyze: Reads) -> None:
    lines = [joined(user, f"Title {item}", item, time) for user, item, time in rows()]
    lines[7] = "1,Lion, The 28,28,1600836124"
    path = write(tmp_path / "log.csv", "user,title,item,time", lines)
    assert "line 9: found 5 fields in '1,Lion, The 28" in analyze(path, code=3)["message"]
    found = analyze(path, "--drop-bad")
    assert (found["interactions"], found["first_day"]) == (len(lines) - 1, "2020-09-13")
    assert "rows left out because they do not fit: 1 (" in found["notes"][0]


@pytest.mark.hostile(kind="tables", what="an id with letters after a megabyte of numbers")
@pytest.mark.parametrize("first", [True, False])
def test_types_come_from_the_whole_column(tmp_path: Path, analyze: Reads, first: bool) -> None:
    lines = [joined(n // 12, 1 + n % 30, START + n) for n in range(43_200)]
    lines.insert(0 if first else len(lines), f"4321,B00YQ6X8EO,{START}")
    found = analyze(write(tmp_path / "log.csv", "user,item,time", lines))
    assert (found["users"], found["items"], found["interactions"]) == (3601, 31, 43_201)


@pytest.mark.hostile(kind="tables", what="ids beyond 2**53 that end in .0")
def test_ids_beyond_floats_stay_apart(tmp_path: Path, analyze: Reads) -> None:
    lines = [joined(f"{2**53 + user}.0", item, time) for user, item, time in rows()]
    found = analyze(write(tmp_path / "log.csv", "user,item,time", lines))
    assert found["users"] == 12
    floats = pl.DataFrame({"user": [float(2**53 + 1)], "item": [1], "time": [START]})
    floats.write_parquet(tmp_path / "log.parquet")
    assert "below 2**53" in analyze(tmp_path / "log.parquet", code=3)["message"]


@pytest.mark.hostile(kind="tables", what="rows without a user, in every spelling of nothing")
@pytest.mark.parametrize("spelling", ["", "nan", "NaN", "NULL", "null", "None", "\\N", "NA"])
def test_rows_without_a_user(tmp_path: Path, analyze: Reads, spelling: str) -> None:
    lines = [joined(spelling if time % 5 == 0 else user, item, time) for user, item, time in rows()]
    kept = sum(time % 5 != 0 for _, _, time in rows())
    path = write(tmp_path / "log.csv", "user,item,time", lines)
    assert "column 'user': found" in analyze(path, code=3)["message"]
    found = analyze(path, "--drop-bad")
    assert (found["users"], found["interactions"]) == (12, kept)


@pytest.mark.hostile(kind="tables", what="NaN as a user in a Parquet column of floats")
def test_nan_as_a_user(tmp_path: Path, analyze: Reads) -> None:
    users = [float("nan") if user == 3 else float(user) for user, _, _ in rows()]
    frame = pl.DataFrame(rows(), schema=["user", "item", "time"], orient="row")
    frame.with_columns(pl.Series("user", users)).write_parquet(tmp_path / "log.parquet")
    assert (
        "row 17, column 'user': found nan" in analyze(tmp_path / "log.parquet", code=3)["message"]
    )
    assert analyze(tmp_path / "log.parquet", "--drop-bad")["users"] == 11


@pytest.mark.hostile(kind="tables", what="ratings that are empty, null or NaN")
@pytest.mark.parametrize("missing", ["", "NaN", "null"])
def test_rows_without_a_rating(tmp_path: Path, analyze: Reads, missing: str) -> None:
    lines = [joined(user, item, missing if item == 2 else 3, time) for user, item, time in rows()]
    found = analyze(write(tmp_path / "log.csv", "user,item,rating,time", lines))
    assert (found["interactions"], found["rating_mean"]) == (len(lines), 3)
    assert not any(key.startswith("rating_share[nan") for key in found)


@pytest.mark.hostile(kind="tables", what="times in ms, us and ns")
@pytest.mark.parametrize("per", [1, 10**3, 10**6, 10**9])
def test_units_of_time(tmp_path: Path, analyze: Reads, per: int) -> None:
    lines = [joined(user, item, time * per) for user, item, time in rows()]
    found = analyze(write(tmp_path / "log.csv", "user,item,time", lines))
    assert (found["first_day"], found["times"]) == ("2020-09-13", "clock")


@pytest.mark.hostile(kind="tables", what="one time in milliseconds among seconds")
def test_one_time_in_milliseconds(tmp_path: Path, analyze: Reads) -> None:
    lines = [joined(*row) for row in rows()]
    lines[9] += "000"
    path = write(tmp_path / "log.csv", "user,item,time", lines)
    error = analyze(path, code=3)["message"]
    assert f"line 11, column 'time': found {rows()[9][2]}000, expected a time in seconds" in error


@pytest.mark.hostile(kind="tables", what="dates that may begin with the day or the month")
def test_days_and_months(tmp_path: Path, analyze: Reads) -> None:
    lines = [f"{user};{item};0{item}/02/2020" for user, item, _ in rows()]
    path = write(tmp_path / "log.csv", "user;item;time", lines)
    error = analyze(path, code=3)
    assert "may begin with the day or with the month" in error["message"]
    assert error["hint"] == "--time-format %d/%m/%Y or --time-format %m/%d/%Y"
    assert analyze(path, "--time-format", "%d/%m/%Y")["last_day"] == "2020-02-08"
    assert analyze(path, "--time-format", "%m/%d/%Y")["last_day"] == "2020-08-02"
    assert "--sep" in analyze(path, "--sep", "ab", code=2)["message"]


def test_the_next_step_after_training_reads_the_same_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{user}:{item}:0{item}/02/2020" for user, item, _ in rows()]
    path = write(tmp_path / "log.csv", "who:item:time", [*lines, ":1:01/02/2020"])
    words = ["--sep", ":", "--time-format", "%d/%m/%Y", "--drop-bad", "--columns", "user=who"]
    train = ["train", "popularity", "--data", str(path), "--out", str(tmp_path / "m")]
    assert main([*train, *words]) == 0
    shown = capsys.readouterr()
    assert "rows left out because they do not fit: 1" in shown.err
    step = shlex.split((shown.out + shown.err).split("next: ")[-1].splitlines()[0])
    assert main(step[1:]) == 0


@pytest.mark.hostile(kind="logs", what="accounts, calls, parents and times of other types")
@pytest.mark.parametrize(
    "columns",
    [
        {"account": [0, 1, 2]},
        {"account": [0.0, 1.0, 2.0]},
        {"time": [datetime(2020, 9, 1, 0, 0, second) for second in range(3)]},
        {"call": [0, 1, 2], "parent": [None, 0.0, None]},
        {"answer": [[1.0, 2.0], [], [3.0]]},
    ],
)
def test_query_logs_with_other_types(tmp_path: Path, columns: dict[str, list[Any]]) -> None:
    catalog = Catalog.from_ids([1, 2, 3])
    plain = {"account": ["0", "1", "2"], "items": [[1], [2], [3]], "answer": [[1, 2], [], [3]]}
    frame = pl.DataFrame(plain | columns)
    for suffix, save in (("parquet", frame.write_parquet), ("jsonl", frame.write_ndjson)):
        save(tmp_path / f"log.{suffix}")
        log = read_log(tmp_path / f"log.{suffix}", catalog)
        assert log.calls.account == ["0", "1", "2"]
        assert log.calls.answers.tolist() == [[1, 2], [0, 0], [3, 0]]
        assert (log.times is not None) == ("time" in columns)
        if "parent" in columns:
            assert log.parents.tolist() == [-1, 0, -1]


@pytest.mark.hostile(kind="logs", what="columns of a log that hold something else")
@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"time": ["soon"]}, "column 'time' is of type String, expected times"),
        ({"call": ["first"]}, "column 'call' is of type String, expected whole numbers"),
        ({"call": [0.5]}, "column 'call': found 0.5, expected a whole number"),
        ({"k": [[1]]}, "column 'k' is of type List"),
        ({"account": [[1]]}, "column 'account' is of type List"),
        ({"items": [[1.5]]}, "column 'items': found"),
        ({"time": ["2020-09-01T00:00:00"]}, "column 'time' is of type String, expected times"),
        ({"call": ["0"]}, "column 'call' is of type String, expected whole numbers"),
        ({"call": [0], "parent": [float("nan")]}, "row 1, column 'parent': found nan, expected"),
    ],
)
def test_query_logs_that_do_not_fit(
    tmp_path: Path, columns: dict[str, list[Any]], said: str
) -> None:
    pl.DataFrame({"account": ["a"], "items": [[1]]} | columns).write_parquet(tmp_path / "l.parquet")
    with pytest.raises(DataError) as caught:
        read_log(tmp_path / "l.parquet", Catalog.from_ids([1, 2, 3]))
    assert said in caught.value.message


@pytest.mark.hostile(kind="photos", what="32-bit integer and floating-point images")
@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_photos_of_32_bits(
    tmp_path: Path, analyze: Reads, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSEC_CACHE", str(tmp_path / "cache"))
    draw = np.random.default_rng(3)
    shop = tmp_path / "shop"
    shop.mkdir()
    for number in range(5):
        pixels = draw.integers(0, 256, (8, 8)).astype(kind)
        Image.fromarray(pixels).save(shop / f"{number}.tif")
    write(shop / "labels.csv", "id,category", [f"{number},Hat" for number in range(5)])
    found = analyze(shop)
    assert (found["photos"], found["skipped[exact]"]) == (5, 0)


@pytest.mark.hostile(kind="photos", what="names that differ in Unicode form, case, slashes, ./")
def test_names_that_look_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSEC_CACHE", str(tmp_path / "cache"))
    shop = tmp_path / "shop"
    (shop / "Img").mkdir(parents=True)
    for number, name in enumerate(["cape\u0301.PNG", "b.png", "c.png", "d.png"]):
        Image.new("RGB", (8, 8), (40 * number, 9, 9)).save(shop / "Img" / name)
    listed = ["img/cap\u00e9.png", ".\\Img\\b.png", "./Img//c.png", "Img/other.png"]
    write(shop / "labels.csv", "image,category", [f"{name},Hat" for name in listed])
    photos = load_photos(str(shop))
    assert len(photos) == 3
    (fault,) = photos.report.faults
    assert fault[0] == "Img/other.png"
    assert "the 4 images are called like 'Img/b.png'" in fault[1]
    write(shop / "labels.csv", "image,category", ["no/such.png,Hat"])
    with pytest.raises(DataError, match=r"names 'no/such.png', the 4 images are called like"):
        load_photos(str(shop))


@pytest.mark.parametrize("guarded", [False, True])
def test_attacks_read_the_same_table_as_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], guarded: bool
) -> None:
    lines = [
        f"{user}:{(3 * user + day) % 30}:{day:02}/02/2020"
        for user in range(30)
        for day in range(1, 9)
    ]
    path = write(tmp_path / "log.csv", "who:item:time", [*lines, ":1:01/02/2020"])
    words = ["--sep", ":", "--time-format", "%d/%m/%Y", "--drop-bad", "--columns", "user=who"]
    table = ["--data", str(path), *words]
    assert main(["train", "markov", "--out", str(tmp_path / "m"), *table, "-q"]) == 0
    attack = ["--policy", "random", "--calls", "60", "--set", "length=10", "--twins", "0"]
    attack += ["--surrogate", "meanpool", "--set", "surrogate_settings.epochs=1", "--json"]
    attack += ["--model", str(tmp_path / "m"), "--out", str(tmp_path / "run")]
    attack += ["--guard", "shuffle"] if guarded else []
    assert main(["extract", *table, *attack]) == 0, capsys.readouterr().err
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert "rows left out because they do not fit: 1" in report["extraction"]["data"]["notes"][0]
    shown = report["reproduce"]["plan"]["target"]
    assert (shown["sep"], shown["time_format"], shown["drop_bad"]) == (":", "%d/%m/%Y", True)


@pytest.mark.parametrize("name", ["ml-1m", "synthetic:users=30,items=20"])
@pytest.mark.parametrize("words", [["--sep", ";"], ["--columns", "user=who"], ["--drop-bad"]])
def test_what_is_said_about_a_known_table_is_refused(
    name: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["train", "popularity", "--data", name, "--out", str(tmp_path / "m"), *words]
    assert main(train) == 2
    assert f"{name} has a table of its own" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
