"""``recsec audit``: a plan of attacks, from the first query to the verdict."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recsec.cli.shared.common import JsonOption, QuietOption
from recsec.cli.shared.output import emit, note, progress, resumable
from recsec.errors import EvidenceIncomplete, UsageError

if TYPE_CHECKING:
    from recsec.audit import Scope
    from recsec.audit.scope import EvasionScope
    from recsec.reports import Evasion, Extraction, Metric, Metrics, Report

__all__ = [
    "announce",
    "count_json",
    "extraction_of",
    "metrics_json",
    "run",
    "show_defenses",
    "show_rows",
]

INIT = "init"
DEFAULT_PLAN = Path("audit.toml")
COLUMNS = ("agr@1", "agr@10", "lift")
SUCCESS = ("success@1", "success@3", "success@10")


def run(
    plan: Annotated[
        str,
        typer.Argument(metavar="PLAN", help="A plan file, or the word init.", show_default=False),
    ],
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="With init: where to write; by default audit.toml."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The run directory; the same work resumes."),
    ] = None,
    gate: Annotated[
        Path | None,
        typer.Option("--gate", metavar="FILE", help="Thresholds that override those of the plan."),
    ] = None,
    authorised: Annotated[
        bool,
        typer.Option(
            "--i-am-authorised", help="The owner of a target beyond this machine agreed to this."
        ),
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a plan of attacks and write the report.

    A plan names what is attacked: a recommender behind a top-k API ([target], [[extraction]]), a
    visual recommender and its photos ([visual], [[evasion]]), or both. "recsec audit init [FILE]"
    writes a commented plan that runs unchanged. The report is report.html in the run directory,
    beside report.json, junit.xml and sarif.json. Interrupted or killed at any point, the same
    command continues: no answered query is asked and no measured pair attacked again. Exit code 1
    if a gate fails, 4 if cells could not be measured.
    """
    if plan == INIT:
        _init(file or DEFAULT_PLAN, json=json)
        return
    if file is not None:
        raise UsageError(f"unexpected {str(file)!r}", hint="recsec audit PLAN --out DIR")
    if out is None:
        raise UsageError("missing --out: where to?", hint=f"recsec audit {plan} --out DIR")
    from recsec.audit import exit_code, load_gate, load_plan, run_audit

    wanted = load_plan(plan)
    policy = load_gate(gate) if gate is not None else None
    command = shlex.join(["recsec", *sys.argv[1:]])
    resumable(command)
    with progress() as report:
        found = run_audit(
            wanted,
            out,
            command=command,
            authorised=authorised,
            policy=policy,
            announce=announce,
            progress=report,
        )
    result = {
        "run": str(out),
        "report": str(out / "report.html"),
        "synthetic": found.synthetic,
        "verdict": found.verdict.model_dump(mode="json"),
        **_parts_json(found),
    }
    emit(result, lambda console: _show(console, found, out), json=json)
    code = exit_code(found.verdict)
    if code:
        raise typer.Exit(code)


