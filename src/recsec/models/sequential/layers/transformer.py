"""The transformer block that the attention models share."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recsec.errors import ConfigError
from recsec.models.dropout import Dropout

__all__ = ["Block"]


class Block(nn.Module):
    """Pre-layer-norm attention and feed-forward, each with a residual.

    No attention dropout: it forces the slow kernel on a CPU.

    Args:
        width: D.
        heads: of the attention; must divide D.
        dropout: of both residual branches.
        activation: between the two layers of the feed-forward part.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        dropout: float,
        activation: Callable[[Tensor], Tensor] = F.relu,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"embedding_dim {width} is not a multiple of heads {heads}")
        self.heads = heads
        self.activation = activation
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.dropout = Dropout(dropout)

    def split(self, x: Float[Tensor, "B L D"]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values ``(B, heads, L, D / heads)``."""
        qkv = self.qkv(self.attention_norm(x))
        shape = (*x.shape[:2], 3, self.heads, x.shape[2] // self.heads)
        q, k, v = qkv.view(shape).permute(2, 0, 3, 1, 4)
        return q, k, v

    def finish(self, x: Tensor, attended: Tensor) -> Float[Tensor, "B L D"]:
        """Everything after the attention."""
        x = x + self.dropout(self.out(attended.transpose(1, 2).flatten(2)))
        fed: Tensor = self.down(self.activation(self.up(self.feed_norm(x))))
        out: Tensor = x + self.dropout(fed)
        return out

    def forward(
        self, x: Float[Tensor, "B L D"], attend: Callable[[Tensor, Tensor, Tensor], Tensor]
    ) -> Float[Tensor, "B L D"]:
        """Encode a whole window; ``attend`` turns queries, keys and values into what is read."""
        q, k, v = self.split(x)
        return self.finish(x, attend(q, k, v))
