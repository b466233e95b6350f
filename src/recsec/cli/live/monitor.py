"""``recsec monitor``: replay a log under a policy; explain, check and take back decisions."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from recsec.cli.live import webhook
from recsec.cli.shared.common import (
    JsonOption,
    QuietOption,
    SepOption,
    TimeFormatOption,
    dialect_of_tables,
    parse_columns,
)
from recsec.cli.shared.output import emit, note, progress
from recsec.cli.shared.service import STATE, StateOption, need_extra, open_service_state
from recsec.errors import EXIT_GATE_FAILED, ConfigError, UsageError

if TYPE_CHECKING:
    from recsec.serving.state import Decision

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
app.add_typer(webhook.app, name="webhook")


@app.callback()
def monitor() -> None:
    """Policies and decisions of a service. A running one takes changes within a second."""


ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it stands in the trail.")]


@app.command("replay")
def replay(
    log: Annotated[
        Path, typer.Argument(metavar="LOG", help="A query log, as recsec detect reads it.")
    ],
    policy: Annotated[Path, typer.Option("--policy", metavar="FILE", help="policy.toml.")],
    thieves: Annotated[
        Path | None,
        typer.Option("--thieves", metavar="FILE", help="Accounts known to be thieves, one a line."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option("--columns", metavar="account=A,..", help="Columns with other names."),
    ] = None,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """What the policy would have done to a log, if all its rules had been enforced."""
    need_extra()
    from recsec.detection import Fitted
    from recsec.serving.policy import read_policy
    from recsec.serving.replay import replay as play
    from recsec.traffic import read_log

    rules = read_policy(policy)
    if rules.detectors is None:
        raise ConfigError(
            f"{policy} names no detectors, whose items the log must hold",
            hint="recsec detect fit --model DIR --data NAME --out DETECTORS makes one",
        )
    fitted = Fitted.load(rules.detectors)
    found = read_log(
        log, fitted.catalog, columns=parse_columns(columns), dialect=dialect_of_tables()
    )
    for fault in found.faults:
        note(f"log: {fault}")
    if found.times is None:
        note("the log has no times: rates and periods mean nothing, queries count as 1 s apart")
    known = thieves.read_text(encoding="utf-8").split("\n") if thieves is not None else []
    with progress() as report:
        out = play(rules, found, fitted, thieves=[one for one in known if one], progress=report)
    result = {"log": str(log), "policy": str(policy), **out.to_json()}
    emit(result, lambda console: _show_replay(console, result), json=json)


def _show_replay(console: Console, result: dict[str, Any]) -> None:
    console.print(f"{result['queries']:,} queries of {result['accounts']:,} accounts")
    for name, told in result["rules"].items():
        console.print(
            f"rule {name} ({told['action']}): {told['decisions']:,} decisions about "
            f"{told['about']:,}"
        )
    pools = result["pools"]
    if pools["looks"]:
        console.print(
            f"young accounts together: {pools['looks']:,} looks, least p-value {pools['least']:.3g}"
        )
    else:
        console.print(f"young accounts together: {pools['waiting']}")
    alike = result["clusters"]
    if alike["looks"]:
        least = "none found" if alike["least"] is None else f"least p-value {alike['least']:.3g}"
        console.print(f"accounts that ask alike: {alike['looks']:,} looks, {least}")
    else:
        console.print(f"accounts that ask alike: {alike['waiting']}")
    if not result["rules"]:
        console.print("no rule would have decided anything")
    for who in ("honest", "thieves"):
        group = result[who]
        if group is None:
            continue
        low, high = group["interval"]
        per_day = group["reached_per_day"]
        daily = "" if per_day is None else f", {per_day:.2g} a day"
        console.print(
            f"{who}: {group['reached']:,} of {group['accounts']:,} accounts reached "
            f"({low:.2%} to {high:.2%}){daily}; {group['queries_refused']:,} of "
            f"{group['queries']:,} queries refused"
        )
        if group["queries_before_reached"] is not None:
            console.print(f"  half of them after {group['queries_before_reached']:g} queries")


@app.command("explain")
def explain(
    what: Annotated[
        str, typer.Argument(metavar="ACCOUNT|DECISION", help="An account's name, or d-...")
    ],
    state: StateOption = STATE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Why: the decisions about an account with evidence, thresholds and last queries."""
    names, store = open_service_state(state)
    one = store.decision(what) if what.startswith("d-") else None
    found = [one] if one is not None else store.about(names.known_as(what))
    allowed = [each for each in store.allowed() if each.account == names.known_as(what)]
    store.close()
    result = {
        "about": what,
        "allowed": [{"until": _when(each.until), "reason": each.reason} for each in allowed],
        "decisions": [_told(each) for each in found],
    }

    def render(console: Console) -> None:
        for each in allowed:
            console.print(
                f"on the allow list until {_when(each.until) or 'removed'}: {each.reason}"
            )
        if not found:
            console.print(f"no decisions about {what}")
        for decision in found:
            _show_decision(console, decision)

    emit(result, render, json=json)


