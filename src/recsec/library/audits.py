"""Audits from Python: run a plan, run one attack, read what a run found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsec.errors import ConfigError, UsageError
from recsec.library.results import to_pandas

if TYPE_CHECKING:
    import pandas
    import polars as pl

    from recsec.audit import ThreatScope
    from recsec.data import Reading
    from recsec.reports import Finding, GatePolicy, Report, Threat, Verdict
    from recsec.reports.comparison import Diff
    from recsec.types import Progress

__all__ = ["AuditReport", "diff", "extract", "extract_plan", "read_report", "run_audit"]

SETTINGS = ("policy_settings", "length", "sessions", "surrogate_settings", "loss", "leak", "proxy")


@dataclass(frozen=True, eq=False, repr=False)
class AuditReport:
    """What an audit found.

    Attributes:
        path: the run directory; ``report.html`` is in it.
        report: the whole of ``report.json``, as frozen models.
    """

    path: Path
    report: Report

    @property
    def verdict(self) -> Verdict:
        """Level, whether the gate is passed, the rule, and what was found in words."""
        return self.report.verdict

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What to act on, the worst first."""
        return self.report.findings

    @cached_property
    def tables(self) -> dict[str, pl.DataFrame]:
        """All tables by name, such as ``findings`` and ``extraction.cells``."""
        from recsec.reports.formats.tables import tables_of

        return tables_of(self.report)

    def table(self, name: str) -> pl.DataFrame:
        """One table: ``cells``, ``rows``, ``worst``, ``findings``, ...

        Raises:
            UsageError: no table, or several, are called that.
        """
        from recsec.reports.formats.tables import table_named

        return table_named(self.report, name)

    def to_pandas(self, name: str) -> pandas.DataFrame:
        """One table for pandas.

        Raises:
            UsageError: no such table, or pandas is not installed.
        """
        return to_pandas(self.table(name))

    @property
    def _judged(self) -> str:
        return f"{self.verdict.level}, {self.report.gate}"

    def __repr__(self) -> str:
        return f"AuditReport({self.report.title!r}, {self._judged}, {self.path})"

    def _repr_html_(self) -> str:
        from markupsafe import Markup

        found = Markup().join(
            Markup("<li>{}: {}. {}</li>").format(one.severity, one.title, one.evidence)
            for one in self.findings
        )
        note = " (made-up data: no evidence)" if self.report.synthetic else ""
        return Markup("<p><b>{}: {}{}</b></p><p>{}</p><ul>{}</ul><p>{}</p>").format(
            self.report.title,
            self._judged,
            note,
            self.verdict.statement,
            found,
            self.path / "report.html",
        )


def read_report(run: Path | str) -> AuditReport:
    """The report of an audit or an extraction that was run.

    Raises:
        RunError: there is none, or it is damaged or of another version.
    """
    from recsec.reports import read_report as read

    path = Path(run)
    return AuditReport(path, read(path))


