"""Thresholds, false alarms, and the attacker who knows the panel."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from recsec.attacks.evasion import Apgd, sample_pairs
from recsec.errors import DataError
from recsec.rng import Streams
from recsec.screening import needed, reencoded, silent_attack, threshold
from recsec.stats import clopper_pearson


def test_thresholds_let_the_stated_share_pass():
    scores = torch.randperm(1000, generator=torch.Generator().manual_seed(0)).float()
    assert int((scores > threshold(scores, 0.01)).sum()) == 10
    assert int((scores > threshold(scores, 0.001)).sum()) == 1
    assert int((scores[:99] > threshold(scores[:99], 0.001)).sum()) == 0
    assert threshold(torch.ones(50), 0.01) == 1, "ties are never flagged"
    with pytest.raises(DataError, match="no clean upload"):
        threshold(torch.zeros(0), 0.01)


@pytest.mark.parametrize("rate", [0.01, 0.001])
def test_how_many_clean_uploads_a_rate_needs(rate):
    n = needed(rate)
    assert clopper_pearson(0, n).high <= rate < clopper_pearson(0, n - 1).high


def test_false_alarms_on_fresh_clean_uploads_are_near_the_nominal_rate(fitted, catalog):
    panel, clean = fitted
    found = panel.false_alarms(clean, catalog)
    assert set(found[0.01]) == {"consistency", "hubs", "neighbors", "relisting", "panel"}
    for name, rate in found[0.01].items():
        assert rate.low <= 0.03, f"{name}: {rate}"
        assert rate.n == len(clean.listings)
    assert found[0.001]["panel"].value <= found[0.01]["panel"].value


def test_the_panels_score_is_the_largest_on_the_common_scale(fitted, catalog):
    panel, clean = fitted
    scores = panel.scores(clean, catalog)
    common = (scores[:, :-1] - panel.middle) / panel.scale
    assert torch.equal(scores[:, -1], common.amax(dim=1))
    assert panel.names[-1] == "panel"


def test_clean_uploads_differ_a_little_and_follow_from_the_seed(split):
    pixels = split.photos.pixels(split.test[:4], 16)
    one, two = (reencoded(pixels, Streams(3).numpy("uploads")) for _ in range(2))
    assert np.array_equal(one, two)
    change = np.abs(one.astype(int) - pixels.astype(int))
    assert 0 < change.mean() < 20


def test_who_ignores_the_panel_is_seen_more_than_honest_people_and_who_knows_it_less(
    fitted, catalog, encoder, split
):
    """By exact tests, and no bound of a half: of 192 such blind pairs the panel saw 39 %."""
    panel, clean = fitted
    pairs = sample_pairs("cross-category", split.test, split.labels, 24, rng=Streams(1))
    images = torch.from_numpy(split.photos.pixels(pairs.attackers, 16)).float() / 255
    attack = Apgd(Apgd.config_class(steps=25, precision="float32"))

    def attacked(weight: float):
        return silent_attack(
            attack, encoder, encoder, panel, catalog, images, pairs.attackers, pairs.targets,
            eps=0.2, rate=0.01, weight=weight, rng=Streams(2), batch=24,
        )  # fmt: skip

    blind, knowing = attacked(0.0), attacked(1.0)
    assert blind.cosines.mean() > knowing.cosines.mean(), "silence costs cosine"
    seen, still = (~one.undetected(panel, 0.01) for one in (blind, knowing))
    alarms = panel.false_alarms(clean, catalog)[0.01]["panel"].high
    assert binomtest(int(seen.sum()), 24, alarms, alternative="greater").pvalue < 1e-3
    changed = int((seen != still).sum())
    assert binomtest(int((seen & ~still).sum()), changed, alternative="greater").pvalue < 1e-2
