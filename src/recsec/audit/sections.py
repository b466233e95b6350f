"""What the tables of a plan have in common, and the tables that all threats share.

Each threat adds its tables by a class that derives from ``Plan``, and its thresholds by one that
derives from ``GatePlan``; ``recsec.audit.plan`` puts them together.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal, Self, TypeAlias, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["EnginePlan", "GatePlan", "Plan", "Positive", "Section", "Seed", "Several"]

One = TypeVar("One")
Tables = TypeVar("Tables", bound="Plan")
Thresholds = TypeVar("Thresholds", bound="GatePlan")


def _several(value: Any) -> Any:
    """One value may stand for a list of one."""
    return value if isinstance(value, list | tuple) else [value]


Several: TypeAlias = Annotated[tuple[One, ...], BeforeValidator(_several), Field(min_length=1)]
Positive: TypeAlias = Annotated[int, Field(ge=1)]
Seed: TypeAlias = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    """Frozen and closed, as every table of a plan."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GatePlan(Section):
    """``[gate]``: what turns evidence into a verdict, as far as it is common to all threats."""

    fail_at: Literal["moderate", "high", "never"] = "high"
    baseline: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="an earlier run: the gate also fails at a regression against it"
    )

    def of(self, kind: type[Thresholds]) -> Thresholds:
        """This table as the class with the thresholds of one threat.

        Raises:
            TypeError: it was made without them.
        """
        if not isinstance(self, kind):
            raise TypeError(f"a gate without the thresholds of {kind.__name__}")
        return self


class EnginePlan(Section):
    """``[engine]``: where the work is done. Only threads and the device may change a result."""

    kind: Literal["local", "ray", "slurm"] = Field(
        default="local", description="processes of this machine, a Ray cluster, or Slurm jobs"
    )
    workers: Positive | None = Field(
        default=None, description="local: processes; null: one per core, at most 4"
    )
    threads: Positive = Field(
        default=1, description="threads of the numerical library in each worker"
    )
    device: str = "auto"
    address: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="ray: of the cluster; null: RAY_ADDRESS, or one on this machine"
    )
    memory_gb: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="ray, slurm: memory of one piece of work"
    )
    gpus: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="ray, slurm: GPUs of one piece of work"
    )
    minutes: Positive = Field(default=1440, description="slurm: the longest that a job may take")
    partition: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="slurm: where jobs are sent"
    )

    @property
    def processes(self) -> int:
        """``workers`` decided for this machine."""
        return self.workers or max(1, min(4, (os.cpu_count() or 1) // self.threads))

    @property
    def results(self) -> dict[str, Any]:
        """The part on which results may depend."""
        return {"threads": self.threads, "device": self.device}


class Plan(Section):
    """A whole audit: the tables of one threat or of several."""

    title: str | None = Field(default=None, min_length=1, description="of the report")
    gate: GatePlan = Field(default_factory=GatePlan)
    engine: EnginePlan = Field(default_factory=EnginePlan)

    def of(self, kind: type[Tables]) -> Tables:
        """This plan as the class with the tables of one threat.

        Raises:
            TypeError: it was made without them.
        """
        if not isinstance(self, kind):
            raise TypeError(f"a plan without the tables of {kind.__name__}")
        return self

    def public(self) -> Self:
        """The same plan without what an address may hide: user, password, query."""
        return self

    def spoken(self, command: str) -> str:
        """A command as typed, without what an address in it may hide."""
        return command

    def evidence(self) -> dict[str, Any]:
        """The part on which measurements depend, and so what a run directory belongs to.

        Thresholds, prices, the title and where the work is done may change between two runs of the
        same command: the finished work is then judged anew, and nothing is asked again.
        """
        whole = self.public().model_dump(mode="json", exclude={"title", "gate"})
        return whole | {"engine": self.engine.results}
