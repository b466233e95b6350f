"""What the tasks of an evasion audit are told, and what they tell."""

from __future__ import annotations

from typing import Any

from recsec.audit.engines import Payload

__all__ = [
    "AboutModel",
    "AboutSearch",
    "Asking",
    "Attacking",
    "Checking",
    "Drawing",
    "Drawn",
    "Made",
    "Making",
    "Mapping",
    "Measuring",
    "OnModel",
    "OnPairs",
    "Photos",
    "Showing",
    "Tried",
]


class Photos(Payload):
    """What every task is told.

    Attributes:
        run: the run directory.
        data: the photos.
        device: where models run.
    """

    run: str
    data: str
    device: str


class OnModel(Photos):
    """A task about one model: its ``folder`` (or source of others), and the file of its
    ``features``.
    """

    folder: str
    features: str


class Making(OnModel):
    """Train ``train``, or harden the checkpoint ``base`` by ``harden``, into ``folder``."""

    name: str
    train: str | None
    harden: str | None
    base: str
    settings: dict[str, Any]
    seed: int


class Made(Payload):
    """SHA-256 of settings and weights."""

    fingerprint: str


class Measuring(OnModel):
    """Embed the catalog by the model ``name``, and keep features and quality as ``id``."""

    id: str
    name: str


class AboutModel(Payload):
    """What is known about a model once it was measured.

    Attributes:
        fingerprint: SHA-256 of settings and weights.
        size: side of its photos in pixels.
        width: D of its embeddings.
        weights: how many; None where they cannot be seen.
        backbone: its network.
        hubness: skewness of how often photos are listed.
        catalog: photos that are ranked.
        protocol: how its quality was measured.
    """

    fingerprint: str
    size: int
    width: int
    weights: int | None
    backbone: str
    hubness: float
    catalog: int
    protocol: str


class Checking(OnModel):
    """The pre-flight of a visual search, on held-out photos of ``split``.

    Attributes:
        authorised: the owner of a search beyond this machine agreed.
        asked: what decides its answers.
    """

    split: str
    authorised: bool
    asked: str

    def decides(self) -> dict[str, Any]:
        """See ``Payload.decides``."""
        return _searched(super().decides())


class AboutSearch(Payload):
    """What is known about a visual search once it was checked.

    Attributes:
        name: its address, for people.
        size: side of the uploaded photos in pixels.
        k: length of its lists.
        surface: ``search`` or ``relist``.
        seen: what the pre-flight saw, in words.
    """

    name: str
    size: int
    k: int
    surface: str
    seen: str


class Drawing(Photos):
    """Draw ``count`` pairs by ``policy``; ``first`` is the first encoder's name in files, if there
    is one.
    """

    first: str
    policy: str
    split: str
    seed: int
    count: int


class Drawn(Payload):
    """P pairs: places of attackers and targets in the catalog."""

    attackers: tuple[int, ...]
    targets: tuple[int, ...]
    policy: str


class OnPairs(OnModel):
    """A task on pairs: the attack with its settings, and the ``size`` of the photos if not the
    encoder's own.
    """

    id: str
    attack: str
    settings: dict[str, Any]
    eps: float
    seed: int
    pairs: Drawn
    size: int | None = None


class Attacking(OnPairs):
    """Attack the pairs with these ``numbers``."""

    project: bool
    numbers: tuple[int, ...]


class Asking(Attacking):
    """Attack the pairs with these ``numbers`` through a visual search.

    Attributes:
        authorised: the owner of a search beyond this machine agreed.
        asked: what decides its answers.
    """

    authorised: bool
    asked: str

    def decides(self) -> dict[str, Any]:
        """See ``Payload.decides``."""
        return _searched(super().decides())


def _searched(told: dict[str, Any]) -> dict[str, Any]:
    """Without what changes no answer; how it is asked stands in ``asked``."""
    return {name: told[name] for name in told if name not in ("authorised", "folder", "device")}


class Tried(Payload):
    """How many pairs were attacked and judged."""

    pairs: int


class Showing(OnPairs):
    """Attack the pair ``number`` at all ``budgets`` and show it.

    Attributes:
        shown: what the report calls the model.
        label: what it calls the attack.
    """

    shown: str
    label: str
    budgets: tuple[float, ...]
    number: int


class Mapping(Showing):
    """Put the held-out photos of ``split`` on a map, with the way of the attacked photo."""

    split: str
