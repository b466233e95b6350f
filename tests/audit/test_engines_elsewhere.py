"""Engines of other machines: a real Ray cluster of two nodes, and Slurm's jobs as local processes.

What both share (the word of the owner, the same versions, a folder that every machine sees) is
tested without them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recsec.audit.engines import Payload, Placement, Task
from recsec.audit.engines.elsewhere import run_elsewhere
from recsec.audit.engines.ray import QUIET, RayEngine
from recsec.audit.engines.slurm import SlurmEngine
from recsec.errors import ConfigError
from recsec.runs import RunDirectory, atomic_write_text

pytestmark = pytest.mark.filterwarnings("default")  # Ray's and submitit's own


class Number(Payload):
    x: int


class Seen(Payload):
    square: int
    pid: int
    threads: int
    folder: str


class Deed(Payload):
    folder: str
    how: str


def square(told: Number, progress: Any) -> Seen:
    import torch

    return Seen(
        square=told.x**2, pid=os.getpid(), threads=torch.get_num_threads(), folder=os.getcwd()
    )


def talk(told: Number, progress: Any) -> Seen:
    """Says how far it is, and goes on when that was heard."""
    progress("talk", 1, 2)
    end = time.monotonic() + 120
    while not Path(os.environ["RECSEC_HEARD"]).exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    return square(told, progress)


def die(told: Deed, progress: Any) -> Seen:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def stay(told: Number, progress: Any) -> Seen:
    signal.pause()
    raise AssertionError


def write(told: Deed, progress: Any) -> Seen:
    """Writes, waits until somebody else has taken the run, and would write again."""
    atomic_write_text(Path(told.folder) / "first", told.how)
    if told.how == "late":
        RunDirectory.create_or_resume(told.folder, "test", {}).close()
    atomic_write_text(Path(told.folder) / "second", told.how)
    return square(Number(x=1), progress)


@pytest.fixture
def placement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Placement:
    monkeypatch.setenv("RECSEC_HEARD", str(tmp_path / "heard"))
    with RunDirectory.create_or_resume(tmp_path / "run", "test", {}) as run:
        return Placement(str(run.path), run.word, 1, folder=str(Path(__file__).parents[2]))


def hear(what: str, done: int, total: int) -> None:
    assert (what, done, total) == ("talk", 1, 2)
    Path(os.environ["RECSEC_HEARD"]).touch()


def failure_of(placement: Placement, task: Task) -> Any:
    result = run_elsewhere(json.loads(json.dumps(placement.pack(task))))
    assert result.failure is not None
    return result.failure


def test_a_worker_thought_dead_writes_no_more(placement: Placement) -> None:
    """The fence: it falls when somebody takes the run directory."""
    run = Path(placement.run)
    late = failure_of(placement, Task("late", write, Deed(folder=str(run), how="late")))
    assert "another process has taken the run directory" in late.message
    assert (run / "first").exists()
    assert not (run / "second").exists()
    assert not list(run.glob(".second*")), "and leaves nothing behind"
    old = failure_of(placement, Task("old", square, Number(x=2)))
    assert "this attempt writes no more" in old.message, "nor does one that begins afterwards"
    atomic_write_text(run / "second", "the owner writes as before")


def test_what_another_machine_may_lack_is_said(placement: Placement, tmp_path: Path) -> None:
    task = Task("t", square, Number(x=2))
    unseen = failure_of(replace(placement, run=str(tmp_path / "nowhere")), task)
    assert "this machine does not see the run directory" in unseen.message
    assert "storage that all machines of the cluster share" in unseen.hint
    folder = failure_of(replace(placement, folder=str(tmp_path / "nowhere")), task)
    assert "does not see the folder" in folder.message
    other = {**placement.versions, "numpy": "0.9"}
    version = failure_of(replace(placement, versions=other), task)
    assert f"numpy {placement.versions['numpy']}, not 0.9" in version.message


def test_slurm_jobs(placement: Placement) -> None:
    """Through submitit's processes in Slurm's place."""
    with SlurmEngine(placement, minutes=5, cluster="local") as engine:
        tasks = [Task("t3", talk, Number(x=3)), Task("dead", die, Deed(folder="", how=""))]
        results = {result.id: result for result in engine.run(tasks, progress=hear)}
    assert results["t3"].value is not None
    assert results["t3"].value["square"] == 9
    assert results["t3"].value["pid"] != os.getpid()
    assert not (Path(placement.run) / ".progress").exists()
    assert results["dead"].failure is not None
    assert results["dead"].failure.kind == "WorkerDied"


def test_a_job_that_slurm_takes_away_is_queued_with_the_same_task(placement: Placement) -> None:
    from recsec.audit.engines.slurm import _Job

    packed = placement.pack(Task("t3", square, Number(x=3)))
    again = _Job().checkpoint(packed)
    assert again.function(*again.args, **again.kwargs).value["square"] == 9


def test_without_slurm_it_is_said(placement: Placement) -> None:
    with pytest.raises(ConfigError, match="there is no Slurm here") as error:
        SlurmEngine(placement, minutes=5)
    assert error.value.hint is not None
    assert "kind = 'local'" in error.value.hint


def test_a_cluster_that_wants_a_token_is_named(
    placement: Placement, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")

    def init(**_: Any) -> None:
        raise ray.exceptions.AuthenticationError("no authentication token was found")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(ConfigError, match="at h:1: no authentication token was found") as error:
        RayEngine(placement, address="h:1")
    assert "RAY_AUTH_TOKEN" in str(error.value.hint)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one core each, as real Ray processes."""
    pytest.importorskip("ray")
    os.environ |= QUIET
    from ray.cluster_utils import Cluster

    memory = 100 * 2**20
    nodes = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": memory, "include_dashboard": False},
    )
    nodes.add_node(num_cpus=1, object_store_memory=memory)
    yield nodes
    nodes.shutdown()


