"""Leave-one-out on recommenders whose answers are known."""

import numpy as np
import pytest

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences, leave_one_out
from recsec.errors import TargetError
from recsec.evaluation import evaluate
from recsec.rng import Streams

RNG = Streams(5)


def test_an_oracle_is_always_right_at_one(ring, oracle) -> None:
    """Guards against ids that are off by one anywhere between scores and lists."""
    for stage in ("valid", "test"):
        result = evaluate(oracle, ring, stage=stage, batch=7)
        assert result.ranks.tolist() == [1] * 40
        assert (result.lists[:, 0] == ring.targets(stage)).all()
        found = result.estimates(RNG.numpy("a"))
        assert found["hr@1"].value == found["ndcg@20"].value == found["mrr@10"].value == 1
        assert found["hr@1"].n == 40


def test_an_answerer_gives_the_same_as_its_recommender(ring, oracle) -> None:
    lists_only = evaluate(lambda h, k: oracle.top_k(h, k), ring)
    exact = evaluate(oracle, ring)
    assert (lists_only.ranks == exact.ranks).all()
    assert (lists_only.lists == exact.lists).all()
    assert "full ranking of 30 items" in exact.protocol
    assert "first 20 places" in lists_only.protocol


def test_beyond_the_list_is_a_miss_for_an_answerer_only(ring, rule) -> None:
    items = 30
    last = rule(ring.catalog, lambda h: -abs(next_step(h, items) - 24))
    exact = evaluate(last, ring, depth=5)
    listed = evaluate(last.top_k, ring, depth=5)
    assert (exact.ranks > 6).all()
    assert listed.ranks.tolist() == [6] * 40
    assert listed.estimates(RNG.numpy("a"))["hr@5"].value == 0
    assert "hr@10" not in listed.values


def next_step(histories, items):
    newest = histories[np.arange(len(histories)), (histories > 0).sum(axis=1) - 1]
    return (np.arange(items + 1) - newest[:, None] - 1) % items


def test_random_scores_hit_about_k_of_n(rule) -> None:
    rng = np.random.default_rng(1)
    catalog = Catalog.from_ids(range(100))
    rows = [rng.permutation(100)[:5] + 1 for _ in range(1500)]
    split = leave_one_out(Sequences.from_lists(catalog, rows))
    noise = rule(catalog, lambda h: rng.random((len(h), 101)))
    hr = evaluate(noise, split).estimates(RNG.numpy("a"))["hr@10"]
    assert hr.low <= 10 / 96 <= hr.high  # four history items are excluded


def test_constant_scores_are_worth_nothing(ring, rule) -> None:
    flat = rule(ring.catalog, lambda h: np.zeros((len(h), 31)))
    assert evaluate(flat, ring).values["hr@5"].sum() == 0


def test_a_held_out_item_of_the_own_history_is_a_counted_miss(rule) -> None:
    catalog = Catalog.from_ids(range(5))
    split = leave_one_out(Sequences.from_lists(catalog, [[1, 2, 1], [1, 2, 3]]))
    model = rule(catalog, lambda h: np.tile([0, 9, 1, 5, 2, 1], (len(h), 1)))
    result = evaluate(model, split, depth=5)
    assert result.ranks.tolist() == [6, 1]
    assert "1 held-out items are in the user's own history" in result.protocol


def test_some_users_only(ring, oracle) -> None:
    result = evaluate(oracle, ring, users=np.array([3, 9]))
    assert result.ranks.tolist() == [1, 1]
    assert result.targets.tolist() == ring.targets("test")[[3, 9]].tolist()


def test_wrong_number_of_lists_is_named(ring) -> None:
    with pytest.raises(TargetError, match="asked for 40 lists"):
        evaluate(lambda h, k: np.ones((3, k), dtype=np.int64), ring)


def test_planted_genres_years_and_crossing(ring, rule) -> None:
    """A recommender of horror (items 11..20, from 1980) crosses for every child."""
    horror = rule(ring.catalog, lambda h: np.tile(abs(np.arange(31) - 15.5) < 5, (len(h), 1)))
    result = evaluate(horror, ring, depth=10)
    children = (np.isin(np.arange(40) % 30, range(8))).nonzero()[0]
    whole = [u for u in children if (ring.history("test", int(u)) <= 10).all()]
    values = result.values
    assert values["children_to_adult@10"][whole].tolist() == [1] * len(whole)
    assert values["genre_consistency@10"][whole].tolist() == [0] * len(whole)
    assert values["year_shift@10"][whole].tolist() == [10] * len(whole)
    drama = [u for u in range(40) if (ring.history("test", u) > 20).all()]
    assert np.isnan(values["children_to_adult@10"][drama]).all()


