"""Run a plan: every threat that it names, judged together, in one run directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recsec.audit.conductor import Conductor
from recsec.audit.engines import Engine, LocalEngine, Placement
from recsec.audit.gate import gate_policy, worse
from recsec.audit.plan import without_idle
from recsec.audit.reuse import take_along
from recsec.audit.sections import EnginePlan, Plan
from recsec.audit.threat import Found, Opened, ThreatScope, audits
from recsec.errors import ConfigError, RunError
from recsec.reports import (
    GatePolicy,
    Report,
    Reproduce,
    Threat,
    read_report,
    render,
    report_class,
)
from recsec.reports.comparison import compare_reports
from recsec.runs import RunDirectory, check_room
from recsec.types import Progress

__all__ = ["run_audit"]

INCOMPLETE = "incomplete"
ORDER = ("high", "moderate", "low", "info")


def run_audit(
    plan: Plan,
    out: Path | str,
    *,
    command: str,
    authorised: bool = False,
    policy: GatePolicy | None = None,
    answers_of: Path | str | None = None,
    same_answers: bool = False,
    engine: Engine | None = None,
    announce: Callable[[Mapping[Threat, ThreatScope]], None] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Run a plan in a run directory, or continue it, and write the report there.

    A module that calls this from a script needs the usual ``if __name__ == "__main__":``, because
    workers are spawned.

    Args:
        plan: what to do.
        out: the run directory.
        command: what the user typed, for the report.
        authorised: the owner of a target beyond this machine agreed.
        policy: thresholds that override the plan's.
        answers_of: another run, whose answers to the same questions are taken along.
        same_answers: files of the target that answer may have changed since the run was begun, but
            not their answers: recorded calls are asked again.
        engine: where tasks run; by default where ``[engine]`` says.
        announce: is told what is going to happen before the first query.
        progress: is told how it goes.

    Returns:
        The report; it is also in ``report.json``, ``report.html``, ``junit.xml``, ``sarif.json``.

    Raises:
        ConfigError: the plan names something that does not exist or does not fit.
        DataError, CheckpointError, TargetError: data or target are missing or broken.
        RunError: the run directory is busy, broken or another plan's.
    """
    rules = policy or gate_policy(plan.gate)
    baseline = None if rules.baseline is None else _baseline(rules.baseline, Path(out))
    opened = {
        threat: audit.open(plan, authorised=authorised)
        for threat, audit in audits().items()
        if audit.asked(plan)
    }
    threads = plan.engine.threads
    typed = plan.spoken(command)
    found: dict[Threat, Found] = {}
    with (
        RunDirectory.create_or_resume(
            out, "audit", plan.evidence(), threads=threads, replan=not _judged(Path(out))
        ) as run,
        _engine(plan.engine, run) as own,
    ):
        if answers_of is not None:
            take_along(run, Path(answers_of))
        conductor = Conductor(run, engine or own, progress, same_answers)
        works = {threat: one.start(conductor) for threat, one in opened.items()}
        for work in works.values():
            work.same_inputs()
        scopes = {threat: work.scope() for threat, work in works.items()}
        if announce is not None:
            announce(scopes)
        check_room(run.path, sum(scope.room for scope in scopes.values()))
        for threat, work in works.items():

            def interim(told: Found, threat: Threat = threat) -> None:
                _write(run, _report(plan, run, rules, opened, found | {threat: told}, typed))

            found[threat] = work.measure(rules, interim=interim)
        report = _report(plan, run, rules, opened, found, typed)
        if baseline is not None:
            report = _against(baseline, report, Path(rules.baseline or ""), run.path)
        _write(run, report)
        run.record("reported", level=report.verdict.level, passed=report.verdict.passed)
    return report


def _engine(plan: EnginePlan, run: RunDirectory) -> Engine:
    """Where the tasks of a run are done.

    Raises:
        ConfigError: that engine is not installed, or not to be reached.
    """
    if plan.kind == "local":
        return LocalEngine(workers=plan.processes, threads=plan.threads)
    placement = Placement(str(run.path.resolve()), run.word, plan.threads)
    if plan.kind == "ray":
        from recsec.audit.engines.ray import RayEngine

        return RayEngine(placement, address=plan.address, memory_gb=plan.memory_gb, gpus=plan.gpus)
    from recsec.audit.engines.slurm import SlurmEngine

    return SlurmEngine(
        placement,
        minutes=plan.minutes,
        memory_gb=plan.memory_gb,
        gpus=plan.gpus,
        partition=plan.partition,
    )


def _baseline(name: str, out: Path) -> Report:
    """The report of the run that the gate compares with.

    Raises:
        ConfigError: there is none, or it is the run itself.
    """
    folder = Path(name)
    if folder.resolve() == out.resolve():
        raise ConfigError(f"[gate] baseline = {name!r} is the run itself")
    try:
        return read_report(folder)
    except RunError as error:
        raise ConfigError(
            f"[gate] baseline = {name!r}: {error.message}",
            hint="name the folder of a finished audit, or leave baseline out of the first run",
        ) from error


def _against(baseline: Report, report: Report, old: Path, new: Path) -> Report:
    """The report with a verdict that a regression fails."""
    found = compare_reports(baseline, report, old=old, new=new, names=(str(old), str(new)))
    told = f"Against {old}: {'; '.join(found.reasons) or 'no regression'}."
    verdict = report.verdict.model_copy(
        update={
            "passed": report.verdict.passed and not found.regression,
            "rule": f"{report.verdict.rule} A regression against {old} fails the gate too.",
            "statement": f"{report.verdict.statement} {told}",
        }
    )
    return report.model_copy(update={"verdict": verdict})


def _judged(out: Path) -> bool:
    """Whether a run has come to a verdict: it then stays the plan's that made it."""
    if not (out / "report.json").exists():
        return False
    try:
        return bool(read_report(out).verdict.level != INCOMPLETE)
    except RunError:
        return True


def _write(run: RunDirectory, report: Report) -> None:
    with run.timed("render"):
        run.write_json("report.json", report.model_dump(mode="json"))
        render(run.path)


def _report(
    plan: Plan,
    run: RunDirectory,
    policy: GatePolicy,
    opened: Mapping[Threat, Opened],
    found: Mapping[Threat, Found],
    command: str,
) -> Report:
    """All parts and what follows from them together."""
    parts: dict[str, Any] = {threat.name: one.part for threat, one in found.items()}
    titles = [threat.title(one.part) for threat, one in found.items()]
    findings = [finding for one in found.values() for finding in one.findings]
    shown = plan.public().model_dump(mode="json") | {"engine": plan.engine.results}
    return report_class()(
        title=plan.title or ", ".join(titles),
        synthetic=any(part.data.synthetic for part in parts.values()),
        verdict=worse([part.verdict for part in parts.values()]),
        findings=tuple(sorted(findings, key=lambda finding: ORDER.index(finding.severity))),
        policy=policy,
        reproduce=Reproduce(
            command=command,
            seeds=tuple(sorted({seed for one in opened.values() for seed in one.seeds})),
            threads=run.threads,
            versions=run.versions,
            plan_digest=run.plan_digest,
            plan=without_idle(plan, shown),
        ),
        **parts,
    )
