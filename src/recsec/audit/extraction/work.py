"""The tasks of an extraction audit: functions that leave files in the run directory.

Each can be killed at any point and called again: training continues from its last epoch, queries
that were answered are replayed, and files are written whole.
"""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from recsec import models, targets
from recsec.attacks.extraction import (
    ExtractionConfig,
    account_names,
    collect,
    fit_guide,
    fit_surrogate,
    guide_of,
    leaked_histories,
    proxy_histories,
)
from recsec.audit.engines import named
from recsec.audit.extraction.evidence.answers import SERVED, write_answers
from recsec.audit.extraction.evidence.audience import audience, leak_of
from recsec.audit.extraction.opening import (
    OpenTarget,
    open_data,
    open_defended,
    open_model,
    placed,
)
from recsec.audit.extraction.tasks import (
    AboutTarget,
    Checked,
    Checking,
    Collected,
    Collecting,
    Copied,
    Copying,
    Learned,
    Learning,
    MeasuredDefense,
    MeasuredTwin,
    MeasuringDefense,
    MeasuringTwin,
    Recopying,
    Scene,
    Spotted,
    Spotting,
    Trained,
    Training,
)
from recsec.data import Sequences, Split
from recsec.errors import ConfigError, RunError
from recsec.evaluation import Evaluation, against_markov, evaluate
from recsec.models import Popularity, Recommender
from recsec.registry import registry
from recsec.rng import Streams
from recsec.settings import checked
from recsec.sources import is_folder
from recsec.targets import ASKINGS, Budget, MeteredTarget, Target, Transcript, preflight
from recsec.types import Answerer, IntArray, Progress

__all__ = [
    "CHECK",
    "CHECKED_USERS",
    "OWNED",
    "check_target",
    "collect_calls",
    "fit_copy",
    "measure_defense",
    "measure_leak",
    "measure_target",
    "measure_twin",
    "spot_check",
    "train",
]

OWNER = "owner"
OWNED = "owner"
"""The folder with what the target answered its owner, where it is only an API."""

CHECK = "check"
"""The folder with what it answered before."""

CHECKED_USERS = 24
"""Histories of the check: fewer do not tell one ranking for everybody from a sound target."""


def _open(scene: Scene) -> OpenTarget:
    dataset, _ = open_data(scene.data, scene.reading)
    return open_model(scene.model, dataset, authorised=scene.authorised, device=scene.device)


def _api(scene: Scene) -> Target:
    """Whom the thief asks: the target, or a defense in its place, which names its guards."""
    if scene.guards is None:
        return _open(scene).api
    dataset, split = open_data(scene.data, scene.reading)
    return open_defended(
        scene.model,
        scene.guards,
        dataset,
        split,
        authorised=scene.authorised,
        device=scene.device,
    )


def _users(split: Split, scene: Scene) -> IntArray:
    chosen = scene.evaluation
    return audience(split, users=chosen.users, seed=chosen.seed, leak=scene.leak)


def _leak(split: Split, scene: Scene, config: ExtractionConfig) -> Sequences | None:
    """The histories that an attack has."""
    if config.proxy:
        return proxy_histories(config.proxy, split.catalog)
    if config.leak == 0:
        return None
    users = leak_of(split, config.leak, scene.evaluation.seed)
    return leaked_histories(split, users)


def _measure(
    source: Recommender | Answerer,
    name: str,
    scene: Scene,
    progress: Progress,
    *,
    depth: int | None = None,
) -> Evaluation:
    _, split = open_data(scene.data, scene.reading)
    if isinstance(source, Recommender):
        placed(source, scene.device)
    evaluation = evaluate(
        source,
        split,
        users=_users(split, scene),
        depth=depth or scene.evaluation.depth,
        progress=progress,
    )
    write_answers(Path(scene.run), name, evaluation)
    return evaluation


def _measure_served(
    api: Target, folder: str, name: str, depth: int, scene: Scene, progress: Progress
) -> Evaluation:
    """Ask in the owner's name through a meter, so that a killed measurement asks nobody twice."""
    _, split = open_data(scene.data, scene.reading)
    budget = Budget(calls=len(_users(split, scene)), k=depth)
    with MeteredTarget(api, budget=budget, folder=Path(scene.run) / folder) as metered:
        return _measure(
            lambda histories, k: metered.query(OWNER, histories, k),
            name,
            scene,
            progress,
            depth=depth,
        )


def train(scene: Training, progress: Progress) -> Trained:
    """Train a recommender into a folder."""
    dataset, split = open_data(scene.data, scene.reading)
    kind: type[Recommender] = registry("models").get(scene.train)
    config = checked(kind.config_class, scene.settings, where=f"settings of {scene.train}")
    folder = Path(scene.out)
    models.train(
        scene.train,
        split,
        config,
        seed=scene.seed,
        training=models.Training(
            out=folder, device=scene.device, progress=named(progress, scene.name)
        ),
        data={"name": dataset.name, "fingerprint": dataset.fingerprint},
    )
    models.remember(folder, dataset)
    return Trained(fingerprint=models.weights_digest(folder))


def measure_twin(scene: MeasuringTwin, progress: Progress) -> MeasuredTwin:
    """Train an independent model and keep its answers."""
    train(scene, progress)
    model = models.load(Path(scene.out))
    _measure(model, scene.id, scene, named(progress, scene.id))
    return MeasuredTwin(seed=scene.seed)


