"""Audits: a plan of attacks, its run directory, its report and its gate."""

from recsec.audit.conductor import Conductor
from recsec.audit.engines import Payload, Task
from recsec.audit.extraction.cells import CellSpec, Collection, Grid, expand
from recsec.audit.extraction.gate import judge
from recsec.audit.gate import exit_code, gate_policy, load_gate
from recsec.audit.plan import gate_class, load_plan, parse_plan, plan_class
from recsec.audit.runner import run_audit
from recsec.audit.sections import GatePlan, Plan, Section
from recsec.audit.threat import Found, Interim, Opened, ThreatAudit, ThreatRun, ThreatScope
from recsec.audit.verdict import no_verdict, verdict_on

__all__ = [
    "CellSpec",
    "Collection",
    "Conductor",
    "Found",
    "GatePlan",
    "Grid",
    "Interim",
    "Opened",
    "Payload",
    "Plan",
    "Section",
    "Task",
    "ThreatAudit",
    "ThreatRun",
    "ThreatScope",
    "exit_code",
    "expand",
    "gate_class",
    "gate_policy",
    "judge",
    "load_gate",
    "load_plan",
    "no_verdict",
    "parse_plan",
    "plan_class",
    "run_audit",
    "verdict_on",
]
