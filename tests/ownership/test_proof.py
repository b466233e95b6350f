"""A planted mark is found, and nothing is found where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from recsec.errors import ConfigError
from recsec.ownership import draw_questions, prove
from recsec.rng import Streams
from recsec.targets import CallableTarget, LocalTarget
from recsec.targets.guards import Shuffle, Watermark, triggers

KEY, OTHER = b"k" * 32, b"o" * 32


def streams(name="proof"):
    return Streams(0).child(name)


def marked(taste, split, **settings):
    return LocalTarget(taste, [Watermark(KEY, split.train.counts, **settings)])


def test_the_marked_target_is_recognized_by_its_key_alone(taste, split):
    suspect = marked(taste, split)
    found = prove(suspect, KEY, split, streams=streams(), queries=700, keys=1999)
    assert found.verdict == "copied"
    assert found.p_value == 1 / 2000
    assert found.effect.low > 0.02
    assert found.replies.effect.value > 0.9, "the served replies stand in every probe"
    assert found.replies.p_value == 1 / 2000
    assert (found.unanswered, found.shorter, found.reason) == (0, 0, None)
    wrong = prove(suspect, OTHER, split, streams=streams(), queries=700, keys=1999)
    assert wrong.verdict == "no evidence"
    assert wrong.p_value > 0.01


def test_each_mark_proves_alone(taste, split):
    bias = prove(
        marked(taste, split, triggers=False, bias=1.0), KEY, split, streams=streams(), queries=700
    )
    assert bias.green.p_value == 1e-4
    assert bias.replies.p_value > 0.01
    assert bias.p_value <= 0.001
    reply = prove(marked(taste, split, bias=0.0), KEY, split, streams=streams(), queries=700)
    assert reply.green.p_value > 0.01
    assert reply.p_value <= 0.001


def test_shuffling_the_lists_removes_nothing(taste, split):
    mark = Watermark(KEY, split.train.counts)
    plain = prove(LocalTarget(taste, [mark]), KEY, split, streams=streams(), queries=400)
    shuffled = LocalTarget(taste, [mark, Shuffle(3)])
    found = prove(shuffled, KEY, split, streams=streams(), queries=400)
    assert found == plain


def test_evidence_grows_with_the_questions(taste, split):
    found = prove(
        marked(taste, split, bias=0.3), KEY, split, streams=streams(), queries=700, keys=1999
    )
    asked = [point.queries for point in found.curve]
    assert asked == sorted(asked)
    assert asked[-1] == found.queries <= 700
    assert found.curve[-1].p_value == found.p_value
    assert found.curve[0].p_value >= found.p_value


def test_claims_without_ground_are_as_rare_as_they_say(split, taste):
    """200 fresh keys on five independent suspects: p-values are uniform."""
    values = []
    for suspect in range(5):
        target = LocalTarget(type(taste)(split.catalog, seed=100 + suspect))
        draw = np.random.default_rng(suspect)
        for turn in range(40):
            key = draw.bytes(32)
            rest = streams(f"{suspect}-{turn}")
            found = prove(target, key, split, streams=rest, queries=120, keys=199, alpha=0.01)
            values.append(found.p_value)
    assert stats.kstest(values, "uniform").pvalue > 0.05
    assert sum(value <= 0.01 for value in values) <= 7  # 2 expected


def test_questions_are_the_same_for_every_key_and_probes_end_in_triggers(split):
    first, second = (
        draw_questions(split, key, queries=600, rng=streams().numpy("questions"))
        for key in (KEY, OTHER)
    )
    assert (first.plain, first.rounds, len(first.histories)) == (400, 5, 580)
    np.testing.assert_array_equal(first.histories[:400, :5], second.histories[:400, :5])
    lengths = (first.histories > 0).sum(axis=1)
    newest = first.histories[np.arange(580), lengths - 1]
    np.testing.assert_array_equal(newest[400:], np.tile(triggers(KEY, split.train.counts), 5))
    for probe, item in zip(first.histories[400:], newest[400:], strict=True):
        assert (probe == item).sum() == 1


def test_few_questions_go_without_probes(taste, split):
    found = prove(marked(taste, split), KEY, split, streams=streams(), queries=60, keys=1999)
    assert found.replies is None
    assert found.queries == 60
    with pytest.raises(ConfigError, match="prove nothing"):
        prove(marked(taste, split), KEY, split, streams=streams(), queries=19)
    with pytest.raises(ConfigError, match="cannot give a p-value") as caught:
        prove(marked(taste, split), KEY, split, streams=streams(), queries=60, keys=900)
    assert "999" in str(caught.value.hint)


def test_failed_and_short_answers_are_counted_and_the_rest_still_proves(taste, split):
    """One question in eight fails, and lists are cut to six items."""
    inner = marked(taste, split, bias=1.0)

    def answer(histories, k):
        if any(sum(history) % 8 == 0 for history in histories):
            raise OSError("gone")
        rows = [split.catalog.index(history) for history in histories]
        return [split.catalog.external(inner.query("a", row[None], 6)[0]) for row in rows]

    suspect = CallableTarget(answer, split.catalog, chunk=1)
    found = prove(suspect, KEY, split, streams=streams(), queries=500, keys=1999)
    assert 20 < found.unanswered < 110
    assert found.shorter == found.queries - found.unanswered
    assert "gone" in found.reason
    assert found.verdict == "copied"
