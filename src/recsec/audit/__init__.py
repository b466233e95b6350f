"""Audits: a plan of attacks, its run directory, its report and its gate."""

from recsec.audit.extraction.cells import CellSpec, Collection, Grid, expand
from recsec.audit.gate import exit_code, gate_policy, judge, load_gate
from recsec.audit.plan import Plan, load_plan, parse_plan
from recsec.audit.runner import run_audit
from recsec.audit.scope import Scope, scope_of

__all__ = [
    "CellSpec",
    "Collection",
    "Grid",
    "Plan",
    "Scope",
    "exit_code",
    "expand",
    "gate_policy",
    "judge",
    "load_gate",
    "load_plan",
    "parse_plan",
    "run_audit",
    "scope_of",
]
