"""``recsec serve``: a recommender behind a policy, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from recsec.cli.shared.common import (
    PHOTOS,
    SOURCES,
    AuthorisedOption,
    ColumnsOption,
    DropBadOption,
    QuietOption,
    SepOption,
    TimeFormatOption,
)
from recsec.cli.shared.output import note, progress, say
from recsec.cli.shared.reading import CatalogOption, FiltersOption, open_data
from recsec.cli.shared.service import STATE, LiveOption, PolicyOption, StateOption, need_extra
from recsec.errors import ConfigError, DataError, UsageError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from recsec.data import Dataset
    from recsec.detection import Fitted
    from recsec.serving.dashboard import Place
    from recsec.serving.engine import Engine
    from recsec.serving.photos import Shop
    from recsec.serving.policy import Policy
    from recsec.targets import Target

__all__ = ["run"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def run(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help=f"Who answers: {SOURCES}.")
    ] = None,
    upstream: Annotated[
        str | None,
        typer.Option(
            metavar="API",
            help="Instead of MODEL: stand before this API as a reverse proxy. The TOML file of an "
            "HTTP target, or an address if the policy has [traffic].",
        ),
    ] = None,
    visual: Annotated[
        str | None,
        typer.Option(
            "--visual",
            metavar="ENCODER",
            help="Answer /v1/similar too, or only, with this encoder; see recsec similar --model.",
        ),
    ] = None,
    photos: Annotated[
        str | None, typer.Option("--photos", metavar="NAME", help=f"Of --visual: {PHOTOS}")
    ] = None,
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
        int,
        typer.Option(min=1, max=64, help="Processes that answer; more than 1 need --live."),
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
    filters: FiltersOption = None,
    catalog: CatalogOption = None,
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

    if (model is None and visual is None) == (upstream is None):
        raise UsageError(
            "somebody has to answer: a model or photos here, or an API behind",
            hint="recsec serve MODEL, recsec serve --visual ENCODER --photos NAME, or "
            "recsec serve --upstream API",
        )
    if model is None and (bound or data is not None):
        raise UsageError(
            "--bound and --data are about a model that answers here",
            hint="leave them out, or name MODEL",
        )
    if (visual is None) != (photos is None):
        raise UsageError(
            "--visual and --photos go together", hint="--visual ENCODER --photos fashion"
        )
    if pace and not bound:
        raise UsageError("--pace is about histories that the service keeps", hint="add --bound")
    rules = Policy.model_validate({}) if policy is None else read_policy(policy)
    worker = Worker.here()
    if workers > 1 and worker is None:
        _check_workers(live)
        raise typer.Exit(supervise(command(), workers, listen(host, port), json_log()))
    import torch

    from recsec.serving.answering import Answering, Limits
    from recsec.serving.api import create_app
    from recsec.serving.dashboard import Place, add_dashboard
    from recsec.serving.engine import Engine, folder_of, open_state
    from recsec.serving.photos import Similar
    from recsec.serving.running import run as run_server
    from recsec.targets.bounded import HOTELS

    def opened() -> tuple[socket.socket, str, bool]:
        """The port, where it is, and whether this process is to talk about it."""
        found = listen(host, port) if worker is None else worker.socket
        if worker is not None:
            worker.end_with_parent()
        place = f"{host}:{found.getsockname()[1]}"
        return found, place, worker is None or worker.number == 0

    torch.set_num_threads(threads)
    if upstream is not None:
        _stand_before(upstream, rules, state, live, policy, opened, host=host, linger=linger)
    target = None if model is None else _open(model, data, columns, authorised=authorised)
    _check_ways(rules, target, screened=visual is not None)
    shop = None if visual is None or photos is None else _open_photos(visual, photos)

    def fits(changed: Policy, fitted: Fitted | None = None) -> None:
        _check_ways(changed, target, screened=shop is not None)
        _check_items(changed, target, fitted)

    names, store = open_state(state)
    engine = Engine(
        rules,
        names,
        store,
        folder=folder_of(state),
        external=None if target is None else target.catalog.external,
        pace=HOTELS if pace else None,
        log=json_log(),
        live=live,
        source=policy,
        fits=fits,
    )
    fits(rules, engine.fitted)
    local = host in LOOPBACK
    if len(engine.keys) == 0 and not local:
        raise ConfigError(
            f"there are no keys: everybody who reaches {host} could ask",
            hint=f"recsec keys create NAME --state {state}",
        )
    answering = None if target is None else Answering(engine, target, Limits(k=k), bound=bound)
    similar = None if shop is None else Similar(engine, shop, Limits(k=k))
    app = create_app(answering, similar=similar, open_to_all=local)
    title = target.catalog.title if target is not None else str
    pages = Place(policy, folder_of(state), title)
    add_dashboard(app, engine, pages)
    taken, place, talks = opened()
    if talks:
        served = " and ".join(repr(one) for one in (target, shop) if one is not None)
        say(f"serving {served} at http://{place}" + (f" by {workers} workers" if worker else ""))
        say(f"policy: {rules.told()}")
        keys = f"{len(engine.keys)} keys" if len(engine.keys) else "no keys, so this machine only"
        kept = "; histories are bound" if bound else ""
        note(f"state: {store.name}, {keys}{kept}")
        _tell_dashboard(place, pages, engine)
    raise typer.Exit(run_server(app, engine, taken, linger=linger))


def _check_workers(live: str | None) -> None:
    """Refuse several workers that would not know of each other."""
    if live is None:
        raise UsageError(
            "several workers count, and keep histories, together in Redis",
            hint="add --live redis://localhost:6379",
        )


def _stand_before(
    upstream: str,
    rules: Policy,
    state: str,
    live: str | None,
    policy: Path | None,
    opened: Callable[[], tuple[socket.socket, str, bool]],
    *,
    host: str,
    linger: float,
) -> NoReturn:
    """Run the reverse proxy."""
    from recsec.serving.dashboard import PREFIX, Place, add_dashboard
    from recsec.serving.engine import Engine, folder_of, open_state
    from recsec.serving.running import json_log
    from recsec.serving.running import run as run_server
    from recsec.serving.upstream import OWN, check_actions, create_proxy, read_upstream
    from recsec.targets.http.addresses import public_url

    url, places = read_upstream(upstream, rules.traffic)
    check_actions(rules, places)
    names, store = open_state(state)
    engine = Engine(
        rules,
        names,
        store,
        folder=folder_of(state),
        log=json_log(),
        live=live,
        source=policy,
        fits=lambda changed: check_actions(changed, places),
    )
    title = str if engine.fitted is None else engine.fitted.catalog.title
    there = Place(policy, folder_of(state), title, prefix=OWN + PREFIX)
    app = create_proxy(
        engine,
        url,
        places,
        open_to_all=host in LOOPBACK,
        pages=lambda own: add_dashboard(own, engine, there),
    )
    taken, place, talks = opened()
    if talks:
        say(f"before {public_url(url)} at http://{place}")
        say(f"policy: {rules.told()}")
        note(f"watched: {places.told()}; own pages begin with {OWN}")
        _tell_dashboard(place, there, engine)
    raise typer.Exit(run_server(app, engine, taken, linger=linger, own_date=False))


def _tell_dashboard(place: str, pages: Place, engine: Engine) -> None:
    people = len(engine.store.operators())
    there = f"http://{place}{pages.prefix}, {people} operators"
    note(f"dashboard: {there if people else 'recsec operators add NAME'}")


def _open(model: str, data: str | None, columns: str | None, *, authorised: bool) -> Target:
    """The target that the words name."""
    from recsec.library.opening import open_target_to_serve

    return open_target_to_serve(model, _data(model, data, columns), authorised=authorised)


def _data(model: str, data: str | None, columns: str | None) -> Dataset | None:
    """The data that say what is popular; a checkpoint serves without them too."""
    if data is not None:
        return open_data(data, columns)
    try:
        return open_data(None, columns, model=model)
    except UsageError:
        return None  # nothing is known of them
    except DataError as error:
        note(f"an account without events gets what the model says: {error.message}")
        return None


def _check_ways(rules: Policy, target: Target | None, *, screened: bool) -> None:
    """Refuse rules about what is not served here."""
    from recsec.serving.policy import check_screens, marking
    from recsec.targets import more_marked

    check_screens(rules, screened=screened)
    if target is None and rules.detectors is not None:
        raise ConfigError(
            "detectors judge lists, and only photos are served here",
            hint="recsec serve MODEL --visual ENCODER --photos NAME serves both",
        )
    for rule in marking(rules):
        if target is None:
            raise ConfigError(
                f"the rule {rule.name} marks lists, and only photos are served here",
                hint="leave the rule out",
            )
        try:
            more_marked(target, rule.bias)
        except ConfigError as error:
            raise ConfigError(f"the rule {rule.name}: {error.message}", hint=error.hint) from error


def _open_photos(visual: str, photos: str) -> Shop:
    """The photos that the words name, and a word about how far their screens can be trusted."""
    from recsec.library.photos import open_shop
    from recsec.screening import RATES, needed

    with progress() as report:
        shop = open_shop(visual, photos, progress=report)
    fitted = shop.listed.fitted_on
    few = [f"{100 * rate:g} %" for rate in RATES if fitted < needed(rate)]
    if few:
        note(f"warning: screens fitted on {fitted:,} photos cannot vouch for {' and '.join(few)}")
    return shop


def _check_items(rules: Policy, target: Target | None, fitted: Fitted | None) -> None:
    """Refuse detectors that know other items than the recommender."""
    import numpy as np

    from recsec.detection import Fitted

    if rules.detectors is None or target is None:
        return
    fitted = Fitted.load(rules.detectors) if fitted is None else fitted
    if not np.array_equal(fitted.catalog.ids, target.catalog.ids):
        raise ConfigError(
            f"the detectors know {len(fitted.catalog):,} items, the recommender "
            f"{len(target.catalog):,}, and they are not the same in the same order",
            hint="recsec detect fit --model DIR --data NAME --out DETECTORS makes one",
        )
