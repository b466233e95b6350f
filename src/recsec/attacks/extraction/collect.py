"""Ask: sessions grown side by side, or whole histories in rounds, until the budget is spent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from recsec.attacks.extraction.config import ExtractionConfig
from recsec.attacks.extraction.copying.doubt import believed
from recsec.attacks.extraction.copying.jumps import jumped
from recsec.attacks.extraction.copying.leak import Replay, fit_guide, pretrains
from recsec.attacks.extraction.copying.surrogate import fit_surrogate
from recsec.attacks.extraction.doubting import doubt, opening_calls, session_lengths
from recsec.attacks.extraction.policies.base import Knowledge, Policy
from recsec.attacks.extraction.policies.human import HumanLike
from recsec.attacks.extraction.policies.rounds import OneCall, RoundConfig, RoundPolicy, Seen
from recsec.data.sequences import Sequences
from recsec.errors import ConfigError
from recsec.models.sequential.neural import NeuralRecommender
from recsec.registry import registry
from recsec.rng import Streams
from recsec.targets import MeteredTarget
from recsec.types import IntArray, Progress

__all__ = ["account_names", "collect", "make_policy"]

AnyPolicy: TypeAlias = Policy | RoundPolicy


def account_names(config: ExtractionConfig) -> tuple[str, ...]:
    """The accounts in whose names the thief asks."""
    count = config.adaptive.accounts
    return ("thief",) if count == 1 else tuple(f"thief-{at}" for at in range(count))


def make_policy(
    config: ExtractionConfig, *, items: int, knowledge: Knowledge | None = None
) -> AnyPolicy:
    """The policy that a config names, with its settings and what the thief's switches make of it.

    Raises:
        ConfigError: no such policy, or it needs a leak that the config does not grant.
        pydantic.ValidationError: settings that it does not have.
    """
    kind: type[Policy] | type[RoundPolicy] = registry("policies").get(config.policy)
    if not config.informed and (kind.needs_leak or config.adaptive.benign > 0):
        what = config.policy if kind.needs_leak else "benign"
        hint = "set leak, as in leak=0.01, or proxy, as in proxy=ml-100k"
        raise ConfigError(f"{what} needs leaked histories", hint=hint)
    settings = kind.config_class.model_validate(config.policy_settings)
    policy = kind(settings, items=items, knowledge=knowledge)
    adaptive = config.adaptive
    if doubt(config):
        _refuse_doubt(config, policy)
    if isinstance(policy, RoundPolicy):
        if adaptive.human_like:
            policy.sessions = HumanLike(policy.sessions, adaptive.law)
        if adaptive.one_call:
            policy.opens_with_sessions = False
        return policy
    sessions = HumanLike(policy, adaptive.law) if adaptive.human_like else policy
    if not adaptive.one_call:
        return sessions
    plain = RoundConfig.model_validate({})
    chosen = plain.model_copy(update={"longest": min(config.length, plain.longest)})
    return OneCall(chosen, items=items, knowledge=knowledge, sessions=sessions)


def _refuse_doubt(config: ExtractionConfig, policy: AnyPolicy) -> None:
    """Say what a thief who doubts cannot do besides.

    Raises:
        ConfigError: he does not grow sessions, or asks again, or has two laws of choice.
    """
    adaptive = config.adaptive
    if isinstance(policy, RoundPolicy) or adaptive.one_call:
        what = "one-call" if adaptive.one_call else config.policy
        raise ConfigError(f"doubt is about sessions that grow, and {what} asks whole histories")
    if adaptive.repeat > 1:
        raise ConfigError("doubt cannot go with repeat", hint="leave repeat out")
    if policy.doubts and adaptive.human_like:
        raise ConfigError(f"{config.policy} has its own law of choice", hint="leave human-like out")


def collect(
    target: MeteredTarget,
    config: ExtractionConfig,
    *,
    calls: int,
    k: int,
    streams: Streams,
    leak: Sequences | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> None:
    """Spend ``calls`` calls on ``target``; the answers end up in its transcript.

    Blocks of ``config.sessions`` sessions grow together to ``config.length`` items, every prefix
    one call; attacks in rounds ask whole histories, one call each. Either way the first n calls are
    what a thief with a budget of n would have asked (the last block or round apart, which is cut).
    A collection that was killed continues when it is called again: the meter replays what was
    answered, and surrogates trained between rounds lie beside the transcript.

    Args:
        target: whom to ask.
        config: the attack.
        calls: the budget.
        k: list length.
        streams: randomness.
        leak: the histories that he has, where ``config.leak`` or ``config.proxy`` says so.
        device: where surrogates between rounds and the guide are trained.
        progress: is told how many calls were made.

    Raises:
        ConfigError: an attack that needs a leak got none.
        TargetError: the target failed for good.
        BudgetExhausted: the meter allows fewer calls.
    """
    if config.informed and leak is None:
        raise ConfigError("the attack's leak was not given to the collection")
    guide = None
    folder = target.folder
    if leak is not None and (pretrains(config) or config.policy == "few-shot"):
        out = None if folder is None else folder / "guide"
        seed = streams.key("guide") % 2**31
        guide = fit_guide(leak, config, seed=seed, out=out, device=device, progress=progress)
    knowledge = Knowledge(leak, guide)
    policy = make_policy(config, items=len(target.catalog), knowledge=knowledge)
    desk = _Desk(target, config, calls, k, streams, leak, device, progress)
    if isinstance(policy, RoundPolicy):
        desk.rounds(policy)
    elif doubt(config):
        desk.doubting(policy)
    else:
        desk.sessions(policy, calls)
    target.flush()


@dataclass
class _Desk:
    """A collection under way."""

    target: MeteredTarget
    config: ExtractionConfig
    calls: int
    k: int
    streams: Streams
    leak: Sequences | None
    device: str
    progress: Progress | None
    blocks: int = 0
    length: int = 0
    surrogate: NeuralRecommender | None = None

    def __post_init__(self) -> None:
        self.length = self.config.length

    @property
    def left(self) -> int:
        return self.calls - self.target.calls

    def ask(self, account: str, histories: IntArray) -> tuple[IntArray, IntArray]:
        """Ask as much of ``histories`` as the budget allows, as often as the thief repeats.

        Returns:
            The histories that got a list, and their lists, averaged over repetitions.
        """
        lists: list[IntArray] = []
        for _ in range(self.config.adaptive.repeat):
            part = histories[: self.left]
            if len(part):
                lists.append(self.target.query(account, part, self.k))
        if self.progress is not None:
            what = f"asking ({self.config.policy}, k={self.k})"
            self.progress(what, self.target.calls, self.calls)
        asked = len(lists[0]) if lists else 0
        return histories[:asked], averaged(lists, len(self.target.catalog)) if asked else histories

    def sessions(self, policy: Policy, calls: int) -> None:
        """Grow blocks of sessions until ``calls`` calls are made."""
        accounts, adaptive = account_names(self.config), self.config.adaptive
        benign = None if self.leak is None or adaptive.benign == 0 else Replay(self.leak)
        size = max(1, self.config.sessions // len(accounts))
        whole, self.calls = self.calls, min(self.calls, calls)
        while self.left:
            rng = self.streams.numpy(f"block-{self.blocks}")
            account = accounts[self.blocks % len(accounts)]
            self.blocks += 1
            if benign is not None and rng.random() < adaptive.benign:
                self.follow(account, benign.again(size, rng), None)
                continue
            script = policy.script(size, rng)
            if script is not None:
                self.follow(account, script, policy)
                continue
            histories = policy.first(min(size, self.left), rng)[:, None]
            lists = np.zeros((len(histories), self.k), dtype=np.int64)
            while len(histories):
                before = lists
                histories, lists = self.ask(account, histories)
                if adaptive.wary > 0:
                    stays = ~jumped(before[: len(lists)], lists, adaptive.wary)
                    histories, lists = histories[stays], lists[stays]
                if self.surrogate is not None:
                    stays = believed(self.surrogate, histories, lists, doubt(self.config))
                    histories, lists = histories[stays], lists[stays]
                if histories.shape[1] == self.length or self.left == 0:
                    break
                histories, lists = histories[: self.left], lists[: self.left]
                grown = policy.next(histories, lists, rng)
                histories = np.concatenate([histories, grown[:, None]], axis=1)
        self.calls = whole

    def doubting(self, policy: Policy) -> None:
        """Short sessions, then long ones that a copy of one's own judges, trained as calls double.

        A guard that judges histories can tell little from a few items, so the first copy learns
        from true lists.
        """
        short, longest = session_lengths(self.config)
        aim, number, self.length = opening_calls(self.config, self.calls), 0, short
        self.sessions(policy, aim)
        while self.left:
            aim, number, self.length = 2 * aim, number + 1, longest
            self.surrogate = policy.surrogate = self.seen(number, True).surrogate
            self.sessions(policy, aim)

    def follow(self, account: str, script: IntArray, policy: Policy | None) -> None:
        """Ask every prefix of ``(B, L)`` histories, at most ``length`` items of them."""
        for at in range(min(script.shape[1], self.length)):
            script = script[script[:, at] > 0]
            asked, lists = self.ask(account, np.ascontiguousarray(script[:, : at + 1]))
            if policy is not None and at + 1 < script.shape[1]:
                items = script[: len(asked), at + 1]
                policy.heard(lists[items > 0], items[items > 0])
            if self.left == 0:
                return

    def rounds(self, policy: RoundPolicy) -> None:
        """Choose, ask, train, until the budget is spent."""
        number = 0
        while self.left:
            count = policy.size(number)
            if number == 0 and policy.opens_with_sessions:
                self.sessions(policy.sessions, count)
            else:
                seen = self.seen(number, policy.needs_surrogate and number > 0)
                rng = self.streams.numpy(f"round-{number}")
                self.whole(policy.choose(count, seen, rng), rng)
            number += 1

    def whole(self, histories: IntArray, rng: np.random.Generator) -> None:
        """Ask whole histories, spread over the accounts, with benign ones among them."""
        adaptive = self.config.adaptive
        if self.leak is not None and adaptive.benign > 0:
            rows = np.flatnonzero(rng.random(len(histories)) < adaptive.benign)
            script = Replay(self.leak).again(len(rows), rng)[:, : histories.shape[1]]
            lengths = rng.integers(1, 1 + (script > 0).sum(axis=1))
            histories[rows] = 0
            inside = np.arange(script.shape[1]) < lengths[:, None]
            histories[rows, : script.shape[1]] = np.where(inside, script, 0)
        for at, account in enumerate(account_names(self.config)):
            self.ask(account, histories[at :: adaptive.accounts])

    def seen(self, number: int, train: bool) -> Seen:
        """What the thief has when a round begins."""
        if not train:
            return Seen(None, None, self.k)
        out = self.round_folder() / f"round-{number}"
        transcript = self.target.transcript()
        surrogate = fit_surrogate(
            transcript,
            self.target.catalog,
            self.config,
            calls=self.target.calls,
            streams=self.streams.child(f"surrogate-{number}"),
            out=out,
            device=self.device,
            progress=self.progress,
        )
        if not isinstance(surrogate, NeuralRecommender):
            raise ConfigError("an attack in rounds needs a surrogate with gradients")
        return Seen(surrogate, transcript.chains(self.target.calls), self.k)

    def round_folder(self) -> Path:
        """Where surrogates between rounds are kept."""
        if self.target.folder is None:
            raise ConfigError("an attack in rounds needs a meter that keeps a transcript")
        return self.target.folder / "rounds"


def averaged(lists: list[IntArray], items: int) -> IntArray:
    """One list ``(B, K)`` from several answers to the same histories, by mean of 1 / rank.

    Answers may cover fewer rows each; a single one is returned as it is.
    """
    if len(lists) == 1:
        return lists[0]
    k = lists[0].shape[1]
    points = np.zeros((len(lists[0]), items + 1))
    for answer in lists:
        rows = np.arange(len(answer))[:, None]
        np.add.at(points, (rows, answer), 1 / np.arange(1.0, k + 1))
    points[:, 0] = 0
    best = np.argsort(-points, axis=1, kind="stable")[:, :k]
    return np.where(np.take_along_axis(points, best, axis=1) > 0, best, 0)
