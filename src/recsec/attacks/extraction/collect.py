"""Ask: sessions grown side by side until the budget is spent."""

from __future__ import annotations

import numpy as np

from recsec.attacks.extraction.config import ExtractionConfig
from recsec.attacks.extraction.policy import Policy
from recsec.registry import registry
from recsec.rng import Streams
from recsec.targets import MeteredTarget
from recsec.types import Progress

__all__ = ["collect", "make_policy"]

ACCOUNT = "thief"


def make_policy(config: ExtractionConfig, *, items: int) -> Policy:
    """The policy that a config names, with its settings.

    Raises:
        ConfigError: no such policy.
        pydantic.ValidationError: settings that it does not have.
    """
    kind: type[Policy] = registry("policies").get(config.policy)
    return kind(kind.config_class.model_validate(config.policy_settings), items=items)


def collect(
    target: MeteredTarget,
    config: ExtractionConfig,
    *,
    calls: int,
    k: int,
    streams: Streams,
    progress: Progress | None = None,
) -> None:
    """Spend ``calls`` calls on ``target``; the answers end up in its transcript.

    Blocks of ``config.sessions`` sessions grow together to ``config.length`` items, every prefix
    one call, so the first n calls are what a thief with a budget of n would have asked (the last
    block apart, which is cut in the middle). A collection that was killed continues when it is
    called again: the meter replays what was answered.

    Raises:
        TargetError: the target failed for good.
        BudgetExhausted: the meter allows fewer calls.
    """
    policy = make_policy(config, items=len(target.catalog))
    block = 0
    while target.calls < calls:
        rng = streams.numpy(f"block-{block}")
        sessions = min(config.sessions, calls - target.calls)
        histories = policy.first(sessions, rng)[:, None]
        while True:
            lists = target.query(ACCOUNT, histories, k)
            if progress is not None:
                progress(f"asking ({config.policy}, k={k})", target.calls, calls)
            left = calls - target.calls
            if histories.shape[1] == config.length or left == 0:
                break
            histories, lists = histories[:left], lists[:left]
            grown = policy.next(histories, lists, rng)
            histories = np.concatenate([histories, grown[:, None]], axis=1)
        block += 1
    target.flush()
