"""The tasks of an audit: module-level functions of JSON data that leave files in the run directory.

Each can be killed at any point and called again: training continues from its last epoch, queries
that were answered are replayed, and files are written whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from recsec import models
from recsec.attacks.extraction import (
    ExtractionConfig,
    account_names,
    collect,
    fit_guide,
    fit_surrogate,
    leaked_histories,
)
from recsec.audit.extraction.answers import SERVED, write_answers
from recsec.audit.extraction.leaks import audience, leak_of
from recsec.audit.extraction.opening import (
    OpenTarget,
    checkpoint_fingerprint,
    open_data,
    open_defended,
    open_model,
)
from recsec.data import Sequences, Split
from recsec.errors import ConfigError, RunError
from recsec.evaluation import Evaluation, evaluate
from recsec.models import Popularity, Recommender, Training
from recsec.registry import registry
from recsec.rng import Streams
from recsec.targets import Budget, MeteredTarget, Target, Transcript, preflight
from recsec.types import Answerer, IntArray, Progress

__all__ = [
    "check_target",
    "collect_calls",
    "fit_copy",
    "measure_defense",
    "measure_leak",
    "measure_target",
    "measure_twin",
    "train",
]

OWNER = "owner"
CHECKED_USERS = 4


def _named(progress: Progress, name: str) -> Progress:
    """Progress under the name of the task: several report side by side."""

    def report(what: str, done: int, total: int) -> None:
        detail = what.partition(" | ")[2]
        progress(f"{name} | {detail}" if detail else name, done, total)

    return report


def _open(payload: dict[str, Any]) -> OpenTarget:
    dataset, _ = open_data(payload["data"], payload["columns"])
    return open_model(payload["model"], dataset, authorised=payload["authorised"])


def _api(payload: dict[str, Any]) -> Target:
    """Whom the thief asks: the target, or a defense in its place, which names its guards."""
    if payload["guards"] is None:
        return _open(payload).api
    dataset, split = open_data(payload["data"], payload["columns"])
    return open_defended(payload["model"], payload["guards"], dataset, split)


def _users(split: Split, payload: dict[str, Any]) -> IntArray:
    chosen = payload["evaluation"]
    return audience(split, users=chosen["users"], seed=chosen["seed"], leak=payload["leak"])


def _leak(split: Split, payload: dict[str, Any], config: ExtractionConfig) -> Sequences | None:
    """The histories that leak to an attack."""
    if config.leak == 0:
        return None
    users = leak_of(split, config.leak, payload["evaluation"]["seed"])
    return leaked_histories(split, users)


def _measure(
    source: Recommender | Answerer,
    name: str,
    payload: dict[str, Any],
    progress: Progress,
    *,
    depth: int | None = None,
) -> Evaluation:
    _, split = open_data(payload["data"], payload["columns"])
    evaluation = evaluate(
        source,
        split,
        users=_users(split, payload),
        depth=depth or payload["evaluation"]["depth"],
        progress=progress,
    )
    write_answers(Path(payload["run"]), name, evaluation)
    return evaluation


def _measure_served(
    api: Target, folder: str, name: str, depth: int, payload: dict[str, Any], progress: Progress
) -> Evaluation:
    """Ask in the owner's name through a meter, so that a killed measurement asks nobody twice."""
    _, split = open_data(payload["data"], payload["columns"])
    budget = Budget(calls=len(_users(split, payload)), k=depth)
    with MeteredTarget(api, budget=budget, folder=Path(payload["run"]) / folder) as metered:
        return _measure(
            lambda histories, k: metered.query(OWNER, histories, k),
            name,
            payload,
            progress,
            depth=depth,
        )


