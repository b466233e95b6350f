"""Made-up data: its sizes, its words, its files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsec.data import SyntheticConfig, generate, load, write_synthetic
from recsec.data.made_up import synthetic as module
from recsec.errors import ConfigError


@given(
    users=st.integers(1, 30),
    items=st.integers(20, 60),
    popularity=st.floats(0, 2),
    restart=st.floats(0.01, 1),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_any_size(users, items, popularity, restart, seed) -> None:
    config = SyntheticConfig(
        users=users, items=items, popularity=popularity, restart=restart, seed=seed
    )
    rows = generate(config).rows
    assert rows["user"].n_unique() == users
    assert rows.select("user", "item").n_unique() == rows.height
    assert rows["item"].min() >= 1
    assert rows["item"].max() <= items
    assert rows["rating"].is_between(1, 5).all()
    assert rows.equals(generate(config).rows)
    assert SyntheticConfig.parse(config.spec().partition(":")[2]) == config


def test_seeds_and_users_change_the_draw_not_the_law() -> None:
    few, many = (SyntheticConfig(users=users, items=40) for users in (50, 100))
    assert np.array_equal(module.plant(few).successors, module.plant(many).successors)
    other = SyntheticConfig(users=50, items=40, seed=1)
    assert not np.array_equal(module.plant(few).successors, module.plant(other).successors)


def test_rows_that_rejection_cannot_finish_are_drawn_exactly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = SyntheticConfig(users=2000, items=20, length=5, seed=2)
    usual = np.bincount(generate(config).rows["item"].to_numpy(), minlength=21)
    monkeypatch.setattr(module, "ROUNDS", 1)
    rare = np.bincount(generate(config).rows["item"].to_numpy(), minlength=21)
    assert usual.sum() == rare.sum()
    assert not np.array_equal(usual, rare)
    assert np.all(np.abs(usual - rare) < 6 * np.sqrt(2 * usual + 1))


def test_titles_genres_and_years() -> None:
    data = load("synthetic:users=200,items=1500,length=60")
    catalog = data.catalog
    assert len(set(catalog.titles)) == len(catalog)
    assert any(not title.isascii() for title in catalog.titles)
    assert all(1934 <= year <= 2024 for year in catalog.years[1:])
    assert all(
        title.endswith(f" ({year})")
        for title, year in zip(catalog.titles, catalog.years[1:], strict=True)
    )
    assert len(catalog.genre_names) == 8
    assert {len(names) for names in catalog.genres} == {1, 2, 3}
    assert "Children's" in catalog.genre_names


def test_it_says_that_it_is_made_up() -> None:
    data = load("synthetic")
    assert data.synthetic
    assert not data.times_are_real
    assert any("made-up" in note for note in data.report.notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("users", "expected key=value"),
        ("user=5", "user: extra inputs"),
        ("users=none", "users: input should be a valid integer"),
        ("users=0", "users: input should be greater"),
        ("items=40,length=20", "length=20 needs items >= 80"),
    ],
)
def test_settings_that_do_not_fit(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(f"synthetic:{text}")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_written_file_loads_as_the_same_interactions(tmp_path: Path, suffix: str) -> None:
    config = SyntheticConfig(users=40, items=40, seed=4)
    path = tmp_path / "new" / f"made{suffix}"
    rows = write_synthetic(config, path)
    assert rows == generate(config).rows.height
    from_file, by_name = load(path), load(config.spec())
    assert from_file.sequences().items.tolist() == by_name.sequences().items.tolist()
    assert not from_file.times_are_real
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_file_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_synthetic(SyntheticConfig(users=5, items=20), tmp_path / "made.csv")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match=r"ending in .csv or .parquet"):
        write_synthetic(SyntheticConfig(users=5, items=20), tmp_path / "made.xls")


def test_written_text_is_plain(tmp_path: Path) -> None:
    write_synthetic(SyntheticConfig(users=5, items=20), tmp_path / "made.csv")
    table = pl.read_csv(tmp_path / "made.csv")
    assert table.columns == ["user", "item", "rating", "time"]
    assert table["rating"].dtype == pl.Int64
