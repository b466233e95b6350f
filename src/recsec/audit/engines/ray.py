"""Tasks on a Ray cluster, as plain remote functions: https://docs.ray.io/en/latest/ray-core/tasks.html.

Ray only decides where a task runs. It never runs one twice: a task is not retried when its worker
or its node dies, nor when it is killed for memory, for which Ray counts separately. What is done is
known from the run directory alone, and the same command does what is missing.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from recsec.audit.engines.base import Result, Task
from recsec.audit.engines.elsewhere import Placement, lost, run_elsewhere
from recsec.audit.engines.reports import reads_reports
from recsec.errors import ConfigError
from recsec.types import Progress

__all__ = ["QUIET", "RayEngine"]

QUIET = {  # settings of Ray, where the user has not chosen
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing of an audit is told to anybody
    "RAY_task_oom_retries": "0",
    "RAY_worker_niceness": "0",  # as other engines; 15 otherwise
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_WITHOUT_A_NODE = 60.0
"""Tasks wait so long for a node to come back; Ray would wait for ever."""


class RayEngine:
    """One remote function call per task.

    Args:
        placement: for whom and where the tasks are done.
        address: of the cluster; None stands for ``RAY_ADDRESS``, or a new one on this machine.
        memory_gb: memory that a task is given, as Ray counts it; None asks for none.
        gpus: that a task is given.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(
        self,
        placement: Placement,
        *,
        address: str | None = None,
        memory_gb: float | None = None,
        gpus: float = 0.0,
    ) -> None:
        os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
        try:
            import ray
        except ImportError as error:
            raise ConfigError(
                "[engine] kind = 'ray' needs the package ray", hint="pip install 'recsec[ray]'"
            ) from error
        self._ray: Any = ray
        self.placement = placement
        self._ours = not ray.is_initialized()
        if self._ours:
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
                raise ConfigError(
                    f"[engine] cannot join a Ray cluster at {address or 'RAY_ADDRESS'}: "
                    f"{str(error).splitlines()[0].partition('. ')[0]}",
                    hint="ray start --head on one machine, ray start --address=HOST:6379 on "
                    "others; all with the same RAY_AUTH_MODE and RAY_AUTH_TOKEN",
                ) from error
        wanted: dict[str, Any] = {"num_cpus": placement.threads, "num_gpus": gpus, "max_retries": 0}
        if memory_gb is not None:
            wanted["memory"] = int(memory_gb * 2**30)
        self._call = ray.remote(run_elsewhere).options(**wanted)
        keys = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
        self._asked = {
            keys[name]: value for name, value in wanted.items() if value and name in keys
        }
        if not self._fits():
            self.close()
            raise ConfigError(
                f"[engine] no node of the Ray cluster has {self._asked}",
                hint="lower threads, memory_gb or gpus, or add a node that has them",
            )

    def _fits(self) -> bool:
        """Whether some node can give what a task asks; where none can, Ray waits without a word."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return any(
            all(node.get(key, 0) >= value for key, value in self._asked.items()) for node in nodes
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._ours:
            self._ray.shutdown()

    def run(self, tasks: Iterable[Task], *, progress: Progress | None = None) -> Iterator[Result]:
        """See ``Engine.run``."""
        calls = {self._call.remote(self.placement.pack(task)): task for task in tasks}
        seen = time.monotonic()
        with reads_reports(Path(self.placement.run), progress) as read:
            try:
                while calls:
                    finished, _ = self._ray.wait(
                        list(calls), num_returns=1, timeout=SECONDS_BETWEEN_LOOKS
                    )
                    read()
                    for call in finished:
                        yield self._outcome(call, calls.pop(call))
                    if finished or self._fits():
                        seen = time.monotonic()
                    elif time.monotonic() - seen > SECONDS_WITHOUT_A_NODE:
                        why = f"no node of the Ray cluster has {self._asked} any more"
                        yield from (lost(task, why) for task in calls.values())
                        return
            finally:
                for call in calls:
                    self._ray.cancel(call, force=True)

    def _outcome(self, call: Any, task: Task) -> Result:
        try:
            result: Result = self._ray.get(call)
        except self._ray.exceptions.RayError as error:
            return lost(task, str(error).splitlines()[0])
        return result