def check_target(scene: Checking, progress: Progress) -> Checked:
    """Ask a target whether it keeps the contract; a few calls, recorded where it only answers."""
    del progress
    opened = _open(scene)
    _, split = open_data(scene.data, scene.reading)
    batch = next(split.batches("test", size=CHECKED_USERS, users=_users(split, scene)))
    if opened.recommender is not None:
        found = preflight(opened.api, batch.histories, scene.k, account=OWNER)
    else:
        budget = Budget(calls=ASKINGS * len(batch.histories), k=scene.k)
        with MeteredTarget(opened.api, budget=budget, folder=Path(scene.run) / CHECK) as metered:
            found = preflight(metered, batch.histories, scene.k, account=OWNER)
    return Checked(
        calls=found.calls,
        shortest=found.shortest,
        own_history=found.own_history,
        defects=found.defects,
    )


def spot_check(scene: Spotting, progress: Progress) -> Spotted:
    """Ask a few recorded calls again: is this still the target that answered them?"""
    del progress
    opened = _open(scene)
    folder = Path(scene.run) / scene.record
    transcript = Transcript.open(folder, opened.api.catalog)
    calls = targets.spot_check(opened.api, transcript, name=str(folder), count=scene.count)
    return Spotted(calls=calls)


def measure_target(scene: Scene, progress: Progress) -> AboutTarget:
    """Keep the answers of the target and of the floor to the users of the audit.

    The owner asks in his own name, outside the thief's budget; a target that is only an API is
    asked through a meter of its own, so that a killed measurement asks nobody twice.
    """
    opened = _open(scene)
    dataset, split = open_data(scene.data, scene.reading)
    report = named(progress, "measure the target")
    if opened.recommender is not None:
        evaluation = _measure(opened.recommender, "target", scene, report)
    else:
        depth = scene.evaluation.depth
        evaluation = _measure_served(opened.api, OWNED, "target", depth, scene, report)
    _measure(Popularity.of(split.train), "floor", scene, named(progress, "measure the floor"))
    fingerprint = (
        models.weights_digest(Path(scene.model)) if opened.recommender is not None else None
    )
    own = Path(scene.model).is_relative_to(scene.run)  # trained here, without the test items
    return AboutTarget(
        description=opened.description,
        fingerprint=fingerprint,
        protocol=evaluation.protocol,
        data=dataset.fingerprint,
        seen=None if own else against_markov(evaluation),
    )


def measure_defense(scene: MeasuringDefense, progress: Progress) -> MeasuredDefense:
    """Keep the lists that users get from a defense: guards included, of the length they see."""
    name = scene.id
    report = named(progress, f"measure {scene.name}")
    _measure_served(_api(scene), f"owner-{scene.name}", name, SERVED, scene, report)
    here = is_folder(scene.model)
    found = models.weights_digest(Path(scene.model).expanduser()) if here else None
    return MeasuredDefense(fingerprint=found)


def measure_leak(scene: Learning, progress: Progress) -> Learned:
    """Keep the answers of a model that was trained on the leak alone: the floor of its thieves."""
    _, split = open_data(scene.data, scene.reading)
    config = scene.attack
    leak = _leak(split, scene, config)
    if leak is None:
        raise ConfigError("this attack has no leak to measure")
    guide = fit_guide(
        leak,
        config,
        seed=scene.evaluation.seed,
        out=Path(scene.run) / "floors" / scene.id,
        device=scene.device,
        progress=named(progress, f"train {scene.id}"),
    )
    _measure(guide, scene.id, scene, named(progress, f"measure {scene.id}"))
    return Learned(users=len(leak))


def collect_calls(scene: Collecting, progress: Progress) -> Collected:
    """Spend a budget: the answers are in ``transcript/ID/``."""
    api, folder = _api(scene), Path(scene.run) / "transcript" / scene.id
    folder.mkdir(parents=True, exist_ok=True)
    config = scene.attack
    _, split = open_data(scene.data, scene.reading)
    budget = Budget(calls=scene.calls, k=scene.k, accounts=len(account_names(config)))
    try:
        with (
            FileLock(folder / ".lock", timeout=30),
            MeteredTarget(api, budget=budget, folder=folder) as metered,
        ):
            collect(
                metered,
                config,
                calls=scene.calls,
                k=scene.k,
                streams=Streams(scene.seed).child("collect"),
                leak=_leak(split, scene, config),
                device=scene.device,
                progress=named(progress, f"ask {scene.id}"),
            )
    except Timeout as error:
        raise RunError(f"another process still asks into {folder}") from error
    return Collected(calls=metered.calls, accounts=len(metered.calls_by_account))


def fit_copy(scene: Copying, progress: Progress) -> Copied:
    """Train the surrogate of one cell and keep its answers."""
    run = Path(scene.run)
    dataset, _ = open_data(scene.data, scene.reading)
    surrogate = fit_surrogate(
        Transcript.open(run / "transcript" / scene.collection, dataset.catalog),
        dataset.catalog,
        scene.attack,
        calls=scene.calls,
        streams=Streams(scene.seed).child("fit"),
        longer=scene.longer if isinstance(scene, Recopying) else 1,
        guide=guide_of(scene.attack, run / "transcript" / scene.collection),
        out=run / "surrogate" / scene.id,
        device=scene.device,
        progress=named(progress, f"copy {scene.id}"),
    )
    _measure(surrogate, scene.id, scene, named(progress, f"measure {scene.id}"))
    course = models.read_config(run / "surrogate" / scene.id).get("course")
    return Copied.model_validate({"calls": scene.calls, "course": course})
