"""Parquet in an object store, through a loopback server that answers as S3 does."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from object_store import object_store

from recsec.cli.main import main
from recsec.data import load
from recsec.data.loading import load_as
from recsec.errors import DataError


def part(at: int) -> pl.DataFrame:
    rows = [(at * 10 + row // 6, row % 6 + 1, 100 * at + row) for row in range(60)]
    return pl.DataFrame(rows, schema=["user", "item", "time"], orient="row")


def parquet(table: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    table.write_parquet(file)
    return file.getvalue()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    objects = {f"log/part-{at}.parquet": parquet(part(at)) for at in range(3)}
    objects["one.parquet"] = parquet(part(0))
    objects["torn.parquet"] = objects["one.parquet"][:-40]
    objects["other.parquet"] = parquet(part(0).rename({"item": "thing"}))
    with object_store(objects) as address:
        yield address


@pytest.fixture(autouse=True)
def store(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "REGION": "x", "ALLOW_HTTP": "true"}
    for name, value in {**said, "ENDPOINT_URL": address}.items():
        monkeypatch.setenv(f"AWS_{name}", value)


@pytest.mark.parametrize(
    ("name", "parts"), [("log", range(3)), ("log/", range(3)), ("one.parquet", [0])]
)
def test_it_is_the_same_data_as_the_files(name: str, parts: range, tmp_path: Path) -> None:
    for at in parts:
        part(at).write_parquet(tmp_path / f"part-{at}.parquet")
    found = load(f"s3://shop/{name}")
    assert found.fingerprint == load(tmp_path).fingerprint
    assert found.origin is not None
    assert found.origin.name == f"s3://shop/{name}"
    assert load_as(found.origin.name, found.origin.reading).fingerprint == found.fingerprint


def test_a_command_takes_it_and_a_checkpoint_remembers_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tmp_path / "model")
    assert main(["train", "popularity", "--data", "s3://shop/log/", "--out", model]) == 0
    capsys.readouterr()
    assert main(["evaluate", "--model", model, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["data"] == "s3://shop/log/"
    assert "30 users" in found["protocol"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("none.parquet", "cannot read s3://shop/none.parquet: .*404"),
        ("none", "cannot read s3://shop/none: "),
        ("torn.parquet", "cannot read s3://shop/torn.parquet: "),
        ("log.csv", "s3://shop/log.csv is no Parquet file"),
        ("other.parquet", "s3://shop/other.parquet.*no column.*item"),
    ],
)
def test_what_is_wrong_is_said_of_the_address(name: str, found: str) -> None:
    with pytest.raises(DataError, match=found) as caught:
        load(f"s3://shop/{name}")
    assert caught.value.hint
    assert "recsec-fetched" not in str(caught.value)


def test_a_bucket_that_does_not_let_us_in() -> None:
    with pytest.raises(DataError, match="403") as caught:
        load("s3://closed/one.parquet")
    assert "AWS_ACCESS_KEY_ID" in str(caught.value.hint)
