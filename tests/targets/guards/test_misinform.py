"""Histories whose law is planted: people who choose at all ranks, policies that do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences
from recsec.errors import ConfigError
from recsec.models import Bert4Rec, Bert4RecConfig, SasRec, SasRecConfig
from recsec.models.base import mask_history
from recsec.targets import LocalTarget
from recsec.targets.guards import (
    Misinform,
    Surroundings,
    Watermark,
    answer_in_turn,
    build_guards,
)
from recsec.targets.guards.typical import NEWEST, KeptRanks, RankLaw, own_ranks

ITEMS, LENGTH = 400, 40


def untrained(kind, config, seed=4):
    """Its scores are as good as any: the choices are planted relative to them."""
    model = kind(Catalog.from_ids(range(1, ITEMS + 1)), config)
    model.initialize(torch.Generator().manual_seed(seed))
    return model


@pytest.fixture(scope="module")
def model():
    return untrained(SasRec, SasRecConfig(embedding_dim=16, max_length=2 * NEWEST))


def masked(model, histories):
    scores = model.scores(histories)
    mask_history(scores, torch.from_numpy(histories))
    return scores


def grown(model, rng, draw, rows=200, length=LENGTH):
    """Histories in which each next item has the rank that ``draw`` gives, 0 for any item."""
    histories = rng.integers(1, ITEMS + 1, (rows, 1))
    for _ in range(length - 1):
        order = masked(model, histories).argsort(dim=1, descending=True).numpy()
        left = ITEMS - histories.shape[1]
        ranks = np.minimum(draw(rng, rows, left), left)
        chosen = order[np.arange(rows), np.maximum(ranks, 1) - 1]
        histories = np.column_stack([histories, chosen])
    return histories


def people(rng, rows, left):
    """As often between 1 and 4 as between 100 and 400."""
    return np.exp(rng.random(rows) * np.log(left)).astype(np.int64)


def lists_of_ten(rng, rows, left):
    return rng.integers(1, 11, rows)


def anywhere(rng, rows, left):
    return rng.integers(1, left + 1, rows)


def half_by_click_law(rng, rows, left):
    """First places more often than last ones, as people take them; the other half anywhere."""
    weights = 1 / np.arange(1, 11)
    listed = rng.choice(np.arange(1, 11), rows, p=weights / weights.sum())
    return np.where(rng.random(rows) < 0.5, anywhere(rng, rows, left), listed)


def four_of_five_listed(rng, rows, left):
    explores = rng.random(rows) < 0.2
    return np.where(explores, anywhere(rng, rows, left), lists_of_ten(rng, rows, left))


@pytest.fixture(scope="module")
def known(model):
    rows = grown(model, np.random.default_rng(0), people, rows=1200)
    return Sequences.from_lists(model.catalog, rows.tolist())


@pytest.fixture(scope="module")
def guard(model, known):
    return Misinform.build(Misinform.config_class(), Surroundings(model, known))


@pytest.mark.parametrize("both_ways", [False, True])
def test_own_ranks_are_those_of_served_lists(model, both_ways):
    if both_ways:
        model = untrained(Bert4Rec, Bert4RecConfig(embedding_dim=16, max_length=2 * NEWEST))
    rng = np.random.default_rng(1)
    histories = rng.integers(1, ITEMS + 1, (4, 12))
    histories[1, 5:] = 0
    histories[2, 3] = histories[2, 1]  # chosen again, and then not counted twice
    histories[3, 1:] = 0
    found = own_ranks(model, histories)
    for row, ranks in zip(histories, found, strict=True):
        items = row[row > 0]
        assert not ranks[max(0, len(items) - 1) :].any()
        for at in range(1, len(items)):
            before = items[None, :at]
            scores = model.scores(before)
            own = scores[0, items[at]].clone()
            mask_history(scores, torch.from_numpy(before))
            assert ranks[at - 1] == int((scores > own).sum()) + 1


def test_only_the_newest_items_are_ranked_and_the_older_ones_known(model):
    whole = np.random.default_rng(2).permutation(ITEMS)[None, : NEWEST + 9] + 1
    first = own_ranks(model, whole[:, : NEWEST + 1])
    np.testing.assert_array_equal(own_ranks(model, whole)[:, : NEWEST - 8], first[:, 8:])
    scores = masked(model, whole[:, :-1])[0]
    assert own_ranks(model, whole)[0, -1] == int((scores > scores[whole[0, -1]]).sum()) + 1


@pytest.mark.parametrize("room", [1_000_000, 20 * (ITEMS + 1), 0])
def test_kept_ranks_are_those_found_anew(model, room):
    """Histories that grow side by side and alone, repeat items, come again, outgrow the model."""
    rng = np.random.default_rng(3)
    kept = KeptRanks(model, kept=room)
    sessions = rng.integers(1, ITEMS + 1, (6, 2 * NEWEST + 8))
    sessions[:, 30] = sessions[:, 29]
    looked = 0
    for length in (*range(1, 8), *range(28, 34), *range(NEWEST - 2, NEWEST + 3), 99, 100, 101, 102):
        asked = [sessions[:4, :length], sessions[4:5, :length], sessions[:1, :length]]
        for histories in asked:
            found = kept.ranks(histories, masked(model, histories))
            plain = own_ranks(model, histories)
            looked += plain.size
            np.testing.assert_array_equal(found, plain)
    padded = np.pad(sessions[:2, :5], ((0, 0), (0, 3)))
    padded[1, 3:] = 0
    scores = masked(model, padded)
    np.testing.assert_array_equal(kept.ranks(padded, scores), own_ranks(model, padded))
    assert looked
    assert len(kept._rows) <= room // (ITEMS + 1)


def test_a_model_without_prefixes_keeps_ranks_too(monkeypatch):
    model = untrained(Bert4Rec, Bert4RecConfig(embedding_dim=8, blocks=1, max_length=12))
    rng = np.random.default_rng(0)
    sessions, kept = rng.integers(1, ITEMS + 1, (3, 16)), KeptRanks(model)
    plain = [own_ranks(model, sessions[:, :length]) for length in range(1, 17)]
    found = []
    with monkeypatch.context() as patch:
        patch.setattr("recsec.targets.guards.typical.own_ranks", None)  # nothing is found anew
        for length in range(1, 17):
            histories = sessions[:, :length]
            repeats = [len(set(row)) < length for row in histories.tolist()]
            if any(repeats):
                break
            found.append(kept.ranks(histories, masked(model, histories)))
    assert len(found) > 8
    np.testing.assert_array_equal(found, plain[: len(found)])


def test_the_law_of_people_is_recovered_and_probabilities_add_up(model, known):
    rng = np.random.default_rng(3)
    shares = rng.dirichlet(np.full(11, 2.0), 3000)
    nothing = np.zeros((0, NEWEST), dtype=np.int64)
    edges = RankLaw.fit(np.ones((2, 3), dtype=np.int64), nothing, 1500).edges
    middle = np.array([*edges[1:], 1501]) - 1
    ranks = np.stack([middle[rng.choice(11, 49, p=each)] for each in shares])
    law = RankLaw.fit(ranks, nothing, 1500)
    assert len(law.edges) == 11
    np.testing.assert_allclose(law.honest, 2.0, rtol=0.15)
    # over all ranks of two items, P(person) sums to 1: the ratio to machines, weighted, too
    small = RankLaw.fit(own_ranks(model, known[0][None, :3]), nothing, 20)
    pairs = np.array([(a, b) for a in range(1, 21) for b in range(1, 21)])
    bins = np.searchsorted(small.edges, pairs, side="right") - 1
    one = pairs[np.unique(bins, axis=0, return_index=True)[1]]
    total = small.honest.sum()
    first, second = (np.searchsorted(small.edges, one, side="right") - 1).T
    person = small.honest[first] / total * (small.honest[second] + (first == second)) / (total + 1)
    assert person.sum() == pytest.approx(1)
    assert (np.exp(small.suspicion(one)) * person).sum() == pytest.approx(1)


def test_people_get_true_answers_and_policies_do_not(model, guard):
    rng = np.random.default_rng(4)
    strangers = grown(model, rng, people, rows=1000)
    assert len(guard.suspected(strangers)) <= 30, "10 of 1,000 are expected"
    scores = masked(model, strangers[:50])
    innocent = np.setdiff1d(np.arange(50), guard.suspected(strangers[:50]))
    found = guard.answer("a", strangers[:50], scores, 10)
    np.testing.assert_array_equal(
        found[innocent], LocalTarget(model).query("a", strangers[innocent], 10)
    )
    policies = {lists_of_ten: 190, anywhere: 190, four_of_five_listed: 190, half_by_click_law: 160}
    for policy, least in policies.items():
        asked = grown(model, rng, policy)
        assert len(guard.suspected(asked)) >= least, policy.__name__
    assert len(guard.suspected(strangers[:, :1])) == 0, "one item tells nothing"


def test_wrong_answers_are_those_of_another_world(model, guard, known):
    asked = grown(model, np.random.default_rng(5), lists_of_ten, rows=40)
    rows = guard.suspected(asked)
    found = guard.answer("a", asked, masked(model, asked), 10)[rows]
    alone = asked[rows[:1]]
    np.testing.assert_array_equal(guard.answer("b", alone, masked(model, alone), 10), found[:1])
    true = LocalTarget(model).query("a", asked, 10)[rows]
    assert (found == true).mean() < 0.1
    for served, history in zip(found, asked[rows], strict=True):
        assert len(set(served)) == 10
        assert not np.isin(served, history).any()
    assert Misinform.build(Misinform.config_class(), Surroundings(model, known)).seed == guard.seed
    retrained = untrained(SasRec, SasRecConfig(embedding_dim=16, max_length=2 * NEWEST), seed=5)
    elsewhere = Misinform.build(Misinform.config_class(), Surroundings(retrained, known))
    other = Misinform(model, guard.law, threshold=guard.threshold, seed=elsewhere.seed)
    found = [one.answer("a", alone, masked(model, alone), 10)[0] for one in (guard, other)]
    assert len(np.intersect1d(*found)) <= 3, "other weights, another world"


def test_another_world_knows_nothing_of_the_recommender_and_is_of_one_piece(model, guard):
    stranger = untrained(SasRec, SasRecConfig(embedding_dim=8, max_length=2 * NEWEST))
    elsewhere = Misinform(stranger, guard.law, threshold=guard.threshold, seed=guard.seed)
    histories = np.random.default_rng(8).integers(1, ITEMS + 1, (50, 20))
    histories[0, 12:] = 0
    scores = guard.elsewhere(histories)
    torch.testing.assert_close(elsewhere.elsewhere(histories), scores)
    weights = 0.9 ** np.arange(12)[::-1]
    context = weights @ guard.before.numpy()[histories[0, :12]]
    np.testing.assert_allclose(scores[0], guard.after.numpy() @ context, rtol=1e-4, atol=1e-4)
    tops = scores.argsort(dim=1, descending=True)[:, :10].numpy()
    shorter = guard.elsewhere(histories[:, :-1]).argsort(dim=1, descending=True)[:, :10].numpy()
    common = [len(np.intersect1d(*pair)) for pair in zip(tops[1:], shorter[1:], strict=True)]
    assert np.mean(common) > 4, "one item more moves a list, and not all of it"
    assert len(np.intersect1d(tops[1], tops[2])) <= 3


def test_who_goes_on_from_wrong_answers_is_found_the_sooner(model, guard):
    shares = {}
    for guards in ((), (guard,)):
        rng = np.random.default_rng(7)
        target, histories = LocalTarget(model, guards), rng.integers(1, ITEMS + 1, (100, 1))
        for _ in range(LENGTH - 1):
            lists = target.query("a", histories, 10)
            listed = lists[np.arange(100), rng.integers(0, 10, 100)]
            other = rng.integers(1, ITEMS + 1, 100)
            chosen = np.where(rng.random(100) < 0.6, other, listed)
            histories = np.column_stack([histories, chosen])
        shares[len(guards)] = len(guard.suspected(histories)) / 100
    assert shares[1] >= max(0.9, shares[0])


def test_the_next_guard_sees_the_scores_and_not_a_list(model, guard, known):
    asked = grown(model, np.random.default_rng(6), people, rows=20)
    marked = Watermark(b"k" * 32, known.counts)
    both = answer_in_turn([guard, marked], "a", asked, masked(model, asked), 10)
    honest = np.setdiff1d(np.arange(20), guard.suspected(asked))
    alone = marked.answer("a", asked, masked(model, asked), 10)
    np.testing.assert_array_equal(both[honest], alone[honest])


def test_it_needs_histories_of_people(model):
    with pytest.raises(ConfigError, match="histories of people"):
        build_guards([{"name": "misinform"}], Surroundings(model))


def test_it_stands_where_there_are_scores(model, known):
    order = [{"name": "truncate"}, {"name": "misinform"}]
    with pytest.raises(ConfigError, match="changes scores"):
        build_guards(order, Surroundings(model, known))
    names = [guard.name for guard in build_guards(order[::-1], Surroundings(model, known))]
    assert names == ["misinform", "truncate"]
