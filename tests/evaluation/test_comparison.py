"""Side by side, with differences that were planted."""

import numpy as np
import pytest

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences, leave_one_out
from recsec.errors import DataError
from recsec.evaluation import Variant, compare, evaluate, taste_profiles
from recsec.rng import Streams

STREAMS = Streams(3)
ASKED = {"kids": np.array([1, 2])}


def last_first(histories, k):
    """Lists 30, 29, ... whatever the history."""
    return np.tile(np.arange(30, 30 - k, -1), (len(histories), 1)).clip(0)


def test_a_model_and_itself_do_not_change(ring, oracle) -> None:
    found = compare({"a": oracle, "b": oracle.top_k}, ring, histories=ASKED, streams=STREAMS)
    change = found.changes[0]
    assert (change.before, change.after) == (Variant("a"), Variant("b"))
    assert change.fidelity["agr@10"].value == 1
    assert all(row.metrics["hr@10"].value == 0 for row in change.groups)
    lists = found.histories[0].lists
    assert lists[Variant("a")].tolist() == lists[Variant("b")].tolist() == list(range(3, 13))


def test_a_worse_model_loses_for_all(ring, oracle) -> None:
    found = compare({"good": oracle, "bad": last_first}, ring, histories=ASKED, streams=STREAMS)
    everyone = found.changes[0].groups[0]
    assert everyone.group == "all users"
    hits = evaluate(last_first, ring).values["hr@10"].mean()
    assert everyone.metrics["hr@10"].value == pytest.approx(hits - 1)
    assert everyone.metrics["lose"].value == pytest.approx(1 - hits)
    assert everyone.metrics["gain"].value == 0
    assert found.quality[Variant("good")]["hr@1"].value == 1


def test_bias_brings_the_genres_of_the_history(ring) -> None:
    """Children's films (1..10) rise for a child although the model puts them last."""
    found = compare({"a": last_first}, ring, histories=ASKED, streams=STREAMS, genre_bias=1.0)
    side = found.histories[0]
    assert side.lists[Variant("a")].tolist() == list(range(30, 20, -1))
    assert set(side.lists[Variant("a", 1.0)]) == set(range(1, 11))
    assert side.shared[Variant("a"), Variant("a", 1.0)] == 0
    assert found.changes[0].after == Variant("a", 1.0)
    consistency = [found.quality[v]["genre_consistency@10"].value for v in side.lists]
    assert consistency[1] > consistency[0]


def test_without_bias_the_models_are_asked_for_no_more_than_depth(ring) -> None:
    asked = set()

    def answer(histories, k):
        asked.add(k)
        return last_first(histories, k)

    found = compare({"a": answer}, ring, histories=ASKED, streams=STREAMS, genre_bias=0.0, depth=5)
    assert asked == {5}
    assert found.changes == []
    assert "hr@10" not in found.quality[Variant("a")]


def test_another_catalog_is_refused(ring, oracle) -> None:
    other = leave_one_out(Sequences.from_lists(Catalog.from_ids(range(30)), [[1, 2, 3]]))
    with pytest.raises(DataError, match="not the same catalog"):
        compare({"a": oracle}, other, histories={}, streams=STREAMS)
    with pytest.raises(DataError, match="not the same catalog"):
        evaluate(oracle, other)


def test_profiles_fall_back_to_frequent_genres(ring) -> None:
    found = taste_profiles(ring.catalog, ring.train.counts, size=3)
    assert {profile.name for profile in found} == {"Animation", "Children's", "Drama", "Horror"}
    for profile in found:
        for item in profile.history:
            assert profile.genres[0] in ring.catalog.genres[item - 1]
    horror = next(profile for profile in found if profile.name == "Horror")
    counts = ring.train.counts[horror.history]
    assert (np.diff(counts) >= 0).all()  # the most popular last
    assert counts[-1] == ring.train.counts[11:21].max()


def test_named_profiles_prefer_items_with_more_of_their_genres() -> None:
    import polars as pl

    genres = [["Drama"], ["Drama", "Romance"], ["Animation"], ["Horror"], ["Action", "Sci-Fi"]]
    catalog = Catalog(
        pl.DataFrame({"id": range(5), "title": list("abcde"), "genres": genres, "year": [1990] * 5})
    )
    found = {p.name: p for p in taste_profiles(catalog, np.array([0, 9, 1, 1, 1, 1]))}
    assert set(found) == {"family", "thrills", "romance", "action"}
    assert found["romance"].history.tolist() == [1, 2]
    assert found["family"].genres == ("Animation",)


def test_no_genres_no_profiles() -> None:
    assert taste_profiles(Catalog.from_ids(range(3)), np.zeros(4, dtype=np.int64)) == []
