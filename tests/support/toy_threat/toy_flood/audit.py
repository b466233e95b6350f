"""The toy threat in audits: its cells ask a counter, some of which it refuses."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, model_validator

from recsec.audit import (
    Found,
    GatePlan,
    Opened,
    Payload,
    Plan,
    Section,
    Task,
    ThreatAudit,
    ThreatRun,
    ThreatScope,
    no_verdict,
    verdict_on,
)
from recsec.errors import ConfigError, TargetError
from recsec.reports import DataPart, Finding, Metric, ThreatModel
from toy_flood.report import Flood, FloodGate, FloodRow


class CounterPlan(Section):
    """``[counter]``."""

    name: str
    tires_at: int = Field(default=10, ge=1)
    sizes: tuple[int, ...] = Field(min_length=1)
    closed: bool = False


class CounterTables(Plan):
    """A plan with a counter."""

    counter: CounterPlan | None = None


class FloodLimitsPlan(Section):
    """``[gate.flood]``."""

    moderate: float = 0.2
    high: float = 0.5

    @model_validator(mode="after")
    def _ordered_flood(self):
        if self.moderate > self.high:
            raise ValueError("moderate is above high")
        return self


class FloodGatePlan(GatePlan):
    """``[gate]`` with floods."""

    flood: FloodLimitsPlan = Field(default_factory=FloodLimitsPlan)


class Flooding(Payload):
    """Ask ``size`` times."""

    run: str
    size: int
    tires_at: int
    closed: bool


class Flooded(Payload):
    """How many were answered."""

    answered: int


def flood(told: Flooding, progress) -> Flooded:
    """Keep a line per process that asked."""
    if told.closed:
        raise TargetError("the counter is closed")
    with Path(told.run, "asked.txt").open("a") as file:
        file.write(f"{told.size}\n")
    if os.environ.get("TOY_DIES_AT") == str(told.size):
        os._exit(9)
    progress("flood", told.size, told.size)
    return Flooded(answered=min(told.size, told.tires_at))


class FloodRun(ThreatRun):
    def __init__(self, plan, conductor):
        self.plan, self.conductor = plan, conductor

    def same_inputs(self):
        self.conductor.same("flood-inputs", {"counter": self.plan.name})

    def scope(self):
        done = [self.conductor.run.done(f"flood-{size}") for size in self.plan.sizes]
        return ThreatScope(len(done), sum(one is not None for one in done), 1.0)

    def measure(self, policy, *, interim):
        mine = policy.of(FloodGate)
        rows = []
        for size in self.plan.sizes:
            told = Flooding(
                run=str(self.conductor.run.path),
                size=size,
                tires_at=self.plan.tires_at,
                closed=self.plan.closed,
            )
            name = f"flood-{size}"
            self.conductor.do([Task(name, flood, told)], what=name)
            failure = self.conductor.failures.get(name)
            if failure is not None:
                rows.append(FloodRow(id=name, status="error", error=failure.message))
                continue
            share = self.conductor.need(name, Flooded).answered / size
            answered = Metric(value=share, low=share, high=share, n=size)
            rows.append(FloodRow(id=name, status="ok", answered=answered))
        lost = [1 - (row.answered.value or 0) for row in rows if row.answered is not None]
        rule = f"high from {mine.flood.high:g}"
        if len(lost) < len(rows):
            verdict = no_verdict("a flood failed", "", rule=rule, row=None)
        else:
            said = f"{max(lost):.2f} of the calls of the largest flood stay unanswered."
            verdict = verdict_on(
                max(lost), mine.flood, mine.fail_at, rule=rule, statement=said, row=0
            )
        part = Flood(
            data=DataPart(name=self.plan.name, fingerprint="0", synthetic=True),
            threat_model=ThreatModel(
                goal="Silence.", knowledge="None.", access="Calls.", budget="Calls."
            ),
            verdict=verdict,
            rows=tuple(rows),
        )
        finding = Finding(
            id="flood-tired",
            title="The counter tires",
            severity="info",
            atlas=("AML.T0029",),
            owasp=(),
            evidence=verdict.statement,
        )
        return Found(part, (finding,))


class OpenFlood(Opened):
    seeds = frozenset({7})

    def __init__(self, plan):
        self.plan = plan

    def start(self, conductor):
        return FloodRun(self.plan, conductor)


class FloodAudit(ThreatAudit):
    subject = "[counter]"
    tables = CounterTables
    gate = FloodGatePlan
    template = '\n# [counter]\n# name = "c"\n# sizes = [5, 20]\n'

    def asked(self, plan):
        return plan.of(CounterTables).counter is not None

    def open(self, plan, *, authorised):
        counter = plan.of(CounterTables).counter
        if counter.name == "none":
            raise ConfigError("there is no such counter")
        return OpenFlood(counter)