def run_audit(
    plan: Path | str | Mapping[str, Any],
    out: Path | str,
    *,
    gate: Path | str | None = None,
    authorised: bool = False,
    answers_of: Path | str | None = None,
    same_answers: bool = False,
    command: str = "recsec.run_audit",
    announce: Callable[[Mapping[Threat, ThreatScope]], None] | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Run a plan of attacks, or continue it, and write the report; see ``recsec audit``.

    A failed gate is not an error here: ``verdict`` says it.

    Args:
        plan: a TOML file, or its tables as a dictionary.
        out: the run directory; the same plan resumes.
        gate: a file of thresholds that override the plan's.
        authorised: the owner of a target beyond this machine agreed.
        answers_of: another run, whose answers to the same questions are taken along.
        same_answers: the target's files changed since the run was begun, its answers did not.
        command: what the report says was typed.
        announce: is told what will happen before the first query.
        progress: is told how it goes.

    Raises:
        ConfigError: the plan names something that does not exist or does not fit.
        DataError, CheckpointError, TargetError: data or target are missing or broken.
        RunError: the run directory is busy, broken or another plan's.
    """
    from recsec import audit

    wanted = audit.parse_plan(plan) if isinstance(plan, Mapping) else audit.load_plan(plan)
    policy: GatePolicy | None = None if gate is None else audit.load_gate(gate)
    found = audit.run_audit(
        wanted,
        out,
        command=command,
        authorised=authorised,
        answers_of=answers_of,
        same_answers=same_answers,
        policy=policy,
        announce=announce,
        progress=progress,
    )
    return AuditReport(Path(out), found)


def diff(old: Path | str | AuditReport, new: Path | str | AuditReport) -> Diff:
    """What changed between two audits, cell by cell; see ``recsec diff``.

    Args:
        old: the run directory before, or its report.
        new: the same after.

    Raises:
        RunError: one has no report, or it is damaged.
    """
    from recsec.reports.comparison import compare_runs

    folders = [one.path if isinstance(one, AuditReport) else one for one in (old, new)]
    return compare_runs(*folders)


def extract_plan(
    model: str,
    data: str | None,
    out: Path,
    *,
    policy: str = "mixed",
    k: int = 10,
    calls: int = 10_000,
    columns: Mapping[str, str] | None = None,
    seed: int = 0,
    surrogate: str = "sasrec",
    adaptive: Sequence[str] = (),
    guards: Sequence[str] = (),
    twins: int = 1,
    users: int | None = None,
    reading: Reading | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """The plan of an audit with one cell; see ``extract``.

    Args:
        model: whom to copy, as ``--model`` takes it.
        data: the name of the data, as ``--data`` takes it; None: those of the checkpoint.
        out: the run directory.
        policy: which queries; ``recsec list policies``.
        k: list length asked for.
        calls: the budget.
        columns: of an own table, our names to the file's.
        seed: of the attack.
        surrogate: architecture of the copy.
        adaptive: what the thief does about defenses.
        guards: as ``--guard`` takes them.
        twins: independent models to train for scale.
        users: measure on so many only.
        reading: what else there is to say about the data.
        settings: ``length``, ``sessions``, ``loss``, ``leak``, ``proxy``, ``policy_settings`` and
            ``surrogate_settings``.
        device: where the copy is trained.

    Raises:
        ConfigError: a policy, a switch or a setting that there is not.
    """
    from recsec.attacks.extraction import Adaptive
    from recsec.registry import registry

    registry("policies").get(policy)
    Adaptive.parse(adaptive)
    chosen = dict(settings or {})
    unknown = sorted(set(chosen) - set(SETTINGS))
    if unknown:
        raise ConfigError(
            f"there is no setting {', '.join(unknown)}", hint=f"settings: {', '.join(SETTINGS)}"
        )
    if "policy_settings" in chosen:
        chosen["policy_settings"] = {policy: chosen["policy_settings"]}
    from recsec.data import Reading

    told = reading or Reading()
    told = told.model_copy(update={"columns": {**told.columns, **(columns or {})}})
    target: dict[str, Any] = {"model": model, "twins": twins}
    if data is None:
        from recsec.targets import remembered

        if told.said():
            raise UsageError(
                f"{', '.join(told.said())}: about data, which are left out", hint="name the data"
            )
        own = remembered(model)
        data, told, target["fingerprint"] = own.data, own.reading, own.fingerprint
    target |= {"data": data, "columns": told.columns, **told.said()}
    if guards:
        from recsec.library.opening import guarded_plan
        from recsec.settings import parse_guards

        target |= guarded_plan(
            model,
            parse_guards(guards),
            data=data,
            reading=told,
            out=out,
            twins=twins,
        )
    return {
        "target": target,
        "extraction": {
            "policies": policy,
            "k": k,
            "calls": calls,
            "seeds": seed,
            "surrogate": surrogate,
            "adaptive": list(adaptive),
            **chosen,
        },
        "evaluation": {"users": users, "recheck": False},
        "gate": {"fail_at": "never"},
        "engine": {"device": device},
    }


def extract(
    model: str,
    data: str | None,
    out: Path | str,
    *,
    authorised: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> AuditReport:
    """Copy a recommender through its top-k API and measure the copy; see ``recsec extract``.

    An audit of one cell. The surrogate is a checkpoint folder in ``out/surrogate``.

    Args:
        model: whom to copy, as ``--model`` takes it.
        data: the name of the data, as ``--data`` takes it; None: those of the checkpoint.
        out: the run directory; the same work resumes.
        authorised: the owner of a target beyond this machine agreed.
        progress: is told how it goes.
        **options: ``policy``, ``k``, ``calls``, ``guards`` and the others of ``extract_plan``.

    Raises:
        ConfigError: an option does not fit.
        DataError, CheckpointError, TargetError: data or target are missing or broken.
        RunError: the run directory is busy, broken or another plan's.
    """
    plan = extract_plan(model, data, Path(out), **options)
    return run_audit(plan, out, authorised=authorised, command="recsec.extract", progress=progress)
