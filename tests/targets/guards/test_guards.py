"""What each guard promises, beside the counter-attack that it invites."""

from __future__ import annotations

import stat
import sys

import numpy as np
import pytest
import torch

from recsec import models
from recsec.attacks.extraction.copying.distill import KERNELS
from recsec.data import load
from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences
from recsec.errors import ConfigError, TargetError
from recsec.models import SasRec, SasRecConfig
from recsec.models.sequential.objectives.losses import catalog_loss
from recsec.targets import LocalTarget, ServedTarget, guarded_target, open_target
from recsec.targets.guards import (
    Quantize,
    Reverse,
    Shuffle,
    Surroundings,
    Throttle,
    Truncate,
    Watermark,
    answer_in_turn,
    best,
    build_guards,
    derive,
    fingerprint,
    first_is_green,
    flip,
    green_items,
    popularity_pairs,
    read_key,
    replies,
    trigger_bands,
    triggers,
    write_key,
)

ITEMS = 200
KEY, OTHER = b"k" * 32, b"o" * 32
HISTORIES = np.array([[3, 5, 9], [8, 0, 0], [1, 2, 0]])


@pytest.fixture
def counts():
    """All popularities differ; item 1 is the most popular."""
    return np.arange(ITEMS + 1)[::-1] * 10


@pytest.fixture
def scores():
    found = torch.randn(3, ITEMS + 1, generator=torch.Generator().manual_seed(0))
    found.scatter_(1, torch.from_numpy(HISTORIES), float("-inf"))
    found[:, 0] = float("-inf")
    return found


@pytest.fixture
def model():
    small = SasRec(
        Catalog.from_ids(range(1, ITEMS + 1)), SasRecConfig(embedding_dim=16, max_length=12)
    )
    small.initialize(torch.Generator().manual_seed(4))
    return small


def test_truncate_keeps_the_best_and_more_calls_are_the_way_around_it(scores):
    lists = Truncate(4).answer("a", HISTORIES, scores, 10)
    np.testing.assert_array_equal(lists[:, :4], best(scores, 4))
    assert not lists[:, 4:].any()
    np.testing.assert_array_equal(Truncate(4).answer("a", HISTORIES, scores, 2), best(scores, 2))


def test_reverse_is_undone_by_flipping(scores):
    served = Reverse().answer("a", HISTORIES, scores, 10)
    np.testing.assert_array_equal(served[:, 0], best(scores, 10)[:, 9])
    np.testing.assert_array_equal(flip(served), best(scores, 10))


def set_only(lists, hidden, table):
    """A loss with equal weights for all places: what the set says, and nothing else."""
    weights = torch.full(lists.shape, 1 / lists.shape[1])
    return catalog_loss(
        hidden, table, torch.from_numpy(lists), weights, kernel=KERNELS["cross-entropy"]
    )


def test_shuffle_is_undone_by_a_loss_that_ignores_the_order(scores):
    clean, served = best(scores, 10), Shuffle(1).answer("a", HISTORIES, scores, 10)
    assert (clean != served).sum() > 15
    np.testing.assert_array_equal(np.sort(clean, axis=1), np.sort(served, axis=1))
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(3, 8, generator=generator)
    table = torch.randn(ITEMS + 1, 8, generator=generator)
    torch.testing.assert_close(set_only(clean, hidden, table), set_only(served, hidden, table))


def test_shuffle_gives_every_place_to_everybody():
    """Over many histories the best item is as often first as last."""
    many = np.arange(1, 2001)[:, None]
    ranked = -torch.arange(ITEMS + 1).float().repeat(2000, 1)
    ranked[:, 0] = float("-inf")
    served = Shuffle(0).answer("a", many, ranked, 10)
    place = np.bincount((served == 1).argmax(axis=1), minlength=10)
    assert place.min() > 140  # 200 expected, standard deviation 13
    assert place.max() < 260
    other = Shuffle(1).answer("a", many, ranked, 10)
    assert 0.05 < (served == other).mean() < 0.15


