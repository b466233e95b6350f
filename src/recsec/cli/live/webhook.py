"""``recsec monitor webhook``: try the webhooks of a policy, and tell them again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from recsec.cli.shared.common import JsonOption, QuietOption
from recsec.cli.shared.output import emit
from recsec.cli.shared.service import STATE, StateOption, need_extra, open_service_state
from recsec.errors import ConfigError, TargetError, UsageError

if TYPE_CHECKING:
    from recsec.serving.state import Decision

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

PolicyFile = Annotated[Path, typer.Option("--policy", metavar="FILE", help="policy.toml.")]


@app.callback()
def webhook() -> None:
    """Webhooks of a policy: [[webhooks]] with url, secret_env, actions and body."""


@app.command("test")
def try_(policy: PolicyFile, json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Send a decision that was never made (d-test) to every webhook."""
    need_extra()
    from recsec.serving.webhooks import sample

    _send(policy, sample(time.time()), json=json)


@app.command("resend")
def resend(
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="Its id.")],
    policy: PolicyFile,
    state: StateOption = STATE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Tell every webhook about a decision again."""
    _, store = open_service_state(state)
    found = store.decision(decision)
    store.close()
    if found is None:
        raise UsageError(
            f"there is no decision {decision}",
            hint="recsec monitor explain ACCOUNT shows those about an account",
        )
    _send(policy, found, json=json)


def _send(policy: Path, decision: Decision, *, json: bool) -> None:
    import httpx

    from recsec.serving.policy import read_policy
    from recsec.serving.webhooks import Undelivered, deliver

    hooks = read_policy(policy).webhooks
    if not hooks:
        raise ConfigError(f"{policy} has no [[webhooks]]")
    became: list[dict[str, Any]] = []
    with httpx.Client(follow_redirects=False) as client:
        for hook in hooks:
            try:
                answer = f"status {deliver(hook, decision, client=client)}"
                became.append({"webhook": hook.name, "delivered": True, "answer": answer})
            except Undelivered as error:
                became.append({"webhook": hook.name, "delivered": False, "answer": str(error)})

    def render(console: Console) -> None:
        for one in became:
            how = "delivered" if one["delivered"] else "failed"
            console.print(f"{one['webhook']}: {how}, {one['answer']}")

    emit({"decision": decision.id, "webhooks": became}, render, json=json)
    failed = [one for one in became if not one["delivered"]]
    if failed:
        raise TargetError(f"{len(failed)} of {len(became)} webhooks did not take {decision.id}")
