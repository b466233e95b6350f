"""Does a source work, and for which commands? A few questions before anything is spent."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recsec.library.opening import OWNER, open_api
from recsec.sources import COMMANDS, Capability, Threat, kind_of_source, lacking

if TYPE_CHECKING:
    from recsec.data import Dataset, Photos
    from recsec.targets import Unknown
    from recsec.targets.visual import EncoderSource

__all__ = [
    "CheckedEncoder",
    "CheckedSource",
    "PhotoQuestion",
    "Question",
    "check_photos",
    "check_source",
]

SHOWN = 3
"""Questions that are asked alone, timed and shown."""

ROWS = 20
"""Histories of the check that every audit begins with; fewer would not show one ranking for all."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question that was asked alone.

    Attributes:
        sent: the history, in the user's own ids, oldest first.
        answered: the list that was understood, in the user's own ids.
        seconds: until it was there.
    """

    sent: list[Any]
    answered: list[Any]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CheckedSource:
    """What ``check_source`` found; a source that cannot be audited raises instead.

    Attributes:
        kind: of ``recsec.sources.KINDS``.
        gives: what the opened source can do.
        questions: asked alone.
        calls: made in all.
        shortest: length of the shortest list.
        longest: of the longest.
        ordered: a shorter list is the beginning of a longer one.
        own_history: share of listed items that the history held.
        defects: what a sound recommender does not do and an audit survives.
        unknown: listed ids that the catalog lacks.
        shown: how histories become what it takes, in words, where that is not plain.
        lacks: by command, what it needs beyond ``gives``; empty where the command works.
    """

    kind: str
    gives: frozenset[Capability]
    questions: tuple[Question, ...]
    calls: int
    shortest: int
    longest: int
    ordered: bool
    own_history: float
    defects: tuple[str, ...]
    unknown: Unknown
    shown: str
    lacks: dict[str, list[Capability]]


def check_source(
    spec: str, data: Dataset, *, k: int = 10, authorised: bool = False
) -> CheckedSource:
    """Open a source, ask a few questions, and say what works with it.

    Args:
        spec: as ``--model`` takes it.
        data: whose users are asked about.
        k: list length.
        authorised: the owner of a target beyond this machine agreed that it is asked.

    Raises:
        TargetError: it fails, breaks its contract, does not repeat itself, or does not look at the
            history.
        RecsecError: it cannot be opened.
    """
    from recsec.targets import capabilities_of, preflight, unknown_items

    target = open_api(spec, data, authorised=authorised)
    histories = next(data.split().batches("test", size=ROWS)).histories
    questions = []
    for history in histories[:SHOWN]:
        begun = time.perf_counter()
        answer = target.query(OWNER, history[None], k)[0]
        seconds = time.perf_counter() - begun
        sent, got = (target.catalog.external(row) for row in (history, answer))
        questions.append(Question(sent=sent, answered=got, seconds=seconds))
    found = preflight(target, histories, k, account=OWNER)
    gives = capabilities_of(target)
    return CheckedSource(
        kind=kind_of_source(spec, "extraction").name,
        gives=gives,
        questions=tuple(questions),
        calls=found.calls + len(questions),
        shortest=found.shortest,
        longest=found.longest,
        ordered=found.ordered,
        own_history=found.own_history,
        defects=found.defects,
        unknown=unknown_items(target),
        shown=getattr(getattr(target, "recommender", target), "words", ""),
        lacks=_lacks("extraction", gives),
    )


@dataclass(frozen=True, kw_only=True)
class PhotoQuestion:
    """A photo that was asked about alone.

    Attributes:
        item: whose.
        sent: what it was made to, in words.
        answered: the first numbers of the vector, or the first ids of the list.
        size: numbers in the vector, or ids in the list.
        seconds: until it was there.
    """

    item: Any
    sent: str
    answered: list[Any]
    size: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CheckedEncoder:
    """What ``check_photos`` found; a source that cannot be audited raises instead.

    Attributes:
        kind: of ``recsec.sources.KINDS``.
        gives: what the opened source can do.
        shown: what a photo becomes before it is asked about, in words.
        questions: asked alone.
        repeats: how it repeats itself, in words.
        opaque: why it shows no gradients, where that is known.
        lacks: by command, what it needs beyond ``gives``; empty where the command works.
    """

    kind: str
    gives: frozenset[Capability]
    shown: str
    questions: tuple[PhotoQuestion, ...]
    repeats: str
    opaque: str
    lacks: dict[str, list[Capability]]


def check_photos(spec: str, photos: Photos, *, authorised: bool = False) -> CheckedEncoder:
    """Open an encoder or a visual search, ask about a few photos, and say what works with it.

    Args:
        spec: as ``--model`` takes it.
        photos: that are asked about.
        authorised: the owner of a search beyond this machine agreed that it is asked.

    Raises:
        TargetError: it fails, does not repeat itself, or does not look at the photo; or its search
            is of other photos.
        RecsecError: it cannot be opened.
    """
    from recsec.targets.visual import is_search, open_source

    if is_search(spec):
        return _check_search(spec, photos, authorised=authorised)
    source = open_source(spec)
    questions, repeats = _ask_encoder(source, photos)
    return CheckedEncoder(
        kind=kind_of_source(spec, "evasion").name,
        gives=source.gives,
        shown=source.words or f"{spec} is shown {source.encoder.size} px, rgb, 0 to 1",
        questions=questions,
        repeats=repeats,
        opaque=getattr(source.encoder, "opaque", ""),
        lacks=_lacks("evasion", source.gives),
    )


def _ask_encoder(source: EncoderSource, photos: Photos) -> tuple[tuple[PhotoQuestion, ...], str]:
    import numpy as np
    import torch

    from recsec.targets.visual import check_vectors

    encoder = source.encoder.eval()
    look: Any = getattr(encoder, "show", getattr(encoder, "recipe", lambda images: images))
    rows = np.arange(min(ROWS, len(photos)))
    images = torch.from_numpy(np.array(photos.pixels(rows, encoder.size))).float().div(255)
    questions = []
    with torch.no_grad():
        together = encoder.features(images)
        for image, item in zip(images[:SHOWN], photos.ids.tolist(), strict=False):
            shown = look(image[None])
            begun = time.perf_counter()
            vector = encoder.features(image[None])[0]
            seconds = time.perf_counter() - begun
            sent = (
                f"{shown.dtype} {tuple(shown.shape)} from {float(shown.min()):.3g} to "
                f"{float(shown.max()):.3g}"
            ).removeprefix("torch.")
            questions.append(
                PhotoQuestion(
                    item=item, sent=sent, answered=[round(x, 4) for x in vector[:SHOWN].tolist()],
                    size=len(vector), seconds=seconds,
                )
            )  # fmt: skip
    gap = check_vectors(encoder, together, photos, whose=source.spec)
    alike = "the same vector" if gap == 0 else f"a vector that differs by {gap:.1e} of its length"
    return tuple(questions), f"asked again and alone it gives {alike}"


def _check_search(spec: str, photos: Photos, *, authorised: bool) -> CheckedEncoder:
    import numpy as np

    from recsec.targets.visual import ImageSearch, check_search, read_search_file

    config, questions = read_search_file(spec), []
    rows = np.arange(min(SHOWN, len(photos)))
    with ImageSearch(config, photos, authorised=authorised) as search:
        images = np.array(photos.pixels(rows, search.size))
        seen = check_search(search, images, rows)
        for image, row in zip(images, rows.tolist(), strict=True):
            begun = time.perf_counter()
            found = photos.ids[search.list(image, row, row)].tolist()
            seconds = time.perf_counter() - begun
            sent = f"PNG of {search.size} px, {config.method} {config.send}"
            questions.append(
                PhotoQuestion(
                    item=photos.ids[row].item(), sent=sent, answered=found[:SHOWN],
                    size=len(found), seconds=seconds,
                )
            )  # fmt: skip
    gives = config.gives
    return CheckedEncoder(
        kind=kind_of_source(spec, "evasion").name,
        gives=gives,
        shown=f"{search.name} is shown photos of {search.size} px, rgb, as PNG",
        questions=tuple(questions),
        repeats=str(seen),
        opaque="",
        lacks=_lacks("evasion", gives),
    )


def _lacks(threat: Threat, gives: frozenset[Capability]) -> dict[str, list[Capability]]:
    """By command, what is missing."""
    return {
        words: lacking(words, gives)
        for words, command in COMMANDS.items()
        if command.threat == threat
    }