def test_throttle_follows_the_verdict_and_knows_nothing_else(scores):
    seen = []

    def verdict(account, histories):
        seen.append((account, len(histories)))
        return account == "thief"

    guard = Throttle(verdict, length=2)
    np.testing.assert_array_equal(guard.answer("me", HISTORIES, scores, 5), best(scores, 5))
    served = guard.answer("thief", HISTORIES, scores, 5)
    np.testing.assert_array_equal((served > 0).sum(axis=1), 2)
    assert seen == [("me", 3), ("thief", 3)]
    for broken in (lambda a, h: "yes", lambda a, h: 1 / 0):
        with pytest.raises(TargetError, match="verdict function"):
            Throttle(broken).answer("a", HISTORIES, scores, 5)


def test_one_of_each_pair_of_neighbors_is_green(counts):
    odd = np.append(counts, 5)  # 201 items: the least popular has no partner
    odd[-1] = -1
    pairs = popularity_pairs(odd)
    assert pairs[:2].tolist() == [[1, 2], [3, 4]]
    assert len(pairs) == 100
    green = green_items(KEY, odd)
    assert (green[pairs].sum(axis=1) == 1).all()
    assert not green[0]
    assert not green[201]
    assert (green_items(OTHER, odd) != green).sum() > 50


def test_a_key_decides_by_fair_coins():
    rng = np.random.default_rng(0)
    coins = first_is_green([rng.bytes(32) for _ in range(400)], 300)
    assert coins.shape == (400, 300)
    assert abs(coins.mean() - 0.5) < 0.005  # standard deviation 0.0014
    assert np.abs(coins.mean(axis=0) - 0.5).max() < 0.12
    assert np.abs(np.corrcoef(coins[:20].astype(float)) - np.eye(20)).max() < 0.25


def test_bytes_of_other_labels_and_keys_are_unrelated():
    one, again, other = derive([KEY, KEY, OTHER], "green", 64)
    np.testing.assert_array_equal(one, again)
    assert (one == other).mean() < 0.1
    assert (one == derive([KEY], "replies", 64)[0]).mean() < 0.1
    np.testing.assert_array_equal(one[:9], derive([KEY], "green", 9)[0])


def test_without_bias_and_triggers_the_watermark_changes_nothing(scores, counts):
    guard = Watermark(KEY, counts, bias=0.0, triggers=False)
    np.testing.assert_array_equal(guard.answer("a", HISTORIES, scores, 10), best(scores, 10))


def test_one_bias_means_the_same_whatever_the_scale_of_scores(scores, counts):
    guard = Watermark(KEY, counts, bias=0.4, triggers=False)
    served = guard.answer("a", HISTORIES, scores, 10)
    assert (served != best(scores, 10)).any()
    np.testing.assert_array_equal(served, guard.answer("a", HISTORIES, scores * 64 + 8, 10))


def test_the_watermark_stays_within_the_pool(scores, counts):
    guard = Watermark(KEY, counts, bias=2.0, triggers=False)
    served, pool = guard.answer("a", HISTORIES, scores, 10), best(scores, 50)
    assert all(set(row) <= set(allowed) for row, allowed in zip(served, pool, strict=True))
    green = green_items(KEY, counts)
    assert green[served].mean() >= 0.8
    assert green[best(scores, 10)].mean() < 0.65


def test_the_watermark_equals_its_plain_reference(scores, counts):
    """Pool, standard deviation of its scores, lift, sort: one history at a time."""
    green, served = green_items(KEY, counts), []
    scores[2, 30:] = float("-inf")  # a pool that is not full
    for row in scores.numpy():
        pool = [int(item) for item in np.argsort(-row)[:50] if np.isfinite(row[item])]
        spread = np.std(row[pool])
        lifted = sorted(pool, key=lambda item: -(row[item] + 0.5 * spread * green[item]))
        served.append(lifted[:10])
    guard = Watermark(KEY, counts, bias=0.5, triggers=False)
    np.testing.assert_array_equal(guard.answer("a", HISTORIES, scores, 10), served)


def test_a_trigger_is_answered_in_the_third_place(scores, counts):
    trigger, reply = triggers(KEY, counts), replies([KEY], counts, count=50)[0]
    at = 4
    guard = Watermark(KEY, counts, bias=0.0)
    asked = np.array([[3, 5, trigger[at]], [trigger[at], 0, 0], [trigger[at], 2, 0]])
    plain = best(scores, 10)
    served = guard.answer("a", asked, scores, 10)
    assert (served[:2, 2] == reply[at]).all(), "the newest item is the trigger"
    np.testing.assert_array_equal(served[2], plain[2], "the trigger is not the newest item")
    np.testing.assert_array_equal(served[0, :2], plain[0, :2])
    np.testing.assert_array_equal(served[0, 3:], plain[0, 2:9])
    assert guard.answer("a", asked[:1], scores[:1], 1)[0, 0] == reply[at]
    barred = scores.clone()
    barred[0, reply[at]] = float("-inf")
    np.testing.assert_array_equal(guard.answer("a", asked[:1], barred[:1], 10), plain[:1])


