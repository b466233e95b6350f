"""The watch: planted thieves caught, honest users left alone, and no crash or split changes it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from detection_world import QUERIES, World, joined

import recsec
from recsec.detection import (
    CHECKPOINTS,
    COMBINED,
    FitConfig,
    Fitted,
    Watch,
    account_table,
    follow_log,
    following,
    judge,
)
from recsec.errors import CheckpointError, RunError
from recsec.metrics import threshold_at
from recsec.targets.meter.segments import Calls
from recsec.traffic import ClickLaw, Query, QueryLog, write_log

UNSEEN = ClickLaw(acceptance=0.25, bias=1.0, restart=0.05)
"""A law that was not fitted."""


def watched(fitted: Fitted, log: QueryLog) -> Watch:
    watch = fitted.watch()
    watch.observe_log(log, np.arange(len(log)))
    return watch


@pytest.mark.parametrize("kind", ["random", "autoregressive"])
def test_a_planted_thief_is_caught_among_people(world: World, kind: str) -> None:
    log = joined(world.honest(world.groups.test, UNSEEN), world.thieves(kind, 3))
    table = judge(watched(world.fitted, log), log, level=0.1)
    flagged = table.filter("flagged")["id"].to_list()
    assert {f"thief-{one}" for one in range(3)} <= set(flagged)
    assert len(flagged) <= 3 + 2
    assert table["p_value"].to_list() == sorted(table["p_value"].to_list())


def test_honest_accounts_are_flagged_at_the_nominal_rate(world: World) -> None:
    """Fresh users under the fitted laws: at most as many as the level, up to scatter."""
    laws = FitConfig.model_validate({}).laws
    parts = []
    for at, law in enumerate(laws):
        log = world.honest(world.groups.test[at :: len(laws)], law, seed=at)
        parts.append(watched(world.fitted, log).accounts())
    found = pl.concat(parts).filter(pl.col("queries") >= QUERIES)
    p_values = found["p_value"].to_numpy()
    assert len(p_values) > 50
    for level in (0.1, 0.3, 0.5):
        # the calibration sample and the test sample both scatter
        spread = np.sqrt(level * (1 - level) * (1 / len(p_values) + 1 / 80))
        assert (p_values <= level).mean() < level + 3 * spread


def test_one_query_at_a_time_gives_the_same_p_value(world: World) -> None:
    log = world.thieves("random", 1)
    watch = world.fitted.watch()
    items, offsets = log.histories(np.arange(len(log)))
    for row in range(len(log)):
        history = items[offsets[row] : offsets[row + 1]]
        answer = log.calls.answers[row].astype(np.int64)
        last = watch.update("thief-0", Query(history, answer))
    whole = watched(world.fitted, log).accounts()
    assert last == pytest.approx(whole["p_value"][0])
    assert watch.accounts().equals(whole)


def test_below_the_first_checkpoint_nobody_is_judged(world: World) -> None:
    log = world.thieves("random", 2, queries=CHECKPOINTS[0] - 1)
    assert watched(world.fitted, log).accounts()["p_value"].to_list() == [1.0, 1.0]


def test_saved_and_resumed_at_any_point(world: World, tmp_path: Path) -> None:
    log = joined(world.honest(world.groups.test[:10], UNSEEN), world.thieves("autoregressive", 2))
    world.fitted.save(tmp_path / "detectors")
    fitted = Fitted.load(tmp_path / "detectors")
    whole = watched(fitted, log).accounts()
    for cut in (1, len(log) // 3, len(log) - 1):
        watch = fitted.watch()
        watch.observe_log(log, np.arange(cut))
        watch.save(tmp_path / "state")
        again = Watch.resume(fitted, tmp_path / "state")
        assert again.seen == cut
        again.observe_log(log, np.arange(cut, len(log)))
        assert again.accounts().equals(whole)


DRIVER = '''
"""Watch a log, and die as by kill -9 when the state is about to be replaced for the n-th time."""

import os, signal, sys
from pathlib import Path

import recsec.detection.following

recsec.detection.following.BLOCK = 100
recsec.detection.following.SECONDS = recsec.detection.following.TIMES = 0
move, count = os.replace, int(sys.argv[1])


def deadly(source, target, *more, **words):
    global count
    if str(target).endswith("state"):
        count -= 1
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return move(source, target, *more, **words)


os.replace = deadly

from recsec.cli.main import main

words = ["log.parquet", "--detectors", "D", "--state", "state", "--out", "t.parquet"]
sys.exit(main(["detect", *words]))
'''


def test_killed_and_continued(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command after kill -9 ends with what an undisturbed one would have found."""
    log = joined(world.honest(world.groups.test[:8], UNSEEN), world.thieves("autoregressive", 2))
    write_log(tmp_path / "log.parquet", log)
    small = Fitted(
        world.fitted.catalog,
        {name: world.fitted.detectors[name] for name in ("accepted-rank", "seat", "transition")},
        {name: world.fitted.scales[name] for name in ("accepted-rank", "transition")},
        {
            name: world.fitted.calibrations[name]
            for name in ("accepted-rank", "seat", "transition", COMBINED)
        },
        world.fitted.linker,
        world.fitted.protocol,
    )
    small.save(tmp_path / "D")
    killed = subprocess.run(
        [sys.executable, "-c", DRIVER, "3"], cwd=tmp_path, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert not (tmp_path / "t.parquet").exists()
    assert Watch.resume(small, tmp_path / "state").seen == 200
    from recsec.cli.main import main

    monkeypatch.chdir(tmp_path)
    words = ["detect", "log.parquet", "--detectors", "D", "--state", "state", "--out"]
    assert main([*words, "t.parquet"]) == 0
    found = pl.read_parquet(tmp_path / "t.parquet")
    whole = judge(watched(small, log), log, level=0.05)
    assert found.equals(whole)


def test_saved_by_time_and_only_when_changed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = world.honest(world.groups.test[:6], UNSEEN)
    saved: list[int] = []
    keep = Watch.save
    monkeypatch.setattr(following, "BLOCK", 4)
    monkeypatch.setattr(Watch, "save", lambda one, path: (saved.append(one.seen), keep(one, path)))
    follow_log(world.fitted, log, state=tmp_path / "state")
    assert saved == [len(log)], "no second has passed: at the end alone"
    follow_log(world.fitted, log, state=tmp_path / "state")
    assert saved == [len(log)], "nothing is new"
    ticks = iter(range(10_000))
    monkeypatch.setattr(following, "SECONDS", 0.0)
    monkeypatch.setattr(following.time, "process_time", lambda: float(next(ticks)))
    follow_log(world.fitted, log, state=tmp_path / "other")
    gaps = np.diff(saved[1:]) // 4
    assert len(gaps) > 1
    assert gaps[:-1].min() >= following.TIMES - 1, "a save took one tick, and a block passes in one"


def test_processes_find_what_one_does(world: World, tmp_path: Path) -> None:
    """Through real processes, and again from the states that they kept."""
    log = joined(world.honest(world.groups.test[:8], UNSEEN), world.thieves("autoregressive", 2))
    write_log(tmp_path / "log.parquet", log)
    fast = ("accepted-rank", "transition")
    small = Fitted(
        world.fitted.catalog,
        {name: world.fitted.detectors[name] for name in fast},
        {name: world.fitted.scales[name] for name in fast},
        {name: world.fitted.calibrations[name] for name in (*fast, COMBINED)},
        world.fitted.linker,
        world.fitted.protocol,
    )
    small.save(tmp_path / "D")
    whole = recsec.detect(tmp_path / "log.parquet", tmp_path / "D")
    state = tmp_path / "state"
    for _ in range(2):
        found = recsec.detect(tmp_path / "log.parquet", tmp_path / "D", state=state, processes=2)
        assert found.accounts.equals(whole.accounts)
        assert found.faults == whole.faults
    assert sorted(one.name for one in tmp_path.glob("state*")) == ["state.1-of-2", "state.2-of-2"]
    seen = [Watch.resume(small, one).seen for one in tmp_path.glob("state*")]
    assert sum(seen) == len(log)
    assert min(seen) > 0


def test_watches_of_disjoint_accounts_merge(world: World) -> None:
    people, thieves = world.honest(world.groups.test[:10], UNSEEN), world.thieves("random", 2)
    left, right = watched(world.fitted, people), watched(world.fitted, thieves)
    left.merge(right)
    both = joined(people, thieves)
    assert left.accounts().equals(watched(world.fitted, both).accounts())
    assert left.seen == len(both)


def test_a_state_of_other_detectors_is_refused(world: World, tmp_path: Path) -> None:
    watched(world.fitted, world.thieves("random", 1)).save(tmp_path / "state")
    other = Fitted(
        world.fitted.catalog,
        {"transition": world.fitted.detectors["transition"]},
        {},
        world.fitted.calibrations,
    )
    with pytest.raises(RunError, match="belongs to other detectors"):
        Watch.resume(other, tmp_path / "state")
    (tmp_path / "state").write_bytes(b"half of it")
    with pytest.raises(CheckpointError, match="is damaged"):
        Watch.resume(world.fitted, tmp_path / "state")


def test_no_folder_and_a_broken_folder(world: World, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no folder of detectors"):
        Fitted.load(tmp_path)
    world.fitted.save(tmp_path / "D")
    (tmp_path / "D" / "detectors.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot read"):
        Fitted.load(tmp_path / "D")


def test_many_accounts(world: World) -> None:
    """Memory per account is small, and nobody is flagged for having asked twice."""
    accounts = 30_000
    rng = np.random.default_rng(0)
    calls = Calls(
        call=np.arange(2 * accounts),
        account=[f"u{row % accounts}" for row in range(2 * accounts)],
        parent=np.arange(2 * accounts) - accounts,
        items=rng.integers(1, 161, 2 * accounts).astype(np.int32),
        offsets=np.arange(2 * accounts + 1),
        k=np.full(2 * accounts, 10),
        answers=np.zeros((2 * accounts, 0), dtype=np.int32),
    )
    labels = ("accepted-rank", "continuity", "transition")
    fitted = Fitted(
        world.fitted.catalog,
        {label: world.fitted.detectors[label] for label in labels},
        {label: world.fitted.scales[label] for label in labels},
        {label: world.fitted.calibrations[label] for label in (*labels, COMBINED)},
        world.fitted.linker,
    )
    log = QueryLog(world.fitted.catalog, calls)
    table = judge(watched(fitted, log), log, level=0.05)
    assert (len(table), table["queries"].sum(), table["flagged"].sum()) == (accounts, 60_000, 0)


def test_one_account_alone(world: World) -> None:
    log = world.thieves("random", 1)
    table = judge(watched(world.fitted, log), log, level=0.05)
    assert table["flagged"].to_list() == [True]
    assert table["cluster"].to_list() == [None]


def test_the_account_table_can_be_scored_by_anyone(world: World) -> None:
    log = world.thieves("random", 4)
    table = account_table(world.fitted.watch(), log, (20, 50), {"group": "test", "truth": "thief"})
    assert table.columns == ["account", "queries", "detector", "score", "group", "truth"]
    assert len(table) == 4 * 2 * (len(world.fitted.detectors) + 1)
    mine = table.filter((pl.col("detector") == COMBINED) & (pl.col("queries") == QUERIES))
    honest = world.fitted.calibrations[COMBINED].scores[1]
    assert (mine["score"].to_numpy() > threshold_at(honest, 0.05)).all()
