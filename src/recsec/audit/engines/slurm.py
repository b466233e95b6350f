"""Tasks as Slurm jobs, through submitit: https://github.com/facebookincubator/submitit.

A task is a job. One that Slurm takes away (its time is over, another goes first) is queued again
and continues where it was. submitit exchanges files of its own in the run directory's ``jobs``
folder, and reads only what its own jobs wrote there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from recsec.audit.engines.base import Result, Task
from recsec.audit.engines.elsewhere import Placement, lost, run_elsewhere
from recsec.audit.engines.reports import reads_reports
from recsec.errors import ConfigError
from recsec.types import Progress

__all__ = ["SlurmEngine"]

FOLDER = "jobs"
SECONDS_BETWEEN_LOOKS = 0.5


class _Job:
    """What a job does, and what is queued again when Slurm takes its machine away."""

    def __call__(self, packed: dict[str, Any]) -> Result:
        return run_elsewhere(packed)

    def checkpoint(self, packed: dict[str, Any]) -> Any:
        """The same call once more: it finds in the run directory how far it was."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(_Job(), packed)


class SlurmEngine:
    """One job per task.

    Args:
        placement: for whom and where the tasks are done.
        minutes: the longest that a job may take before it is queued again.
        memory_gb: of a job; None leaves it to Slurm.
        gpus: of a job.
        partition: where jobs are sent; None leaves it to Slurm.
        cluster: ``slurm``, or ``local``: processes of this machine in Slurm's place.

    Raises:
        ConfigError: submitit is not installed, or there is no Slurm here.
    """

    def __init__(
        self,
        placement: Placement,
        *,
        minutes: int,
        memory_gb: float | None = None,
        gpus: float = 0.0,
        partition: str | None = None,
        cluster: str = "slurm",
    ) -> None:
        try:
            import submitit
        except ImportError as error:
            raise ConfigError(
                "[engine] kind = 'slurm' needs the package submitit",
                hint="pip install 'recsec[slurm]'",
            ) from error
        if gpus != int(gpus):
            raise ConfigError(f"[engine] gpus = {gpus}: Slurm gives whole ones")
        self.placement = placement
        self._lost: type[Exception] = submitit.core.utils.UncompletedJobError
        try:
            self._executor = submitit.AutoExecutor(Path(placement.run) / FOLDER, cluster=cluster)
        except RuntimeError as error:
            raise ConfigError(
                "[engine] kind = 'slurm': there is no Slurm here (no srun)",
                hint="start the audit where sbatch works, or kind = 'local'",
            ) from error
        self._executor.update_parameters(
            name="recsec",
            timeout_min=minutes,
            cpus_per_task=placement.threads,
            gpus_per_node=int(gpus),
            **({} if memory_gb is None else {"mem_gb": memory_gb}),
            **({} if partition is None else {"slurm_partition": partition}),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Jobs end with the ``run`` that made them."""

    def run(self, tasks: Iterable[Task], *, progress: Progress | None = None) -> Iterator[Result]:
        """See ``Engine.run``."""
        jobs = {self._executor.submit(_Job(), self.placement.pack(task)): task for task in tasks}
        with reads_reports(Path(self.placement.run), progress) as read:
            try:
                while jobs:
                    read()
                    for job in [job for job in jobs if job.done()]:
                        yield self._outcome(job, jobs.pop(job))
                    if jobs:
                        time.sleep(SECONDS_BETWEEN_LOOKS)
            finally:
                for job in jobs:
                    job.cancel()

    def _outcome(self, job: Any, task: Task) -> Result:
        try:
            result: Result = job.result()
        except self._lost as error:
            return lost(task, str(error).splitlines()[0])
        return result
