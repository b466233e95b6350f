"""Where the tasks of an audit run: processes of this machine, a Ray cluster, Slurm jobs."""

from recsec.audit.engines.base import Engine, Failure, Payload, Result, Task, Work, named
from recsec.audit.engines.elsewhere import Placement
from recsec.audit.engines.local import LocalEngine

__all__ = [
    "Engine",
    "Failure",
    "LocalEngine",
    "Payload",
    "Placement",
    "Result",
    "Task",
    "Work",
    "named",
]