def test_ray_spreads_loses_and_goes_on(
    cluster: Any, placement: Placement, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RayEngine(placement, address=cluster.address) as engine:
        tasks = [*(Task(f"t{x}", talk if x else square, Number(x=x)) for x in range(3))]
        tasks.append(Task("dead", die, Deed(folder="", how="")))
        results = {result.id: result for result in engine.run(tasks, progress=hear)}
        values = [results[f"t{x}"].value for x in range(3)]
        assert [value["square"] for value in values if value] == [0, 1, 4]
        assert {value["threads"] for value in values if value} == {1}
        assert {value["folder"] for value in values if value} == {placement.folder}
        assert results["dead"].failure is not None
        assert results["dead"].failure.kind == "WorkerDied"
        again = list(engine.run(tasks[:1]))
        assert again[0].value is not None
        with monkeypatch.context() as patch:  # the last node is gone
            patch.setattr(engine._ray, "nodes", list)
            patch.setattr("recsec.audit.engines.ray.SECONDS_BETWEEN_LOOKS", 0.05)
            patch.setattr("recsec.audit.engines.ray.SECONDS_WITHOUT_A_NODE", 0.0)
            left = [*engine.run([Task("s1", stay, Number(x=1)), Task("s2", stay, Number(x=2))])]
        told = [result.failure.message for result in left if result.failure]
        assert (
            told == ["the worker is gone: no node of the Ray cluster has {'CPU': 1} any more"] * 2
        )
    with pytest.raises(ConfigError, match=r"no node of the Ray cluster has {'CPU': 64"):
        RayEngine(replace(placement, threads=64), address=cluster.address)


PLAN = """
[target]
train = "markov"
data = "synthetic:users=60,items=40"
twins = 0
[[extraction]]
policies = ["mixed", "random"]
calls = 60
seeds = 0
length = 15
surrogate_settings = { embedding_dim = 8, blocks = 1, max_length = 15, epochs = 2 }
[evaluation]
resamples = 100
recheck = false
[engine]
device = "cpu"
"""


@pytest.mark.slow
def test_a_plan_gives_the_same_report_wherever_it_is_done(cluster: Any, tmp_path: Path) -> None:
    """Also when who runs it is killed in the middle, and changes from Ray to this machine."""
    command = [sys.executable, "-m", "recsec", "audit", "plan.toml", "--out", "run", "--quiet"]
    reports = {}
    for name, where in {
        "local": "workers = 1",
        "ray": f'kind = "ray"\naddress = "{cluster.address}"',
        "killed": f'kind = "ray"\naddress = "{cluster.address}"',
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "plan.toml").write_text(f"{PLAN}{where}\n")
        if name == "killed":
            process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
            while process.poll() is None and not list(folder.glob("run/cells/ask-*")):
                time.sleep(0.02)
            process.kill()
            process.wait()
            assert not (folder / "run" / "report.json").exists()
            (folder / "plan.toml").write_text(f"{PLAN}workers = 1\n")
        subprocess.run(command, cwd=folder, check=False, capture_output=True, timeout=300)
        reports[name] = (folder / "run" / "report.json").read_bytes()
    assert reports["ray"] == reports["local"]
    assert reports["killed"] == reports["local"]
