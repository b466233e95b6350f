"""Run a plan: every threat that it names, judged together, in one run directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from recsec.audit.conductor import Conductor
from recsec.audit.engines import Engine, LocalEngine
from recsec.audit.evasion.run import EvasionRun, open_visual
from recsec.audit.extraction.cells import expand
from recsec.audit.extraction.opening import open_data, open_model
from recsec.audit.extraction.part import extraction_part
from recsec.audit.extraction.run import ExtractionRun, check_attacks
from recsec.audit.gate import gate_policy, worse
from recsec.audit.plan import Plan
from recsec.audit.scope import Scope, scope_of
from recsec.reports import (
    Evasion,
    Extraction,
    Finding,
    GatePolicy,
    Report,
    Reproduce,
    render,
)
from recsec.runs import RunDirectory
from recsec.types import Progress

__all__ = ["run_audit"]

ORDER = ("high", "moderate", "low", "info")


def run_audit(
    plan: Plan,
    out: Path | str,
    *,
    command: str,
    authorised: bool = False,
    policy: GatePolicy | None = None,
    engine: Engine | None = None,
    announce: Callable[[Scope], None] | None = None,
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
        engine: where tasks run; by default processes of this machine.
        announce: is told what is going to happen before the first query.
        progress: is told how it goes.

    Returns:
        The report; it is also in ``report.json``, ``report.html``, ``junit.xml``, ``sarif.json``.

    Raises:
        ConfigError: the plan names something that does not exist or does not fit.
        DataError, CheckpointError, TargetError: data or target are missing or broken.
        RunError: the run directory is busy, broken or another plan's.
    """
    grid = expand(plan)
    rules = policy or gate_policy(plan.gate)
    public = plan.public()
    dataset = split = visual = None
    if plan.target is not None:
        check_attacks(grid, plan)
        dataset, split = open_data(plan.target.data, plan.target.columns)
        if plan.target.model is not None:
            open_model(plan.target.model, dataset, authorised=authorised)
        for defense in plan.defense:
            if defense.model is not None:
                open_model(defense.model, dataset, authorised=authorised)
            defense.content()
    if plan.visual is not None:
        visual = open_visual(plan)
    threads = plan.engine.threads
    typed = _public(command, plan)
    extraction: Extraction | None = None
    evasion: Evasion | None = None
    findings: list[Finding] = []
    with (
        RunDirectory.create_or_resume(out, "audit", plan.evidence(), threads=threads) as run,
        LocalEngine(workers=plan.engine.processes, threads=threads) as local,
    ):
        conductor = Conductor(run, engine or local, progress)
        thief = seller = None
        if plan.target is not None and dataset is not None:
            thief = ExtractionRun(plan, plan.target, grid, dataset, authorised, conductor)
            thief.same_inputs()
        if visual is not None:
            seller = EvasionRun(plan, visual, conductor)
            seller.same_inputs()
        if announce is not None:
            finished = sum(run.done(cell.id) is not None for cell in grid.cells)
            photos = None if seller is None else seller.scope()
            announce(scope_of(plan, grid, finished=finished, evasion=photos))
        if thief is not None and dataset is not None and split is not None:
            gathered = thief.gather(split)
            extraction, found = extraction_part(
                public, public.target or thief.target, grid, run, dataset, gathered, rules
            )
            findings += found
        if seller is not None:

            def interim(told: tuple[Evasion, tuple[Finding, ...]]) -> None:
                so_far = [*findings, *told[1]]
                _write(run, _report(public, run, rules, extraction, told[0], so_far, typed))

            evasion, found = seller.part(rules, interim=interim)
            findings += found
        report = _report(public, run, rules, extraction, evasion, findings, typed)
        _write(run, report)
        run.record("reported", level=report.verdict.level, passed=report.verdict.passed)
    return report


def _write(run: RunDirectory, report: Report) -> None:
    with run.timed("render"):
        run.write_json("report.json", report.model_dump(mode="json"))
        render(run.path)


def _report(
    plan: Plan,
    run: RunDirectory,
    policy: GatePolicy,
    extraction: Extraction | None,
    evasion: Evasion | None,
    findings: list[Finding],
    command: str,
) -> Report:
    """Both parts and what follows from them together."""
    verdicts = [part.verdict for part in (extraction, evasion) if part is not None]
    seeds = {seed for grid in plan.extraction for seed in grid.seeds}
    title = plan.title
    if title is None:
        names = [] if extraction is None else [f"Extraction audit of {extraction.target.name}"]
        names += [] if evasion is None else [f"Evasion audit on {evasion.data.name}"]
        title = ", ".join(names)
    if plan.visual is not None:
        seeds |= {plan.visual.seed}
    return Report(
        title=title,
        synthetic=any(part.data.synthetic for part in (extraction, evasion) if part is not None),
        verdict=worse(verdicts),
        findings=tuple(sorted(findings, key=lambda finding: ORDER.index(finding.severity))),
        policy=policy,
        extraction=extraction,
        evasion=evasion,
        reproduce=Reproduce(
            command=command,
            seeds=tuple(sorted(seeds)),
            threads=run.threads,
            versions=run.versions,
            plan_digest=run.plan_digest,
            plan=plan.model_dump(mode="json", exclude={"engine": {"workers"}}),
        ),
    )


def _public(command: str, plan: Plan) -> str:
    """The command as typed, without what an address in it may hide."""
    if plan.target is None or plan.target.model is None:
        return command
    shown = plan.public().target
    return command.replace(plan.target.model, str(shown.model if shown is not None else ""))
