"""``recsec serve``: a recommender behind a policy, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from recsec.cli.shared.common import (
    SOURCES,
    AuthorisedOption,
    ColumnsOption,
    DropBadOption,
    QuietOption,
    SepOption,
    TimeFormatOption,
    open_data,
)
from recsec.cli.shared.output import note, say
from recsec.cli.shared.service import STATE, LiveOption, PolicyOption, StateOption, need_extra
from recsec.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from recsec.detection import Fitted
    from recsec.serving.policy import Policy
    from recsec.targets import Target

__all__ = ["run"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def run(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"Who answers: {SOURCES}.")],
    policy: PolicyOption = None,
    state: StateOption = STATE,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any that is free.")
    ] = 8000,
    bound: Annotated[
        bool,
        typer.Option(
            "--bound", help="Keep the histories here and take events only: none can be sent."
        ),
    ] = False,
    pace: Annotated[
        bool,
        typer.Option(
            "--pace", help="With --bound: events count no faster than visitors of hotels act."
        ),
    ] = False,
    k: Annotated[int, typer.Option("--k", min=1, help="Longest list.")] = 100,
    live: LiveOption = None,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that answer; more than 1 need --live.")
    ] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one inference.")] = 1,
    linger: Annotated[
        float,
        typer.Option(min=0, help="After SIGTERM, seconds of answering but not being ready."),
    ] = 0.0,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="NAME", help="The items of a callable or an HTTP target."),
    ] = None,
    columns: ColumnsOption = None,
    sep: SepOption = None,
    time_format: TimeFormatOption = None,
    drop_bad: DropBadOption = False,
    authorised: AuthorisedOption = False,
    quiet: QuietOption = False,
) -> None:
    """Answer requests for lists, watch who asks, and act as the policy says.

    Without --policy, or with rules in shadow, answers are those of the recommender alone. Without
    any key (recsec keys create) only this machine may ask. SIGTERM finishes what is under way; a
    changed policy is taken over within seconds, or at once with SIGHUP, if it fits.
    """
    need_extra()
    from recsec.serving.policy import Policy, read_policy
    from recsec.serving.running import json_log, listen
    from recsec.serving.workers import Worker, command, supervise

    if pace and not bound:
        raise UsageError("--pace is about histories that the service keeps", hint="add --bound")
    rules = Policy.model_validate({}) if policy is None else read_policy(policy)
    worker = Worker.here()
    if workers > 1 and worker is None:
        _check_workers(live, bound=bound)
        raise typer.Exit(supervise(command(), workers, listen(host, port), json_log()))
    import torch

    from recsec.serving.answering import Answering, Limits
    from recsec.serving.api import create_app
    from recsec.serving.engine import Engine, folder_of, open_state
    from recsec.serving.running import run as run_server
    from recsec.targets.bounded import HOTELS

    torch.set_num_threads(threads)
    target = _open(model, data, columns, authorised=authorised)
    names, store = open_state(state)
    engine = Engine(
        rules,
        names,
        store,
        folder=folder_of(state),
        external=target.catalog.external,
        pace=HOTELS if pace else None,
        log=json_log(),
        live=live,
        source=policy,
        fits=lambda changed: _check_items(changed, target),
    )
    _check_items(rules, target, engine.fitted)
    local = host in LOOPBACK
    if len(engine.keys) == 0 and not local:
        raise ConfigError(
            f"there are no keys: everybody who reaches {host} could ask",
            hint=f"recsec keys create NAME --state {state}",
        )
    app = create_app(Answering(engine, target, Limits(k=k), bound=bound), open_to_all=local)
    opened = listen(host, port) if worker is None else worker.socket
    if worker is not None:
        worker.end_with_parent()
    if worker is None or worker.number == 0:
        place = f"{host}:{opened.getsockname()[1]}"
        say(f"serving {target!r} at http://{place}" + (f" by {workers} workers" if worker else ""))
        say(f"policy: {rules.told()}")
        keys = f"{len(engine.keys)} keys" if len(engine.keys) else "no keys, so this machine only"
        note(
            f"state: {store.name}, {keys}; histories are {'bound' if bound else 'sent by clients'}"
        )
    raise typer.Exit(run_server(app, engine, opened, linger=linger))


def _check_workers(live: str | None, *, bound: bool) -> None:
    """Refuse several workers that would not know of each other."""
    if live is None:
        raise UsageError(
            "several workers count together in Redis", hint="add --live redis://localhost:6379"
        )
    if bound:
        raise UsageError(
            "several workers cannot keep histories: each would know a part", hint="--workers 1"
        )


def _open(model: str, data: str | None, columns: str | None, *, authorised: bool) -> Target:
    """The target that the words name."""
    from recsec.library.opening import open_target_to_serve

    dataset = open_data(data, columns) if data is not None else None
    return open_target_to_serve(model, dataset, authorised=authorised)


def _check_items(rules: Policy, target: Target, fitted: Fitted | None = None) -> None:
    """Refuse detectors that know other items than the recommender."""
    import numpy as np

    from recsec.detection import Fitted

    if fitted is None and rules.detectors is not None:
        fitted = Fitted.load(rules.detectors)
    if fitted is not None and not np.array_equal(fitted.catalog.ids, target.catalog.ids):
        raise ConfigError(
            f"the detectors know {len(fitted.catalog):,} items, the recommender "
            f"{len(target.catalog):,}, and they are not the same in the same order",
            hint="recsec detect fit --model DIR --data NAME --out DETECTORS makes one",
        )
