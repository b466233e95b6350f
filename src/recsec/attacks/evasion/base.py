"""What an evasion attack is: the contract that ours and a plugin's fulfill."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from recsec.attacks.evasion.objective import Objective
from recsec.attacks.evasion.projection import check_eps
from recsec.rng import Streams

__all__ = ["Access", "Attempt", "Embedder", "EvasionAttack", "EvasionConfig", "Perturbed"]

Access: TypeAlias = Literal["gradients", "scores", "ids"]

Embedder: TypeAlias = Callable[[Tensor], Tensor]
"""``embedder(images (B, C, H, W) in [0, 1]) -> (B, D)`` of unit length, normalizing inside. Where
it also has ``features(images)``, the same before normalization, attacks may use that."""


class EvasionConfig(BaseModel):
    """Settings of an evasion attack; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Perturbed:
    """What an attack made of B images, as it claims itself; ``confirm`` judges.

    Attributes:
        images: ``(B, C, H, W)`` float32 in [0, 1].
        best: ``(B,)`` float32, the objective of those images as the attack saw it.
        forwards: ``(B,)`` int64, images of the row that were embedded.
        backwards: ``(B,)`` int64, gradients computed for the row: its gradient steps.
        queries: ``(B,)`` int64, questions asked of the API (black-box attacks).
        dead: ``(B,)`` int64, gradients that were zero or not finite: a sign of masking.
    """

    images: Float[Tensor, "B C H W"]
    best: Float[Tensor, " B"]
    forwards: Int[Tensor, " B"]
    backwards: Int[Tensor, " B"]
    queries: Int[Tensor, " B"]
    dead: Int[Tensor, " B"]


@dataclass(frozen=True, eq=False)
class Attempt:
    """What an attack works on: the arguments of ``EvasionAttack.perturb``, a key for every row."""

    embedder: Embedder
    images: Float[Tensor, "B C H W"]
    objective: Objective
    eps: float
    rng: Streams
    keys: Sequence[int]
    start: Float[Tensor, "B C H W"] | None


def unchanged(images: Tensor) -> Perturbed:
    """The result of no attack at all, to be filled in place."""
    zero = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    return Perturbed(
        images.clone(),
        torch.full((len(images),), float("-inf"), device=images.device),
        zero,
        zero.clone(),
        zero.clone(),
        zero.clone(),
    )


class EvasionAttack(ABC):
    """Changes images so that an objective on their embeddings rises.

    Args:
        config: settings, of ``config_class``.
    """

    name: ClassVar[str]
    config_class: ClassVar[type[EvasionConfig]] = EvasionConfig

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def access(self) -> Access:
        """What the attacker has to see of the model: its gradients, scores, or lists of ids."""
        return "gradients"

    def perturb(
        self,
        embedder: Embedder,
        images: Float[Tensor, "B C H W"],
        objective: Objective,
        *,
        eps: float,
        rng: Streams,
        keys: Sequence[int] | None = None,
        start: Float[Tensor, "B C H W"] | None = None,
    ) -> Perturbed:
        """Attack B images at once.

        Args:
            embedder: the model under attack.
            images: ``(B, C, H, W)`` float32 in [0, 1], multiples of 1/255.
            objective: what to raise, B rows.
            eps: L-infinity budget, a share of the pixel range.
            rng: random streams; row i draws from ``rng.child(keys[i])`` only, so results do not
                depend on which rows share a batch.
            keys: one integer a row; by default the row number.
            start: images to start from, inside the ball: never worse than they are.

        Raises:
            ConfigError: ``eps`` is not in [0, 1], or the objective needs what the embedder lacks.
            TargetError: the embedder gives something that is not finite.
        """
        check_eps(eps)
        if len(images) == 0:
            return unchanged(images)
        names = range(len(images)) if keys is None else keys
        return self.search(Attempt(embedder, images, objective, eps, rng, names, start))

    @abstractmethod
    def search(self, attempt: Attempt) -> Perturbed:
        """``perturb`` for at least one image and a valid budget."""