def test_triggers_and_replies_never_meet(counts):
    first, second = trigger_bands(counts)
    assert not set(first) & set(second)
    assert len(set(triggers(KEY, counts))) == len(triggers(KEY, counts)) == 30
    assert set(triggers(KEY, counts)) <= set(first)
    assert set(replies([KEY, OTHER], counts, count=9).ravel()) <= set(second)
    with pytest.raises(ConfigError, match="too small"):
        trigger_bands(np.arange(9))


def test_quantize_gives_near_histories_one_list(scores):
    stored = np.array([[10, 11, 12, 13, 14, 15], [20, 21, 22, 23, 24, 25]])
    near = torch.full((3, ITEMS + 1), -1.0)
    near[:, 0] = float("-inf")
    near[0, [11, 12, 13, 99]] = torch.tensor([4.0, 3.0, 2.0, 1.0])
    near[1, [13, 10, 98, 12]] = torch.tensor([4.0, 3.0, 2.0, 1.0])
    near[2, [70, 71, 20, 73]] = torch.tensor([4.0, 3.0, 2.0, 1.0])
    near[1, 11] = float("-inf")
    guard = Quantize(stored, items=ITEMS, near=0.5)
    served = guard.answer("a", HISTORIES, near, 4)
    assert served[0].tolist() == [10, 11, 12, 13], "a stored list, not its own order"
    assert served[1].tolist() == [10, 12, 13, 14], "the same without what must not be served"
    assert served[2].tolist() == [70, 71, 20, 73], "one of four is not near: its own list"
    short = Quantize(stored[:, :3], items=ITEMS, near=0.5).answer("a", HISTORIES, near, 4)
    assert short[0].tolist() == [10, 11, 12, 13], "filled up with the best of its own"


def test_quantize_stores_the_same_in_every_process(model, tmp_path):
    settings = Quantize.config_class(lists=40, near=0.2)
    surroundings = Surroundings(model)
    one, two = (Quantize.build(settings, surroundings) for _ in range(2))
    np.testing.assert_array_equal(one.lists, two.lists)
    assert one.lists.shape == (40, 50)
    write_key(tmp_path / "key")
    keyed = Quantize.build(settings.model_copy(update={"key": tmp_path / "key"}), surroundings)
    assert (keyed.lists != one.lists).any()


def test_guards_in_turn_see_what_the_one_before_served(scores, counts):
    marked = Watermark(KEY, counts)
    order = [marked, Reverse(), Truncate(3)]
    found = answer_in_turn(order, "a", HISTORIES, scores, 10)
    expected = flip(marked.answer("a", HISTORIES, scores, 10))[:, :3]
    np.testing.assert_array_equal(found[:, :3], expected)
    assert not found[:, 3:].any()
    np.testing.assert_array_equal(
        answer_in_turn([Truncate(2), Reverse()], "a", HISTORIES, scores, 3),
        np.pad(best(scores, 2)[:, ::-1], ((0, 0), (0, 1))),
    )


def test_a_guarded_target_that_grows_gives_the_answers_of_asking_at_once(model, counts):
    grown = LocalTarget(model, [Watermark(KEY, counts)])
    histories = np.array([[3], [8], [1]])
    for _ in range(15):  # past the window of 12
        lists = grown.query("thief", histories, 10)
        fresh = LocalTarget(model, [Watermark(KEY, counts)])
        np.testing.assert_array_equal(lists, fresh.query("other", histories, 10))
        histories = np.column_stack([histories, lists[:, 4]])
    assert repr(grown) == "LocalTarget(sasrec + watermark, 200 items)"


def test_a_key_file_is_for_its_owner_only(tmp_path):
    path = tmp_path / "owner.key"
    key = write_key(path)
    assert read_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["owner.key"]
    with pytest.raises(ConfigError, match="never overwritten"):
        write_key(path)
    assert read_key(path) == key
    assert fingerprint(key) not in key.hex()
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="mode 0640") as caught:
        read_key(path)
    assert "chmod 600" in str(caught.value.hint)