def train(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Train a recommender into ``payload["out"]``."""
    dataset, split = open_data(payload["data"], payload["columns"])
    kind: type[Recommender] = registry("models").get(payload["train"])
    try:
        config = kind.config_class.model_validate(payload["settings"])
    except ValueError as error:
        raise ConfigError(
            f"settings of {payload['train']} do not fit: {error}",
            hint="recsec list models prints them",
        ) from error
    folder = Path(payload["out"])
    models.train(
        payload["train"],
        split,
        config,
        seed=payload["seed"],
        training=Training(
            out=folder, device=payload["device"], progress=_named(progress, payload["name"])
        ),
        data={"name": dataset.name, "fingerprint": dataset.fingerprint},
    )
    return {"fingerprint": checkpoint_fingerprint(folder)}


def measure_twin(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Train an independent model and keep its answers."""
    train(payload, progress)
    model = models.load(Path(payload["out"]))
    _measure(model, payload["id"], payload, _named(progress, payload["id"]))
    return {"seed": payload["seed"]}


def check_target(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Ask a target that is not ours whether it keeps the contract; a few calls."""
    del progress
    opened = _open(payload)
    _, split = open_data(payload["data"], payload["columns"])
    batch = next(split.batches("test", size=CHECKED_USERS, users=_users(split, payload)))
    found = preflight(opened.api, batch.histories, payload["k"], account=OWNER)
    return {"calls": found.calls, "shortest": found.shortest, "own_history": found.own_history}


def measure_target(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Keep the answers of the target and of the floor to the users of the audit.

    The owner asks in his own name, outside the thief's budget; a target that is only an API is
    asked through a meter of its own, so that a killed measurement asks nobody twice.
    """
    opened = _open(payload)
    dataset, split = open_data(payload["data"], payload["columns"])
    report = _named(progress, "measure the target")
    if opened.recommender is not None:
        evaluation = _measure(opened.recommender, "target", payload, report)
    else:
        depth = payload["evaluation"]["depth"]
        evaluation = _measure_served(opened.api, "owner", "target", depth, payload, report)
    _measure(Popularity.of(split.train), "floor", payload, _named(progress, "measure the floor"))
    fingerprint = (
        checkpoint_fingerprint(Path(payload["model"])) if opened.recommender is not None else None
    )
    return {
        "description": opened.description,
        "fingerprint": fingerprint,
        "protocol": evaluation.protocol,
        "data": dataset.fingerprint,
    }


def measure_defense(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Keep the lists that users get from a defense: guards included, of the length they see."""
    name = payload["id"]
    report = _named(progress, f"measure {payload['name']}")
    _measure_served(_api(payload), f"owner-{payload['name']}", name, SERVED, payload, report)
    return {"fingerprint": checkpoint_fingerprint(Path(payload["model"]).expanduser())}


def measure_leak(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Keep the answers of a model that was trained on the leak alone: the floor of its thieves."""
    _, split = open_data(payload["data"], payload["columns"])
    config = ExtractionConfig.model_validate(payload["attack"])
    leak = _leak(split, payload, config)
    if leak is None:
        raise ConfigError("this attack has no leak to measure")
    guide = fit_guide(
        leak,
        config,
        seed=payload["evaluation"]["seed"],
        out=Path(payload["run"]) / "floors" / payload["id"],
        device=payload["device"],
        progress=_named(progress, f"train {payload['id']}"),
    )
    _measure(guide, payload["id"], payload, _named(progress, f"measure {payload['id']}"))
    return {"users": len(leak)}


def collect_calls(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Spend a budget: the answers are in ``transcript/ID/``."""
    api, folder = _api(payload), Path(payload["run"]) / "transcript" / payload["id"]
    folder.mkdir(parents=True, exist_ok=True)
    config = ExtractionConfig.model_validate(payload["attack"])
    _, split = open_data(payload["data"], payload["columns"])
    budget = Budget(calls=payload["calls"], k=payload["k"], accounts=len(account_names(config)))
    try:
        with (
            FileLock(folder / ".lock", timeout=30),
            MeteredTarget(api, budget=budget, folder=folder) as metered,
        ):
            collect(
                metered,
                config,
                calls=payload["calls"],
                k=payload["k"],
                streams=Streams(payload["seed"]).child("collect"),
                leak=_leak(split, payload, config),
                device=payload["device"],
                progress=_named(progress, f"ask {payload['id']}"),
            )
    except Timeout as error:
        raise RunError(f"another process still asks into {folder}") from error
    return {"calls": metered.calls, "accounts": len(metered.calls_by_account)}


def fit_copy(payload: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Train the surrogate of one cell and keep its answers."""
    run = Path(payload["run"])
    dataset, _ = open_data(payload["data"], payload["columns"])
    surrogate = fit_surrogate(
        Transcript.open(run / "transcript" / payload["collection"], dataset.catalog),
        dataset.catalog,
        ExtractionConfig.model_validate(payload["attack"]),
        calls=payload["calls"],
        streams=Streams(payload["seed"]).child("fit"),
        out=run / "surrogate" / payload["id"],
        device=payload["device"],
        progress=_named(progress, f"copy {payload['id']}"),
    )
    _measure(surrogate, payload["id"], payload, _named(progress, f"measure {payload['id']}"))
    return {"calls": payload["calls"]}
