"""An embedder under attack that shows somebody every image it is asked about."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from recsec.attacks.evasion import Prepared

__all__ = ["Watched"]


class Watched(Prepared):
    """``inner``, told on: any attack can be watched, and stopped where ``seen`` raises.

    Args:
        inner: the prepared embedder.
        seen: is given the images ``(B, C, H, W)`` of each question, without gradient.
    """

    def __init__(self, inner: Prepared, seen: Callable[[Tensor], None]) -> None:
        super().__init__(inner.exact, inner.search, cast=inner.cast)
        self._inner = inner
        self._seen = seen

    def precise(self) -> Prepared:
        """See ``Prepared.precise``; it is watched too."""
        return Watched(self._inner.precise(), self._seen)

    def judge(self, images: Float[Tensor, "B C H W"], *, raw: bool = False) -> Float[Tensor, "B D"]:
        """See ``Prepared.judge``."""
        self._seen(images.detach())
        return self._inner.judge(images, raw=raw)

    def find(self, images: Float[Tensor, "B C H W"], *, raw: bool = False) -> Float[Tensor, "B D"]:
        """See ``Prepared.find``."""
        self._seen(images.detach())
        return self._inner.find(images, raw=raw)

    __call__ = judge