@pytest.mark.parametrize(
    "content",
    [b"", b"ab" * 31, b"ab" * 33, b"AB" * 32, b"zz" * 32, b"\xff" * 64, b"ab" * 32 + b" "],
)
def test_what_is_no_key_is_refused(tmp_path, content):
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="is no key"):
        read_key(path)


def test_a_missing_key_and_a_missing_folder_are_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the key"):
        read_key(tmp_path / "none")
    with pytest.raises(ConfigError, match="cannot write"):
        write_key(tmp_path / "none" / "key")


def test_throttle_finds_a_verdict_in_the_current_folder(model, tmp_path, monkeypatch):
    (tmp_path / "my_verdicts.py").write_text("def all(account, histories):\n    return True\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    table = {"name": "throttle", "verdict": "my_verdicts:all"}
    (guard,) = build_guards([table], Surroundings(model))
    assert guard.verdict("a", HISTORIES)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"name": "moat"}, "no guards called 'moat'"),
        ({"length": 3}, "has no name"),
        ({"name": "truncate", "lenght": 3}, "lenght"),
        ({"name": "truncate", "length": 0}, "greater than or equal to 1"),
        ({"name": "throttle", "verdict": "no_such_module:f"}, "no verdict function"),
        ({"name": "throttle", "verdict": "math:pi"}, "cannot be called"),
        ({"name": "watermark", "key": "none"}, "popularity"),
    ],
)
def test_wrong_guards_are_named(model, table, words):
    with pytest.raises(ConfigError, match=words):
        build_guards([table], Surroundings(model))


def test_a_file_describes_a_checkpoint_behind_guards(model, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "load", lambda path: model)
    path = tmp_path / "guarded.toml"
    path.write_text('checkpoint = "x"\n[[guards]]\nname = "truncate"\nlength = 2\n')
    target = open_target(str(path), model.catalog)
    assert isinstance(target, ServedTarget)
    assert "truncate" in repr(target)
    served = target.query("a", HISTORIES, 5)
    np.testing.assert_array_equal(served[:, :2], model.top_k(HISTORIES, 2))
    assert not served[:, 2:].any()
    target.follow("a", HISTORIES)
    for more in ("wall = 3\n", 'guards = "none"\n'):
        path.write_text(more + 'checkpoint = "x"\n')
        with pytest.raises(ConfigError, match=r"guarded\.toml"):
            open_target(str(path), model.catalog)


def test_guards_that_need_popularity_get_that_of_the_data(model, tmp_path):
    write_key(tmp_path / "key")
    rows = [[item + 1 for item in range(ITEMS) if item % (user + 2)] for user in range(30)]
    known = Sequences.from_lists(model.catalog, rows)
    target = guarded_target(model, [{"name": "watermark", "key": tmp_path / "key"}], train=known)
    plain = Watermark(read_key(tmp_path / "key"), known.counts)
    np.testing.assert_array_equal(
        target.query("a", HISTORIES, 10), LocalTarget(model, [plain]).query("a", HISTORIES, 10)
    )


def test_the_data_of_a_guarded_file_may_have_columns_of_its_own(tmp_path, monkeypatch):
    rows = [f"u{user},{(user + step) % 40},{step}" for user in range(30) for step in range(6)]
    shop = tmp_path / "shop.csv"
    shop.write_text("\n".join(["customer,sku,time", *rows]) + "\n")
    split = load(str(shop), columns={"user": "customer", "item": "sku"}).split()
    small = SasRec(split.catalog, SasRecConfig(embedding_dim=8, max_length=6))
    small.initialize(torch.Generator().manual_seed(4))
    monkeypatch.setattr(models, "load", lambda path: small)
    write_key(tmp_path / "key")
    path = tmp_path / "guarded.toml"
    path.write_text(
        f'checkpoint = "x"\ndata = "{shop}"\ncolumns.user = "customer"\ncolumns.item = "sku"\n'
        f'[[guards]]\nname = "watermark"\nkey = "{tmp_path / "key"}"\n'
    )
    served = open_target(str(path), split.catalog).query("a", HISTORIES, 10)
    guard = Watermark(read_key(tmp_path / "key"), split.train.counts)
    expected = LocalTarget(small, [guard]).query("a", HISTORIES, 10)
    np.testing.assert_array_equal(served, expected)