def _show_decision(console: Console, one: Decision) -> None:
    mode = "enforced" if one.enforced else "in shadow"
    state = "ended early" if one.lifted else "holds" if one.active(time.time()) else "over"
    console.print(f"{one.id}  {one.action} {mode} by rule {one.rule}, no. {one.number}; {state}")
    console.print(f"  from {_when(one.at)} to {_when(one.lifted or one.until)}")
    evidence = one.evidence
    if "rate" in evidence:
        rate = evidence["rate"]
        console.print(
            f"  {rate['requests']:g} requests within {rate['within']:g} s; more than "
            f"{rate['more_than']} are too many"
        )
    if "pooled" in evidence:
        pooled = evidence["pooled"]
        console.print(
            f"  {pooled['accounts']} young accounts together after {pooled['queries']} queries "
            f"each: p-value {pooled['p_value']:.3g}; threshold {pooled['threshold']:.3g}"
            f" ({pooled['share']:.3g} of the rule's {pooled['level']:g})"
        )
        ways = sorted(pooled["mixture"].items(), key=lambda pair: -pair[1])
        likest = ", ".join(f"{name} {share:.0%}" for name, share in ways)
        console.print(f"  compared with people who ask so: {likest}")
        for name, value in sorted(pooled["apart"].items(), key=lambda pair: -abs(pair[1])):
            console.print(f"    {name:<16}on average {value:+.2f} spreads of people")
        console.print("  the furthest: " + " ".join(pooled["furthest"]), soft_wrap=True)
    if "cluster" in evidence:
        alike = evidence["cluster"]
        console.print(
            f"  one of {alike['accounts']} accounts that ask alike ({alike['compared']:,} were "
            f"compared), {alike['odd']} of them odd alone: p-value together "
            f"{alike['p_value']:.3g}; threshold {alike['threshold']:.3g}"
            f" ({alike['share']:.3g} of the rule's {alike['level']:g})"
        )
        console.print("  the others: " + " ".join(alike["names"]), soft_wrap=True)
    if "screen" in evidence:
        screen = evidence["screen"]
        listing = "" if screen["listing"] is None else f" for {screen['listing']}"
        console.print(
            f"  a photo{listing} that screens flag at {100 * screen['level']:g} % of honest ones, "
            f"threshold {screen['threshold']:.3g}; SHA-256 {screen['sha256']}",
            soft_wrap=True,
        )
        for name, value in screen["scores"].items():
            console.print(f"    {name:<16}score {value:.4g}")
    if "p_values" in evidence:
        p_value = evidence["p_values"][evidence["detector"]]
        console.print(
            f"  after {evidence['queries']} queries the p-value of {evidence['detector']} is "
            f"{p_value:.3g}; threshold {evidence['threshold']:.3g}"
            f" ({evidence['share']:.3g} of the rule's {evidence['level']:g})"
        )
        for name, value in sorted(evidence["p_values"].items(), key=lambda pair: pair[1]):
            console.print(f"    {name:<16}p {value:.3g}   score {evidence['scores'][name]:.4g}")
        console.print("  last queries (newest items of the history -> list)")
        for query in evidence["last"]:
            console.print(f"    {_ids(query['history'])} -> {_ids(query['list'])}", soft_wrap=True)


def _ids(items: list[Any]) -> str:
    return " ".join(map(str, items))


def _told(one: Decision) -> dict[str, Any]:
    return {**vars(one), "parameters": dict(one.parameters), "evidence": dict(one.evidence)}