def test_a_list_like_the_history_is_consistent(ring, oracle) -> None:
    result = evaluate(oracle, ring)
    user = 0  # items 1, 2, 3; the first ten recommended are 4..13
    assert result.values["genre_consistency@10"][user] == pytest.approx(2 / 3)
    assert result.values["genre_similarity@10"][user] == pytest.approx(
        2 * (7 / 17) / (2 * 1 / 2 + 3 / 17)
    )


def test_popularity_bias_against_a_known_history() -> None:
    """Items 1 and 2 are in every train history; item 5 never is."""
    catalog = Catalog.from_ids(range(5))
    rows = [[1, 2, 3, 4], [1, 2, 4, 3], [2, 1, 3, 4], [2, 1, 4, 3]]
    split = leave_one_out(Sequences.from_lists(catalog, rows))
    result = evaluate(lambda h, k: np.full((len(h), k), 5) * (np.arange(k) == 0), split)
    # percentiles: items 1, 2 at 7/8; 3, 4, 5 (never in train) share 1/4
    assert result.values["popularity@10"].tolist() == [1 / 4] * 4
    assert result.values["popularity_bias@10"] == pytest.approx(
        [1 / 4 - (2 * 7 / 8 + 1 / 4) / 3] * 4
    )


def test_groups_find_who_is_served_badly(ring, rule) -> None:
    """Right for users with mostly children's films, blind otherwise."""

    def half_blind(histories):
        thirds = [((histories > low) & (histories <= low + 10)).sum(axis=1) for low in (0, 10, 20)]
        scores = -next_step(histories, 30).astype(float)
        scores[thirds[0] < np.maximum(thirds[1], thirds[2])] *= -1
        return scores

    result = evaluate(rule(ring.catalog, half_blind), ring)
    rows = {(row.by, row.group): row for row in result.groups(RNG.numpy("g"))}
    assert rows["genre", "Drama"].metrics["hr@10"].value == 0
    assert rows["genre", "Horror"].metrics["hr@10"].value == 0
    assert rows["genre", "Animation"].metrics["hr@10"].value == 1
    assert sum(row.users for (by, _), row in rows.items() if by == "activity") == 40
    assert sum(row.users for (by, _), row in rows.items() if by == "genre") == 40


def test_without_genres_and_years_the_reason_is_given(rule) -> None:
    catalog = Catalog.from_ids(["a", "b", "c", "d"])
    split = leave_one_out(Sequences.from_lists(catalog, [[1, 2, 3], [2, 3, 4]]))
    model = rule(catalog, lambda h: np.tile(np.arange(5), (len(h), 1)))
    result = evaluate(model, split)
    assert set(result.left_out) == {
        "children_to_adult@10",
        "genre_consistency@10",
        "genre_similarity@10",
        "year_shift@10",
    }
    assert not set(result.left_out) & set(result.values)
    assert {row.by for row in result.groups(RNG.numpy("g"))} == {"activity"}


def test_coverage_of_a_constant_list(ring) -> None:
    same = evaluate(lambda h, k: np.tile(np.arange(1, k + 1), (len(h), 1)), ring)
    coverage = same.estimates(RNG.numpy("a"))["coverage@5"]
    assert coverage.value == 5 / 30
    assert coverage.low is None


def test_lists_that_name_history_items_are_counted(ring) -> None:
    """User 0 has items 1, 2, 3 in the history; the constant list 1, 2 is theirs and others'."""
    result = evaluate(lambda h, k: np.tile([1, 2], (len(h), 1)), ring, depth=2)
    own = sum(bool({1, 2} & set(ring.history("test", user).tolist())) for user in range(40))
    assert f"; {own} lists name items of the user's own history" in result.protocol
    assert "own history" not in evaluate(lambda h, k: h[:, :1] * 0, ring).protocol
