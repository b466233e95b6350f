"""One door to every data set."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_archives import MOVIES

from recsec.data import Filters, load
from recsec.errors import ConfigError, DataError


def test_a_small_set_from_the_mirror(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSEC_MIRROR", str(small.parent))
    data = load("ml-1m")
    assert data.catalog.titles == list(MOVIES.values())
    assert [row.tolist() for row in data.sequences()] == [[1, 2, 3, 4, 5, 6]] * 6
    assert data.split().targets("test").tolist() == [6] * 6
    assert data.times_are_real
    assert "research use" in data.license
    assert load("ml-1m", source=small).fingerprint == data.fingerprint


def test_own_files_by_path(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("u,i\n" + "".join(f"{u},{i}\n" for u in range(5) for i in range(5)))
    data = load(path, columns={"user": "u", "item": "i"})
    assert (data.name, len(data.sequences()), len(data.catalog)) == ("log", 5, 5)
    assert data.license == ""


@pytest.mark.parametrize(
    ("name", "error"),
    [("ml-2m", ConfigError), ("no/such.csv", DataError), ("no.zip", DataError), ("a/b", DataError)],
)
def test_what_is_not_there(name: str, error: type[Exception], cache: Path) -> None:
    with pytest.raises(error):
        load(name)


def test_a_missing_set_says_how_to_get_it(cache: Path) -> None:
    with pytest.raises(DataError) as caught:
        load("ml-1m")
    assert caught.value.hint == "recsec data get ml-1m"


def test_filters_are_kept_with_the_data(small: Path) -> None:
    filters = Filters(min_rating=4, min_item=1, min_user=1, min_length=1)
    data = load("ml-1m", source=small, filters=filters)
    assert data.filters.min_rating == 4
    assert data.report.steps[0].rule == "rating below 4"
    assert data.interactions.table["rating"].min() == 4


REAL = {
    "ml-1m": (6040, 3416, 999_611, False),
    "ml-100k": (943, 1349, 99_287, True),
    "ml-latest-small": (610, 3650, 90_274, True),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.data(name)) for name in REAL]
)
def test_real_sets_have_their_known_sizes(name: str) -> None:
    data = load(name)
    sizes = (len(data.sequences()), len(data.catalog), len(data.interactions))
    assert (*sizes, data.times_are_real) == REAL[name]


@pytest.mark.data("ml-1m")
def test_movielens_1m_in_detail() -> None:
    data = load("ml-1m")
    lengths = data.sequences().lengths
    assert (lengths.min(), round(float(lengths.mean()), 1)) == (18, 165.5)
    catalog = data.catalog
    assert "Véronique" in catalog.title(int(catalog.index([1176])[0]))
    assert len(catalog.genre_names) == 18
    assert data.report.dropped == 598


@pytest.mark.data("s3rec-beauty")
def test_beauty_in_detail() -> None:
    data = load("beauty")
    assert (len(data.sequences()), len(data.catalog)) == (22_363, 12_101)
    assert data.report.dropped == 0
    assert data.catalog.external(data.sequences()[1]) == [6, 7, 8, 9, 10, 4, 11]
