"""A function of the user that was handed over as an object: it runs in this process, contained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recsec.containment import Containment, ProcessEnded
from recsec.targets.wall.child import failure
from recsec.targets.wall.failures import told

__all__ = ["Contained"]


class Contained:
    """A function of this process behind the wall that this process can offer.

    Args:
        function: whatever can be called.
        name: how errors call it.
    """

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function = function
        self.name = name
        self._containment = Containment()

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns.

        Raises:
            TargetError: it raised, or tried to end the process.
        """
        try:
            with self._containment.around():
                return self.function(*arguments)
        except ProcessEnded as error:
            found = failure(error.__cause__ or error, home=__file__)
            found.setdefault("ended", str(error))
            raise told(self.name, {"stage": "call", "failure": found}) from error
        except Exception as error:  # the user's function may fail in any way
            found = failure(error, home=__file__)
            raise told(self.name, {"stage": "call", "failure": found}) from error
