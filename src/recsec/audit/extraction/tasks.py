"""What the tasks of an extraction audit are told, and what they tell."""

from __future__ import annotations

from typing import Any

from recsec.attacks.extraction import ExtractionConfig, asks
from recsec.audit.engines import Payload
from recsec.audit.extraction.plan import EvaluationPlan
from recsec.data import Reading
from recsec.evaluation import Seen

__all__ = [
    "AboutTarget",
    "Checked",
    "Checking",
    "Collected",
    "Collecting",
    "Copied",
    "Copying",
    "Course",
    "Learned",
    "Learning",
    "MeasuredDefense",
    "MeasuredTwin",
    "MeasuringDefense",
    "MeasuringTwin",
    "Recopying",
    "Scene",
    "Spotted",
    "Spotting",
    "Trained",
    "Training",
]


class Scene(Payload):
    """What every task is told.

    Attributes:
        run: the run directory.
        data: the data set.
        reading: what the plan says about it.
        model: where the target is, or what stands in its place.
        guards: of a defense, as tables; ``None`` for the target as it is.
        authorised: the owner of a target beyond this machine agreed.
        evaluation: on whom and how finely fidelity is measured.
        leak: the largest share of users that leaks to any attack.
        device: where models are trained, and a checkpoint answers.
    """

    run: str
    data: str
    reading: Reading
    model: str
    guards: list[dict[str, Any]] | None = None
    authorised: bool
    evaluation: EvaluationPlan
    leak: float
    device: str

    def decides(self) -> dict[str, Any]:
        """See ``Payload.decides``: on whom fidelity is measured, not how it is summed up."""
        told = super().decides()
        for name in ("run", "authorised", "reading"):
            del told[name]
        told |= self.reading.decides()
        del told["evaluation"]["resamples"]
        del told["evaluation"]["recheck"]
        return told


class Training(Scene):
    """Train ``train`` into ``out``; ``name`` says what it is in progress."""

    name: str
    train: str
    settings: dict[str, Any]
    seed: int
    out: str


class Trained(Payload):
    """SHA-256 of the weights."""

    fingerprint: str


class MeasuringTwin(Training):
    """Train a twin and keep its answers as ``id``."""

    id: str


class MeasuredTwin(Payload):
    """Its seed."""

    seed: int


class Checking(Scene):
    """Ask a target a few questions with lists of ``k``."""

    k: int


class Spotting(Scene):
    """Ask ``count`` of the calls that are recorded in the folder ``record`` again."""

    record: str
    count: int


class Spotted(Payload):
    """Calls that were made."""

    calls: int


class Checked(Payload):
    """What ``recsec.targets.preflight`` found."""

    calls: int
    shortest: int
    own_history: float
    defects: tuple[str, ...] = ()


class AboutTarget(Payload):
    """What is known about the target once it was measured.

    Attributes:
        description: architecture and whereabouts, in words.
        fingerprint: SHA-256 of the weights, where they can be read.
        protocol: how its quality was measured.
        data: fingerprint of the data.
        seen: its hit rate beside that of a model that cannot have seen the test items; None where
            the audit trained the target itself.
    """

    description: str
    fingerprint: str | None
    protocol: str
    data: str
    seen: Seen | None = None


class MeasuringDefense(Scene):
    """Keep the lists that users get from the defense ``name`` as ``id``."""

    id: str
    name: str


class MeasuredDefense(Payload):
    """SHA-256 of the weights behind it; None where it has none here."""

    fingerprint: str | None


class Learning(Scene):
    """Keep the answers of a model trained on the leak of ``attack`` alone as ``id``."""

    id: str
    attack: ExtractionConfig


class Learned(Payload):
    """How many users leaked."""

    users: int


class Collecting(Scene):
    """Spend a budget of ``calls`` with lists of ``k`` into ``transcript/ID/``."""

    id: str
    attack: ExtractionConfig
    k: int
    calls: int
    seed: int

    def decides(self) -> dict[str, Any]:
        """See ``Payload.decides``: the questions. A smaller budget asks the first of them."""
        told = super().decides()
        names = ["data", *self.reading.decides(), "model", "guards", "k", "seed"]
        questions = asks(self.attack)
        if "surrogate" in questions:
            names.append("device")
        leaked = {"leaked": self.evaluation.seed} if self.attack.leak else {}
        return {name: told[name] for name in names} | leaked | {"asks": questions}


class Collected(Payload):
    """Calls that were made, and accounts that made them."""

    calls: int
    accounts: int


class Copying(Scene):
    """Train the surrogate of the cell ``id`` on the first ``calls`` of a collection."""

    id: str
    collection: str
    attack: ExtractionConfig
    calls: int
    seed: int


class Recopying(Copying):
    """The same with ``longer`` times the passes that follow from the calls."""

    longer: int


class Course(Payload):
    """How the training of a copy went; see ``recsec.attacks.extraction.fit_surrogate``."""

    held_out: float
    trained: float | None
    best_epoch: int
    epochs: int


class Copied(Payload):
    """Calls that it learned from, and how; runs of older versions do not tell."""

    calls: int
    course: Course | None = None