def _when(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat("T", "seconds")


@app.command("clear")
def clear(
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="d-...")],
    reason: ReasonOption,
    state: StateOption = STATE,
    probation: Annotated[
        str, typer.Option(metavar="TIME", help="How long rules only observe the account then.")
    ] = "7d",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Take a decision back, as after an appeal; the account is on probation for a while."""
    from recsec.serving.state import Allowed

    _, store = open_service_state(state)
    now, lasts = time.time(), _seconds(probation)
    one = store.decision(decision)
    if one is None or not store.lift(decision, at=now, actor="operator", reason=reason):
        raise UsageError(
            f"there is no decision {decision!r} that holds",
            hint="recsec monitor explain ACCOUNT shows those about an account",
        )
    if one.scope == "account":
        entry = Allowed(one.subject, now + lasts, f"probation after {decision}: {reason}")
        store.allow(entry, at=now, actor="operator")
    store.close()
    emit({"cleared": decision}, lambda console: console.print(f"cleared {decision}"), json=json)


@app.command("allow")
def allow(
    reason: ReasonOption,
    account: Annotated[
        list[str] | None, typer.Argument(metavar="[ACCOUNT...]", help="Names of accounts.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="More names, one a line.")
    ] = None,
    state: StateOption = STATE,
    lasts: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="As in 30d; without: for good.")
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Put accounts on the allow list: rules only observe them."""
    from recsec.serving.state import Allowed

    told = [*(account or []), *(_lines(source) if source is not None else [])]
    if not told:
        raise UsageError("nobody is named", hint="recsec monitor allow ACCOUNT --reason WHY")
    names, store = open_service_state(state)
    now = time.time()
    until = None if lasts is None else now + _seconds(lasts)
    for name in told:
        entry = Allowed(names.known_as(name), until, reason)
        store.allow(entry, at=now, actor="operator")
    store.close()
    shown = {"allowed": told, "until": _when(until)}
    emit(shown, lambda console: console.print(f"allowed {len(told)} accounts"), json=json)


@app.command("allowed")
def allowed(
    state: StateOption = STATE, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Show the allow list, with what has expired. Accounts are named as they are kept."""
    _, store = open_service_state(state)
    found = [
        {
            "account": one.account,
            "until": _when(one.until),
            "holds": one.until is None or time.time() < one.until,
            "reason": one.reason,
        }
        for one in store.allowed()
    ]
    store.close()

    def render(console: Console) -> None:
        for one in found:
            ends = one["until"] or "removed"
            over = "" if one["holds"] else " (expired)"
            console.print(f"{one['account']}  until {ends}{over}: {one['reason']}")
        if not found:
            console.print("nobody")

    emit({"allowed": found}, render, json=json)


@app.command("forbid")
def forbid(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Name of an account.")],
    state: StateOption = STATE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Take an account off the allow list."""
    names, store = open_service_state(state)
    done = store.forbid(names.known_as(account), at=time.time(), actor="operator")
    store.close()
    if not done:
        raise UsageError(f"{account!r} is not on the allow list")
    emit({"forbidden": account}, lambda console: console.print(f"forbade {account}"), json=json)


@app.command("verify")
def verify(
    state: StateOption = STATE, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Check the chain of the trail. Exits 1 if a line was changed or is missing."""
    _, store = open_service_state(state)
    faults = list(store.verify())
    entries = list(store.trail())
    store.close()
    head = entries[-1].hash if entries else None
    result = {"entries": len(entries), "head": head, "faults": faults}

    def render(console: Console) -> None:
        for fault in faults:
            console.print(fault)
        if not faults:
            console.print(f"{len(entries):,} lines, unbroken; the last hash is {head}")

    emit(result, render, json=json)
    if faults:
        raise typer.Exit(EXIT_GATE_FAILED)


@app.command("migrate")
def migrate(
    to: Annotated[str, typer.Argument(metavar="FORM", help="As 0002; the newest goes forward.")],
    state: StateOption = STATE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bring the tables of the state to another form, as for going back to an older recsec.

    Going back drops what the older form has no place for. Stop the service first: it and every
    other command bring the tables forward again.
    """
    _, store = open_service_state(state)
    from recsec.serving.state import migrations

    if to not in migrations.steps():
        store.close()
        raise UsageError(f"there is no form {to!r}", hint=f"one of {', '.join(migrations.steps())}")
    store.migrate(to)
    store.close()
    emit({"form": to}, lambda console: console.print(f"the tables have form {to}"), json=json)


def _lines(path: Path) -> list[str]:
    try:
        found = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read {path}: {error}", hint="names of accounts, one a line"
        ) from error
    return [one.strip() for one in found if one.strip()]


def _seconds(text: str) -> float:
    from recsec.serving.policy import seconds

    try:
        return float(seconds(text))
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}", hint="as in 90s, 15m, 1h or 30d") from error
