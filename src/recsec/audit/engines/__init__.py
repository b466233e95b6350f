"""Where the tasks of an audit run: local processes now, a cluster as the second."""

from recsec.audit.engines.base import Engine, Failure, Result, Task, run_task
from recsec.audit.engines.local import LocalEngine

__all__ = ["Engine", "Failure", "LocalEngine", "Result", "Task", "run_task"]
