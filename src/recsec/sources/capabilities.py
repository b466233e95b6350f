"""What an opened source can do: one vocabulary for both threats."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

__all__ = ["CAPABILITIES", "SAID", "Capability"]

Capability: TypeAlias = Literal[
    "ids", "scores", "all-scores", "growing", "weights", "embeddings", "gradients"
]

CAPABILITIES: Final[tuple[Capability, ...]] = get_args(Capability)

SAID: Final[dict[Capability, str]] = {
    "ids": "lists of items",
    "scores": "scores of the items it lists",
    "all-scores": "scores of all items",
    "growing": "kept state of growing histories",
    "weights": "weights that can be trained further",
    "embeddings": "vectors of images",
    "gradients": "gradients of vectors by pixels",
}
"""Each capability in words, as messages and pages say it."""
