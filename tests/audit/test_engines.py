"""Tasks end in a value or in a failure that says why; workers never outlive their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from waiting import until

from recsec.audit.engines import LocalEngine, Payload, Task
from recsec.errors import BudgetExhausted, TargetError


class Number(Payload):
    x: int


class Squared(Payload):
    square: int
    threads: int
    pid: int


class End(Payload):
    how: str


def square(told: Number, progress: Any) -> Squared:
    progress(f"square {told.x}", 1, 1)
    return Squared(square=told.x**2, threads=torch.get_num_threads(), pid=os.getpid())


def fail(told: End, progress: Any) -> Squared:
    if told.how == "target":
        raise TargetError("the target is closed", hint="open it")
    if told.how == "refused":
        raise BudgetExhausted("no more calls")
    if told.how == "exit":
        sys.exit(0)
    if told.how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    raise KeyError("missing")


def squares(count: int) -> list[Task]:
    return [Task(f"t{x}", square, Number(x=x)) for x in range(count)]


def test_inline_results_failures_and_progress() -> None:
    said: list[tuple[str, int, int]] = []
    before = torch.get_num_threads()
    tasks = [
        *squares(2),
        *(Task(how, fail, End(how=how)) for how in ("target", "refused", "defect", "exit")),
    ]
    with LocalEngine(workers=1, threads=1) as engine:
        results = {r.id: r for r in engine.run(tasks, progress=lambda *a: said.append(a))}
    assert results["t1"].value == {"square": 1, "threads": 1, "pid": os.getpid()}
    assert said == [("square 0", 1, 1), ("square 1", 1, 1)]
    assert torch.get_num_threads() == before
    target, refused, defect = (results[name].failure for name in ("target", "refused", "defect"))
    assert target is not None
    assert refused is not None
    assert defect is not None
    assert (target.kind, target.message, target.hint) == (
        "TargetError",
        "the target is closed",
        "open it",
    )
    assert (target.refused, refused.refused) == (False, True)
    assert defect.message == "KeyError: 'missing'"
    assert "test_engines.py" in str(defect.traceback)
    assert results["exit"].failure is not None
    assert results["exit"].failure.message == "SystemExit: 0"


def test_a_worker_that_dies_fails_its_task_and_the_engine_goes_on() -> None:
    """Also: two processes give what one gives, with the threads they were told."""
    with LocalEngine(workers=2, threads=1) as engine:
        values = {r.id: r.value for r in engine.run(squares(4)) if r.value is not None}
        assert [values[f"t{x}"]["square"] for x in range(4)] == [0, 1, 4, 9]
        assert {value["threads"] for value in values.values()} == {1}
        assert os.getpid() not in {value["pid"] for value in values.values()}
        dead = list(engine.run([Task(f"d{x}", fail, End(how="die")) for x in range(2)]))
        assert {r.failure.kind for r in dead if r.failure is not None} == {"WorkerDied"}
        assert len(dead) == 2


PARENT = """
import os, sys, time
sys.path.insert(0, os.getcwd())
from sleeper import Number, sleep
from recsec.audit.engines import LocalEngine, Task

if __name__ == "__main__":
    with LocalEngine(workers=2) as engine:
        list(engine.run([Task(str(x), sleep, Number(x=x)) for x in range(2)]))
"""
SLEEPER = """
import os, time
from recsec.audit.engines import Payload

class Number(Payload):
    x: int

def sleep(told, progress):
    with open(f"pid-{told.x}.tmp", "w") as file:
        file.write(str(os.getpid()))
    os.replace(f"pid-{told.x}.tmp", f"pid-{told.x}")
    time.sleep(600)
"""


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    with subprocess.Popen(
        [sys.executable, "parent.py"], cwd=tmp_path, stderr=subprocess.DEVNULL
    ) as parent:
        pids = [int(_wait_for(tmp_path / f"pid-{x}", parent)) for x in range(2)]
        parent.kill()
    until(lambda: not any(map(_alive, pids)))


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def _wait_for(path: Path, parent: subprocess.Popen[bytes]) -> str:
    until(lambda: path.exists() or parent.poll() is not None)
    return path.read_text()
