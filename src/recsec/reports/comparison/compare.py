"""From two audits to what changed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path

from recsec.reports.comparison.difference import beyond, difference_of, paired_difference
from recsec.reports.comparison.parts import Change, Diff, FindingChange, RunPart
from recsec.reports.formats.render import read_report
from recsec.reports.parts import Finding
from recsec.reports.schema import Report
from recsec.reports.threat import Case, Threat, parts_of
from recsec.stats import LEVEL

__all__ = ["compare_reports", "compare_runs"]

SEVERITIES = ("info", "low", "moderate", "high")
SERIOUS = ("moderate", "high")
LEVELS = ("low", "moderate", "high")

Units = Mapping[str, Mapping[Hashable, float]]


def compare_runs(old: Path | str, new: Path | str) -> Diff:
    """What changed between two run directories.

    Raises:
        RunError: one has no report, or it is damaged.
    """
    before, after = Path(old), Path(new)
    return compare_reports(
        read_report(before), read_report(after), old=before, new=after, names=(str(old), str(new))
    )


def compare_reports(
    before: Report,
    after: Report,
    *,
    old: Path,
    new: Path,
    names: tuple[str, str],
) -> Diff:
    """What changed between two reports.

    A cell is judged by the first number of its threat's ``compared``. It is worse where the
    interval of the difference is above 0 at a confidence of 1 - 0.05 / m, m being how many cells
    are compared (Bonferroni): of audits in which nothing changed, at most 5 % have a worse or
    better cell.

    Args:
        before: of the old run.
        after: of the new run.
        old: its folder, for the values per user or pair; they are used where they are there.
        new: the same of the new run.
        names: what to call the two.
    """
    changes = _changes(before, after, old, new)
    judged = [one for one in changes if one.decides and one.difference is not None]
    confidence = 1 - (1 - LEVEL) / max(1, len(judged))
    places = {1: "worse", -1: "better", 0: "same"}
    changes = [
        one
        if one.difference is None
        else one.model_copy(update={"status": places[beyond(one.difference, confidence)]})
        for one in changes
    ]
    findings = _finding_changes(before, after)
    lost = sum(one.status == "lost" for one in changes)
    reasons = _reasons(before, after, changes, findings)
    counts = {
        word: sum(one.status == word for one in changes if one.decides)
        for word in ("worse", "better", "same", "new", "gone", "lost")
    }
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "none"
    return Diff(
        old=_side(before, names[0]),
        new=_side(after, names[1]),
        regression=bool(reasons),
        lost=lost,
        statement=f"Level {before.verdict.level} before, {after.verdict.level} now. Cells: {told}.",
        reasons=tuple(reasons),
        rule=(
            "A cell is worse or better where the interval of the difference lies beyond 0 at a "
            f"confidence of {100 * confidence:.4g} %, which is 95 % over all cells together. A "
            "regression is a worse cell, a higher level, or a new or worse finding of severity "
            "moderate or high."
        ),
        confidence=confidence,
        changes=tuple(changes),
        findings=tuple(findings),
        notes=tuple(_notes(before, after)),
    )


def _side(report: Report, name: str) -> RunPart:
    return RunPart(
        name=name,
        title=report.title,
        level=report.verdict.level,
        passed=report.verdict.passed,
        synthetic=report.synthetic,
    )


def _changes(before: Report, after: Report, old: Path, new: Path) -> list[Change]:
    parts = dict(parts_of(before))
    found = []
    for threat, part in parts_of(after):
        theirs = parts.pop(threat, None)
        had = {} if theirs is None else {case.id: case for case in threat.cases(theirs)}
        for case in threat.cases(part):
            earlier = had.pop(case.id, None)
            found += _cell(threat, earlier, case, (theirs, old), (part, new))
        found += [_alone(threat, case, None) for case in had.values()]
    for threat, part in parts.items():
        found += [_alone(threat, case, None) for case in threat.cases(part)]
    return found


def _alone(threat: Threat, old: Case | None, new: Case | None) -> Change:
    """A cell that only one of the two has, or that only one could measure."""
    status = "new" if old is None else "gone"
    if old is not None and new is not None:
        status = "lost" if old.status == "ok" else "measured"
    case = new or old
    return Change(
        threat=threat.name,
        cell=case.id if case is not None else "",
        metric="",
        decides=True,
        status=status,  # type: ignore[arg-type]
    )


def _cell(
    threat: Threat,
    old: Case | None,
    new: Case,
    before: tuple[object, Path],
    after: tuple[object, Path],
) -> list[Change]:
    if old is None:
        return [_alone(threat, None, new)]
    if (old.status == "ok") != (new.status == "ok"):
        return [_alone(threat, old, new)]
    names = [name for name in threat.compared or tuple(new.metrics) if name in new.metrics]
    units: list[Units] = [
        threat.units(folder, part, case) for (part, folder), case in ((before, old), (after, new))
    ]
    found = []
    for name in names:
        if name not in old.metrics:
            continue
        one, two = old.metrics[name], new.metrics[name]
        paired = paired_difference(*(each.get(name, {}) for each in units))
        found.append(
            Change(
                threat=threat.name,
                cell=new.id,
                metric=name,
                decides=name == names[0],
                status="same",
                old=one,
                new=two,
                difference=difference_of(one, two) if paired is None else paired,
                paired=paired is not None,
            )
        )
    return found


def _finding_changes(before: Report, after: Report) -> list[FindingChange]:
    had = {(one.id, one.about): one for one in before.findings}
    found = [_finding(had.pop((one.id, one.about), None), one) for one in after.findings]
    return found + [_finding(one, None) for one in had.values()]


def _finding(old: Finding | None, new: Finding | None) -> FindingChange:
    told = new or old
    if told is None:
        raise ValueError("a finding of neither report")
    status = "new" if old is None else "gone"
    if old is not None and new is not None:
        step = SEVERITIES.index(new.severity) - SEVERITIES.index(old.severity)
        status = "same" if step == 0 else "worse" if step > 0 else "better"
    return FindingChange(
        id=told.id,
        about=told.about,
        status=status,  # type: ignore[arg-type]
        old=None if old is None else old.severity,
        new=None if new is None else new.severity,
        title=told.title,
    )


def _reasons(
    before: Report, after: Report, changes: list[Change], findings: list[FindingChange]
) -> list[str]:
    reasons = []
    levels = [report.verdict.level for report in (before, after)]
    if all(level in LEVELS for level in levels) and LEVELS.index(levels[1]) > LEVELS.index(
        levels[0]
    ):
        reasons.append(f"the level rose from {levels[0]} to {levels[1]}")
    for change in changes:
        if change.decides and change.status == "worse" and change.difference is not None:
            value = change.difference.value or 0.0
            reasons.append(f"{change.cell}: {change.metric} rose by {value:.3f}")
    for finding in findings:
        if finding.status in ("new", "worse") and finding.new in SERIOUS:
            about = "" if finding.about is None else f" ({finding.about})"
            reasons.append(f"{finding.status} finding {finding.id}{about}: {finding.title}")
    return reasons


def _notes(before: Report, after: Report) -> list[str]:
    """Why a difference may have another cause than the recommender."""
    notes = []
    theirs = dict(parts_of(before))
    for threat, part in parts_of(after):
        old = theirs.get(threat)
        if old is not None and old.data.fingerprint != part.data.fingerprint:
            notes.append(f"{threat.name}: the data differ, and a difference may come from them")
    if before.reproduce.versions != after.reproduce.versions:
        names = sorted(
            name
            for name in {*before.reproduce.versions, *after.reproduce.versions}
            if before.reproduce.versions.get(name) != after.reproduce.versions.get(name)
        )
        notes.append(f"versions differ: {', '.join(names)}")
    if before.reproduce.plan_digest != after.reproduce.plan_digest:
        notes.append("the plans differ: only cells of the same name are compared")
    if before.synthetic or after.synthetic:
        notes.append("made-up data: no evidence about a real system")
    return notes
