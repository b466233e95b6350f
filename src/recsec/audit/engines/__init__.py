"""Where the tasks of an audit run: local processes now, a cluster as the second."""

from recsec.audit.engines.base import Engine, Failure, Payload, Result, Task, Work, named
from recsec.audit.engines.local import LocalEngine

__all__ = ["Engine", "Failure", "LocalEngine", "Payload", "Result", "Task", "Work", "named"]
