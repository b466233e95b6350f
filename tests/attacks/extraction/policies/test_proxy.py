"""Histories of another data set: found by title, asked, and what the copy begins with."""

import numpy as np
import pytest
import torch
from smooth_target import SmoothTarget, small_catalog

from recsec.attacks.extraction import ExtractionConfig, collect, fit_guide, proxy_histories
from recsec.attacks.extraction.copying.leak import begin_as, guide_of
from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences
from recsec.errors import ConfigError
from recsec.models.sequential.sasrec import SasRec, SasRecConfig
from recsec.rng import Streams
from recsec.targets import Budget, LocalTarget, MeteredTarget

ITEMS = 20
TINY = {"embedding_dim": 16, "max_length": 8, "blocks": 1, "heads": 1, "lr": 1e-2}
CONFIG = ExtractionConfig(
    policy="proxy", proxy="ml-100k", length=6, sessions=6, surrogate_settings=TINY
)


def test_histories_are_found_by_title(tmp_path):
    rows = [
        *("ann,Alien", "ann,Stalker", "ann, SOLARIS ", "ann,solaris", "ann,alien"),
        *("bob,M", "bob,Stalker", "bob,Nosferatu", "bob,Ran", "bob,Solaris"),
        *("cy,M", "cy,Nosferatu", "cy,Ran", "cy,Alien", "cy,alien"),
    ]
    table = tmp_path / "other.csv"
    table.write_text(
        "user,item,time\n"
        + "".join(f"{n}{row},{at}\n" for n in range(6) for at, row in enumerate(rows))
    )
    found = proxy_histories(str(table), Catalog.from_ids(["Solaris", "Stalker", "Alien"]))
    assert sorted(row.tolist() for row in found) == [[2, 1]] * 6 + [[3, 2, 1]] * 6
    with pytest.raises(ConfigError, match="titles"):
        proxy_histories(str(table), Catalog.from_ids(["Solaris", "Stalked"]))


def test_each_history_is_asked_prefix_by_prefix_and_then_walks(tmp_path):
    rows = [[n, n + 1, n + 2, n + 3] for n in range(1, 17)]
    leak = Sequences.from_lists(small_catalog(ITEMS), rows)
    target = MeteredTarget(
        LocalTarget(SmoothTarget(items=ITEMS)), budget=Budget(calls=100, k=5), folder=tmp_path
    )
    collect(target, CONFIG, calls=100, k=5, streams=Streams(0), leak=leak, device="cpu")
    transcript = target.transcript()
    asked = [tuple(transcript.history(call).tolist()) for call in range(100)]
    known = {tuple(row[:at]) for row in rows for at in range(1, 5)}
    assert set(asked[:64]) == known
    assert {row[0] for row in asked[64:]} <= set(range(1, 17))
    assert max(map(len, asked[64:])) == 6
    assert guide_of(CONFIG, tmp_path).name == "sasrec"
    assert guide_of(CONFIG.model_copy(update={"policy": "mixed"}), tmp_path) is None


def test_a_copy_begins_with_the_weights_of_the_guide_and_its_first_positions():
    leak = Sequences.from_lists(small_catalog(ITEMS), [[1, 2, 3, 4], [3, 4, 5, 6]] * 4)
    settings = CONFIG.model_copy(update={"surrogate_settings": {**TINY, "epochs": 1}})
    guide = fit_guide(leak, settings, seed=0, device="cpu")
    copy = SasRec(guide.catalog, SasRecConfig(**{**TINY, "max_length": 5}))
    copy.initialize(Streams(0).torch("copy"))
    begin_as(copy, guide)
    histories = np.array([[1, 2, 3, 0, 0], [7, 0, 0, 0, 0]])
    torch.testing.assert_close(copy.scores(histories), guide.scores(histories))


def test_without_histories_there_is_no_such_thief(tmp_path):
    target = MeteredTarget(LocalTarget(SmoothTarget()), budget=Budget(calls=9), folder=tmp_path)
    with pytest.raises(ConfigError, match="leaked histories") as caught:
        collect(
            target,
            CONFIG.model_copy(update={"proxy": ""}),
            calls=9,
            k=5,
            streams=Streams(0),
        )
    assert "proxy=ml-100k" in caught.value.hint
