"""Checkpoint folders with changed bytes: they load, or a RecsecError says what is wrong."""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import polars as pl
import pytest
from hypothesis import strategies as st

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences, leave_one_out
from recsec.errors import RecsecError
from recsec.models import Training, load, load_encoder, train

EXAMPLES = 40
SETTINGS: dict[str, dict[str, Any]] = {
    "popularity": {},
    "markov": {},
    "meanpool": {"epochs": 0, "embedding_dim": 4},
    "sasrec": {"epochs": 0, "embedding_dim": 4, "blocks": 1, "max_length": 8},
    "bert4rec": {"epochs": 0, "embedding_dim": 4, "blocks": 1, "max_length": 8},
    "narm": {"epochs": 0, "embedding_dim": 4, "hidden_dim": 4, "max_length": 8},
}
HISTORIES = np.array([[1, 2, 0], [0, 0, 0]])

bounded = hypothesis.settings(
    max_examples=EXAMPLES,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([0, -1, 10**9, 10**30, "nan", "../..", "markov", [], {}]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=4,
)


def unseal(folder: Path) -> None:
    """Take the check sum away, as in a checkpoint of others: what is behind it is tried."""
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes().replace(b"recsec-sha256:", b"nothing-sha25:"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small checkpoint of each architecture."""
    folder = tmp_path_factory.mktemp("corpus")
    catalog = Catalog.from_ids([f"item {number}" for number in range(1, 13)])
    rows = [[(user + step) % 12 + 1 for step in range(6)] for user in range(12)]
    split = leave_one_out(Sequences.from_lists(catalog, rows))
    from recsec.registry import registry

    for name, settings in SETTINGS.items():
        config = registry("models").get(name).config_class(**settings)
        train(name, split, config, training=Training(out=folder / name, device="cpu"))
        unseal(folder / name)
    return folder


@pytest.fixture(scope="module")
def photo_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint of an encoder."""
    from recsec.models import Encoder, EncoderConfig, save_encoder

    folder = tmp_path_factory.mktemp("photos") / "encoder"
    config = EncoderConfig(size=16, stem=2, widths=(2, 2))
    items = pl.DataFrame({"id": ["a"], "title": ["A"], "category": ["x"]})
    save_encoder(Encoder(config, ("x", "y"), {"color": ("red",)}), folder, {}, items=items)
    unseal(folder)
    return folder


def survives(source: Path, folder: Path, change: Callable[[Path], object]) -> None:
    """Change a copy of a checkpoint and open it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    change(folder)
    with contextlib.suppress(RecsecError):
        model = load(folder)
        model.top_k(HISTORIES, 3)
        model.recommend([model.catalog.external(np.array([1]))], 3)


def put(value: Any, path: list[str], new: Any) -> Any:
    """``value`` with ``new`` at a path of keys."""
    if not path:
        return new
    return {**value, path[0]: put(value.get(path[0], {}), path[1:], new)}


def places(value: Any, path: tuple[str, ...] = ()) -> list[list[str]]:
    """Paths to everything in nested dictionaries."""
    found = [list(path)]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    return found


def rewrite(folder: Path, data: st.DataObject) -> None:
    """One value of ``config.json`` becomes another."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    path = data.draw(st.sampled_from(places(config)))
    file.write_text(json.dumps(put(config, path, data.draw(any_json))))


def damage(file: Path, data: st.DataObject, *, within: int | None = None) -> None:
    """Some bytes of a file become others, or it ends early."""
    content = bytearray(file.read_bytes())
    last = min(len(content), within or len(content)) - 1
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, last))] = data.draw(st.integers(0, 255))
    keep = data.draw(st.sampled_from([len(content)] * 3 + [data.draw(st.integers(0, last))]))
    file.write_bytes(bytes(content[:keep]))


def header_of(file: Path) -> tuple[dict[str, Any], bytes]:
    """The table of tensors of a safetensors file, and the bytes behind it."""
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def retable(file: Path, data: st.DataObject) -> None:
    """One value of the table of tensors becomes another."""
    table, rest = header_of(file)
    path = data.draw(st.sampled_from(places(table)))
    new = data.draw(
        any_json | st.sampled_from(["F64", "I64", "BOOL", "F8_E4M3", [1], [2, 2], [0, 8], [-4, 0]])
    )
    text = json.dumps(put(table, path, new)).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + rest)


def swap_table(folder: Path, data: st.DataObject) -> None:
    """The items become a table of other columns, types or rows."""
    file = folder / "items.parquet"
    table = pl.read_parquet(file)
    how = data.draw(st.sampled_from(["drop", "null", "cast", "fewer", "none", "more", "twice"]))
    column = data.draw(st.sampled_from(table.columns))
    if how == "drop":
        table = table.drop(column)
    if how == "null":
        table = table.with_columns(pl.lit(None).alias(column))
    if how == "cast":
        kinds = st.sampled_from([pl.Float64, pl.Int8, pl.Binary, pl.Date, pl.List(pl.Int8)])
        table = table.with_columns(pl.lit(None, dtype=data.draw(kinds)).alias(column))
    if how == "fewer":
        table = table.head(data.draw(st.integers(0, 11)))
    if how == "none":
        table = table.head(0)
    if how == "more":
        table = pl.concat([table, table.with_columns(pl.col("id") + "x")])
    if how == "twice":
        table = table.with_columns(pl.lit("same").alias("id"))
    table.write_parquet(file)


WAYS: dict[str, Callable[[Path, st.DataObject], None]] = {
    "values of config.json": rewrite,
    "bytes of config.json": lambda folder, data: damage(folder / "config.json", data),
    "bytes of items.parquet": lambda folder, data: damage(folder / "items.parquet", data),
    "columns and rows of items.parquet": swap_table,
    "the tensor table of model.safetensors": lambda folder, data: retable(
        folder / "model.safetensors", data
    ),
    "bytes of model.safetensors": lambda folder, data: damage(
        folder / "model.safetensors", data, within=400
    ),
}


@pytest.mark.hostile(kind="checkpoints", what="config, items or tensors of a recommender, changed")
@pytest.mark.parametrize("way", WAYS)
@bounded
@hypothesis.given(data=st.data())
def test_a_changed_recommender_loads_or_is_refused(
    corpus: Path, tmp_path: Path, way: str, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(SETTINGS)))
    survives(corpus / name, tmp_path / "changed", lambda folder: WAYS[way](folder, data))


@pytest.mark.hostile(kind="checkpoints", what="config or tensors of an encoder, changed")
@pytest.mark.parametrize("way", [way for way in WAYS if "items" not in way])
@bounded
@hypothesis.given(data=st.data())
def test_a_changed_encoder_loads_or_is_refused(
    photo_corpus: Path, tmp_path: Path, way: str, data: st.DataObject
) -> None:
    folder = tmp_path / "changed"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(photo_corpus, folder)
    WAYS[way](folder, data)
    with contextlib.suppress(RecsecError):
        load_encoder(folder)
