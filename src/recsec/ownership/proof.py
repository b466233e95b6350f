"""The proof: does a suspect carry the mark of a key more than it carries that of other keys?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from recsec.data.sequences import Split
from recsec.errors import ConfigError
from recsec.ownership.questions import Questions, draw_questions
from recsec.ownership.statistics import (
    combined_p_values,
    green_statistics,
    p_values,
    pair_contrasts,
    reply_statistics,
)
from recsec.ownership.suspect import Answers, ask
from recsec.rng import Streams
from recsec.stats import Estimate, mean_estimate
from recsec.targets import Target
from recsec.targets.guards import green_items, popularity_pairs, replies
from recsec.types import FloatArray, IntArray, Progress

__all__ = ["KEYS", "Part", "Point", "Proof", "Verdict", "judge_answers", "prove"]

Verdict: TypeAlias = Literal["copied", "no evidence"]

KEYS = 9_999
"""Other keys by default; the smallest p-value is 1 / (KEYS + 1)."""
SHARES = (0.0625, 0.125, 0.25, 0.5, 1.0)
"""Shares of the questions at which the evidence so far is shown."""


@dataclass(frozen=True)
class Part:
    """One of the two marks.

    Attributes:
        p_value: exact, of this mark alone.
        statistic: of the owner's key.
        others: mean of the statistic over the other keys.
        deviation: standard deviation over the other keys.
        effect: how much is there beyond chance, per question; the interval covers the questions.
    """

    p_value: float
    statistic: float
    others: float
    deviation: float
    effect: Estimate

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self) | {"effect": self.effect.to_json()}


@dataclass(frozen=True)
class Point:
    """The evidence after some of the questions."""

    queries: int
    p_value: float

    def to_json(self) -> dict[str, Any]:
        """Both fields."""
        return asdict(self)


@dataclass(frozen=True)
class Proof:
    """What the answers of a suspect say.

    Attributes:
        verdict: "copied" if the p-value is at most ``alpha``.
        p_value: of both marks together, exact.
        effect: share of listed items that are green, beyond the half expected by chance.
        queries: questions asked.
        unanswered: of these, how many brought no usable list.
        reason: why the first of them did not.
        shorter: answered lists with fewer than k items of the catalog.
        k: list length.
        keys: how many other keys were tried on the same answers.
        alpha: the level of the verdict.
        green: the bias towards green items.
        replies: the replies to triggers; None where they were not asked for.
        curve: p-value against the number of questions.
    """

    verdict: Verdict
    p_value: float
    effect: Estimate
    queries: int
    unanswered: int
    reason: str | None
    shorter: int
    k: int
    keys: int
    alpha: float
    green: Part
    replies: Part | None
    curve: tuple[Point, ...]

    def to_json(self) -> dict[str, Any]:
        """The form of ``recsec verify --json``."""
        return dict(vars(self))


def prove(
    suspect: Target,
    key: bytes,
    split: Split,
    *,
    streams: Streams,
    queries: int = 1500,
    k: int = 10,
    keys: int = KEYS,
    alpha: float = 0.001,
    progress: Progress | None = None,
) -> Proof:
    """Ask a suspect and judge its answers.

    Args:
        suspect: any target over the items of ``split``.
        key: the owner's, with which the ``watermark`` guard served.
        split: the owner's data: popularity from its training part, histories from its users.
        streams: draw users, other keys and resamples.
        queries: how many questions.
        k: list length.
        keys: R, how many other keys.
        alpha: level of the verdict.
        progress: told while asking.

    Raises:
        ConfigError: settings that prove nothing.
        TargetError: the suspect gives no usable answers.
    """
    questions = draw_questions(split, key, queries=queries, rng=streams.numpy("questions"))
    answers = ask(suspect, questions.histories, k, progress=progress)
    return judge_answers(
        answers, questions, key, split.train.counts, streams=streams, keys=keys, alpha=alpha
    )


def judge_answers(
    answers: Answers,
    questions: Questions,
    key: bytes,
    counts: IntArray,
    *,
    streams: Streams,
    keys: int = KEYS,
    alpha: float = 0.001,
) -> Proof:
    """The evidence in answers that are at hand; see ``prove``.

    Raises:
        ConfigError: with so few other keys no p-value could be as small as ``alpha``.
    """
    if (keys + 1) * alpha < 1:
        raise ConfigError(
            f"{keys} other keys cannot give a p-value of {alpha:g}",
            hint=f"give at least {int(np.ceil(1 / alpha)) - 1} keys",
        )
    rng = streams.numpy("other keys")
    tried = [key, *(rng.bytes(len(key)) for _ in range(keys))]
    plain, rounds = questions.plain, questions.rounds
    heads = [max(1, round(plain * share)) for share in SHARES]
    turns = [round(rounds * share) for share in SHARES]
    contrasts = np.stack([pair_contrasts(answers.lists[:head], counts) for head in heads], axis=1)
    green = green_statistics(contrasts, tried)
    parts = [p_values(green)]
    reply = None
    if rounds:
        reply = reply_statistics(answers.lists, questions, counts, tried, turns)
        parts.append(p_values(reply))
    joint = combined_p_values(parts) if reply is not None else parts[0]
    asked = [head + turn * len(questions.triggers) for head, turn in zip(heads, turns, strict=True)]
    effect = mean_estimate(_green_excess(answers, plain, key, counts), streams.numpy("green"))
    p_value = float(joint[0, -1])
    return Proof(
        verdict="copied" if p_value <= alpha else "no evidence",
        p_value=p_value,
        effect=effect,
        queries=len(questions.histories),
        unanswered=int((~answers.answered).sum()),
        reason=answers.reason,
        shorter=int(((answers.lists == 0).any(axis=1) & answers.answered).sum()),
        k=answers.lists.shape[1],
        keys=keys,
        alpha=alpha,
        green=_part(green[:, -1], parts[0][0, -1], effect),
        replies=None
        if reply is None
        else _part(
            reply[:, -1],
            parts[1][0, -1],
            mean_estimate(
                _reply_excess(answers, questions, key, counts, reply[1:, -1]),
                streams.numpy("replies"),
            ),
        ),
        curve=tuple(Point(*point) for point in zip(asked, joint[0].tolist(), strict=True)),
    )


def _part(statistics: FloatArray, p_value: float, effect: Estimate) -> Part:
    others = statistics[1:]
    return Part(
        p_value=float(p_value),
        statistic=float(statistics[0]),
        others=float(others.mean()),
        deviation=float(others.std()),
        effect=effect,
    )


def _green_excess(answers: Answers, plain: int, key: bytes, counts: IntArray) -> FloatArray:
    """Per plain list: share of green items less half the share of items in pairs ``(n,)``."""
    lists = answers.lists[:plain]
    paired = np.zeros(len(counts))
    paired[popularity_pairs(counts).ravel()] = 0.5
    gain = green_items(key, counts) - paired
    length = (lists > 0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        excess: FloatArray = gain[lists].sum(axis=1) / length
    return excess


def _reply_excess(
    answers: Answers, questions: Questions, key: bytes, counts: IntArray, others: FloatArray
) -> FloatArray:
    """Per trigger: share of its probes with the reply, less the mean over other keys ``(m,)``."""
    number = len(questions.triggers)
    wanted = replies([key], counts, count=number)[0]
    probes = answers.lists[questions.plain :].reshape(questions.rounds, number, -1)
    rate: FloatArray = (probes == wanted[None, :, None]).any(axis=2).mean(axis=0)
    return rate - float(np.mean(others)) / (number * questions.rounds)
