"""What an audit does about a threat: its tables, its work, its part of the report, its verdict.

A threat is two classes: ``recsec.reports.Threat``, which is registered and says how a report shows
it, and the ``ThreatAudit`` that it names, which plans and works. The runner knows no threat by
name.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar, TypeAlias

from recsec.audit.conductor import Conductor
from recsec.audit.sections import GatePlan, Plan
from recsec.reports import Finding, GatePolicy, Threat, ThreatPart, threats

__all__ = [
    "Found",
    "Interim",
    "Opened",
    "ThreatAudit",
    "ThreatRun",
    "ThreatScope",
    "audits",
]


@dataclass(frozen=True)
class Found:
    """What a run found out about one threat.

    Attributes:
        part: its part of the report.
        findings: what to act on.
    """

    part: ThreatPart
    findings: tuple[Finding, ...]


Interim: TypeAlias = Callable[[Found], None]


@dataclass(frozen=True)
class ThreatScope:
    """What is going to happen, said before the first query.

    Attributes:
        cells: attacks that are measured.
        finished: units of work that an earlier process has measured already.
        seconds: a rough estimate of what is left.
        room: bytes that it may take on the disk, likewise.
    """

    cells: int
    finished: int
    seconds: float
    room: int = field(default=0, kw_only=True)

    def words(self, duration: Callable[[float], str]) -> list[str]:
        """Lines for a person.

        Args:
            duration: prints seconds.
        """
        lines = [f"{self.cells} cells; about {duration(self.seconds)}"]
        if self.finished:
            lines.append(f"{self.finished} are finished already")
        return lines


class ThreatRun(ABC):
    """The work of one process on one threat of one run; resumable."""

    @abstractmethod
    def same_inputs(self) -> None:
        """Refuse to go on with other inputs than the finished work saw.

        Raises:
            RunError: they changed since the run was begun.
        """

    @abstractmethod
    def scope(self) -> ThreatScope:
        """What is left to do, as far as it is known before the first query."""

    @abstractmethod
    def measure(self, policy: GatePolicy, *, interim: Interim) -> Found:
        """Do through the conductor what is not done yet, and say what was found.

        Args:
            policy: thresholds.
            interim: may be told what is known so far; what is still to come counts as missing.
        """


class Opened(ABC):
    """A threat whose tables were found to be right: what they name exists, nothing was spent.

    Attributes:
        seeds: all seeds that the tables hold.
    """

    seeds: frozenset[int]

    @abstractmethod
    def start(self, conductor: Conductor) -> ThreatRun:
        """Its work in a run directory."""


class ThreatAudit(ABC):
    """How an audit plans and tries one threat.

    Attributes:
        subject: its first table, as a plan spells it: ``[target]``.
        tables: a plan with its tables.
        gate: the table ``[gate]`` with its thresholds.
        template: its tables for ``recsec audit init``, where the common template lacks them.
    """

    subject: ClassVar[str]
    tables: ClassVar[type[Plan]]
    gate: ClassVar[type[GatePlan]]
    template: ClassVar[str] = ""

    @abstractmethod
    def asked(self, plan: Plan) -> bool:
        """Whether a plan has its tables."""

    @abstractmethod
    def open(self, plan: Plan, *, authorised: bool) -> Opened:
        """Check everything that can be known before anything is spent.

        Args:
            plan: has its tables.
            authorised: the owner of a target beyond this machine agreed.

        Raises:
            ConfigError: something that does not exist or does not fit.
            DataError, CheckpointError, TargetError: data, models or target are missing or broken.
        """


@cache
def audits() -> Mapping[Threat, ThreatAudit]:
    """How each installed threat is audited, in the order of a page."""
    found: dict[Threat, ThreatAudit] = {}
    for threat in threats():
        module, _, name = threat.audit.partition(":")
        found[threat] = getattr(importlib.import_module(module), name)()
    return found