def _init(path: Path, *, json: bool) -> None:
    from recsec.audit.template import template

    if path.exists():
        raise UsageError(f"{path} exists", hint="recsec audit init OTHER-FILE")
    try:
        path.write_text(template(), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    step = f"recsec audit {shlex.quote(str(path))} --out runs/first-audit"

    def show(console: Console) -> None:
        console.print(f"wrote {path}", markup=False, soft_wrap=True)
        console.print(f"next: {step}", markup=False, soft_wrap=True)

    emit({"plan": str(path), "next": step}, show, json=json)


def announce(scope: Scope) -> None:
    """Say what is going to happen, before the first query."""
    if scope.evasion is not None:
        _announce_evasion(scope.evasion)
    if not scope.cells:
        return
    users = "all users" if scope.users is None else f"{scope.users:,} users"
    what = f"{scope.cells} cells, {scope.calls:,} calls in {scope.collections} collections, {users}"
    note(f"{what}; about {_duration(scope.seconds)}, besides training target and twins")
    if scope.finished:
        note(f"{scope.finished} cells are finished already: nothing of them is asked again")


def _announce_evasion(scope: EvasionScope) -> None:
    what = f"{scope.cells} evasion cells, {scope.attacks:,} attacks on pairs in {scope.tasks} tasks"
    note(f"{what}; at most about {_duration(scope.seconds)}, besides training the models")
    if scope.finished:
        note(f"{scope.finished} tasks are finished already: no pair of them is attacked again")


def _duration(seconds: float) -> str:
    """One unit, rounded: it is an estimate.

    >>> _duration(7000)
    '1.9 hours'
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def extraction_of(found: Report) -> Extraction:
    """The extraction part.

    Raises:
        EvidenceIncomplete: the report has none.
    """
    if found.extraction is None:
        raise EvidenceIncomplete("the report has no extraction part")
    return found.extraction


def _parts_json(found: Report) -> dict[str, Any]:
    """Rows of both threats, flat."""
    parts: dict[str, Any] = {}
    if found.extraction is not None:
        extraction = found.extraction
        parts["rows"] = [_row_json(extraction, at) for at in range(len(extraction.rows))]
        parts["defenses"] = [one.model_dump(mode="json") for one in extraction.defenses]
        parts["protocol"] = extraction.protocol.statement
    if found.evasion is not None:
        evasion = found.evasion
        parts["evasion"] = {
            "models": [model.model_dump(mode="json") for model in evasion.models],
            "rows": [row.model_dump(mode="json") for row in evasion.rows],
            "worst": [row.model_dump(mode="json") for row in evasion.worst],
            "base": [row.model_dump(mode="json") for row in evasion.base],
            "checks": [check.model_dump(mode="json") for check in evasion.checks],
            "protocol": evasion.protocol.statement,
        }
    return parts


def metrics_json(found: Extraction, metrics: Metrics) -> dict[str, Any]:
    """The metrics of a row or cell as flat keys, with floor and twin beside them."""
    flat: dict[str, Any] = {key: value.model_dump() for key, value in metrics.items()}
    flat.setdefault("floor", found.floor.metrics["agr@10"].model_dump())
    twin = (found.twin.metrics or {}).get("agr@10")
    flat["twin"] = None if twin is None else twin.model_dump()
    if found.twin.reason:
        flat["twin_reason"] = found.twin.reason
    return flat


def count_json(value: int) -> dict[str, Any]:
    """A number that was set, not measured, in the form of a metric."""
    return {"value": value, "low": None, "high": None, "n": 1}


def _row_json(found: Extraction, at: int) -> dict[str, Any]:
    row = found.rows[at]
    return {
        "defense": row.defense,
        "policy": row.policy,
        "k": row.k,
        "calls": count_json(row.calls),
        "accounts": row.accounts,
        "surrogate": row.surrogate,
        "loss": row.loss,
        "seeds": list(row.seeds),
        "missing": row.missing,
        **metrics_json(found, row.metrics),
    }


def _bound(value: float) -> str:
    """Two digits without a leading zero: three intervals have to fit 80 columns."""
    return f"{value:.2f}".replace("0.", ".", 1)


def _cell(metric: Metric | None) -> str:
    if metric is None or metric.value is None:
        return "-"
    if metric.low is None or metric.high is None:
        return f"{metric.value:.2f}"
    return f"{metric.value:.2f} ({_bound(metric.low)}-{_bound(metric.high)})"


def show_rows(console: Console, found: Extraction) -> None:
    """The bare target with the floor and the twin under it, 95 % intervals in brackets."""
    from recsec.reports import UNDEFENDED

    table = Table("policy", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("k", "calls", *COLUMNS):
        table.add_column(name, justify="right")
    for row in found.rows:
        if row.defense == UNDEFENDED:
            cells = [_cell(row.metrics.get(name)) for name in COLUMNS]
            table.add_row(row.policy, str(row.k), f"{row.calls:,}", *cells)
    table.add_section()
    baselines = {"floor": found.floor.metrics, "twin": found.twin.metrics or {}}
    for label, metrics in baselines.items():
        table.add_row(label, "", "0", *(_cell(metrics.get(name)) for name in COLUMNS))
    console.print(table)
    console.print(
        f"floor: {found.floor.name}, without a call; twin: "
        f"{found.twin.reason or 'same recipe and data, other seed, without a call'}",
        markup=False,
    )


def _short(metrics: Metrics, name: str, *, bounds: bool = False, digits: int = 2) -> str:
    """Without a leading zero, and with its interval where asked: eight columns have to fit."""
    metric = metrics.get(name)
    if metric is None or metric.value is None:
        return "-"
    value = f"{metric.value:.{digits}f}".replace("0.", ".", 1)
    if not bounds or metric.low is None or metric.high is None or metric.low == metric.high:
        return value
    return f"{value} ({_bound(metric.low)}-{_bound(metric.high)})"


def show_defenses(console: Console, found: Extraction) -> None:
    """What each defense costs and leaves, 95 % intervals in brackets; nothing for a bare target."""
    if not found.defenses:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("defense", overflow="fold")
    for name in ("HR@10", "NDCG", "same", "utility", "plain", "adapt", "taken"):
        table.add_column(name, justify="right", no_wrap=True)
    for defense in found.defenses:
        quality = defense.quality
        thieves: list[Metrics] = [
            {} if at is None else found.rows[at].metrics
            for at in (defense.plain, defense.adaptive, defense.best)
        ]
        table.add_row(
            Text(defense.name),
            _short(quality, "hr@10", digits=3),
            _short(quality, "ndcg@10", digits=3),
            _short(quality, "overlap@10"),
            _short(quality, "utility", bounds=True),
            *(_short(metrics, "lift") for metrics in thieves[:2]),
            _short(thieves[2], "lift_taken", bounds=True),
        )
    console.print(table)
    console.print(
        "same: overlap@10 with the bare lists; utility: HR@10 kept; plain, adapt: the\n"
        "most lift of a thief who ignores defenses, and of one who adapts; taken: of\n"
        "the lift of the better of the two",
        markup=False,
    )


def show_worst(console: Console, found: Evasion) -> None:
    """Per-pair worst cases with what the model is worth, 95 % intervals in brackets."""
    table = Table("model", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("eps", "pairs", *SUCCESS, "p@10"):
        table.add_column(name.replace("success", "s"), justify="right")
    models = {model.name: model for model in found.models}
    for row in found.worst:
        quality = models[row.model].quality.get("precision@10")
        cells = [_cell(row.success.get(name)) for name in SUCCESS]
        worth = "-" if quality is None or quality.value is None else f"{quality.value:.3f}"
        table.add_row(row.model, f"{row.eps:g}", f"{row.pairs:,}", *cells, worth)
    console.print(table)
    console.print("s@r: worst case over all attacks inside eps; p@10: precision@10", markup=False)
    for check in found.checks:
        if check.status == "failed":
            console.print(
                f"check failed: {check.model}: {check.title}: {check.evidence}", markup=False
            )


def _show(console: Console, found: Report, out: Path) -> None:
    if found.extraction is not None:
        show_rows(console, found.extraction)
        show_defenses(console, found.extraction)
        for cell in found.extraction.cells:
            if cell.error is not None:
                console.print(f"{cell.status}: {cell.id}: {cell.error}", markup=False)
    if found.evasion is not None:
        show_worst(console, found.evasion)
        for row in found.evasion.rows:
            if row.error is not None:
                console.print(f"{row.status}: {row.id}: {row.error}", markup=False)
    verdict = found.verdict
    passed = "passed" if verdict.passed else "failed"
    data = " (made-up data: no evidence about a real system)" if found.synthetic else ""
    gate = "no verdict" if verdict.level == "incomplete" else f"gate {passed}"
    console.print(f"{verdict.level}, {gate}{data}", style="bold", markup=False)
    console.print(verdict.statement, markup=False)
    console.print(f"report: {out / 'report.html'}", markup=False, soft_wrap=True)
