"""Guards before a target that only gives lists: they work on a longer list that it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from recsec.targets.base import Target
from recsec.targets.guards import Guard, lists_in_turn
from recsec.types import IntArray

__all__ = ["GuardedLists"]


class GuardedLists:
    """Answers with what guards make of the lists of another target.

    The first guard says how long a list it wants to choose from; where the target gives a shorter
    one, it chooses from that.

    Args:
        target: who answers.
        guards: the first nearest to the target; each must be able to work on lists.
    """

    def __init__(self, target: Target, guards: Sequence[Guard]) -> None:
        self.catalog = target.catalog
        self.chunk = target.chunk
        self.target = target
        self.guards = tuple(guards)

    def __repr__(self) -> str:
        return f"GuardedLists({self.target!r}{''.join(f' + {one.name}' for one in self.guards)})"

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        """See ``Target.query``."""
        wanted = max(k, self.guards[0].wants(k)) if self.guards else k
        wanted = max(k, min(wanted, len(self.catalog)))
        lists = self.target.query(account, histories, wanted)
        return lists_in_turn(self.guards, account, histories, lists, k, items=len(self.catalog))
