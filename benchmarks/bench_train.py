"""One training step of SASRec against a plain implementation, in the same run.

The plain peer is what one writes first: ``nn.TransformerEncoderLayer``, ``nn.Dropout``, float32,
and ``cross_entropy`` on all scores at once. Both see the same windows of 200 items and a catalog
of 3,416 items (random weights). Each part is also measured by itself.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recsec.data.catalog import Catalog
from recsec.models import SasRec, SasRecConfig
from recsec.models.dropout import Dropout
from recsec.models.sequential.layers.attention import causal_attention
from recsec.models.sequential.objectives.losses import catalog_loss
from recsec.models.trainer import resolve_precision

ITEMS, WINDOWS, LENGTH = 3416, 64, 200


class Plain(nn.Module):
    """SASRec from PyTorch's own parts."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.items = nn.Embedding(ITEMS + 1, width)
        self.positions = nn.Embedding(LENGTH, width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, 2, 4 * width, dropout=0.2, batch_first=True, norm_first=True
            )
            for _ in range(2)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, windows: Tensor) -> Tensor:
        """Mean next-item loss."""
        x = self.items(windows[:, :-1]) + self.positions.weight
        mask = nn.Transformer.generate_square_subsequent_mask(LENGTH)
        for block in self.blocks:
            x = block(x, src_mask=mask, is_causal=True)
        scores = self.norm(x) @ self.items.weight.T
        return F.cross_entropy(scores.flatten(0, 1), windows[:, 1:].flatten())


def median_seconds(step: Callable[[], object], repeats: int) -> float:
    """Median time of a call, after one that is not counted."""
    step()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    rng = torch.Generator().manual_seed(0)
    windows = torch.randint(1, ITEMS + 1, (WINDOWS, LENGTH + 1), generator=rng)
    dtype = resolve_precision("auto", torch.device("cpu"))
    ours = SasRec(Catalog.from_ids(list(range(ITEMS))), SasRecConfig()).train()
    plain = Plain().train()

    def autocast() -> torch.autocast:
        return torch.autocast("cpu", dtype, enabled=dtype != torch.float32)

    def our_step() -> None:
        with autocast():
            hidden = ours.hidden(windows[:, :-1]).flatten(0, 1).float()
            target = windows[:, 1:].flatten()[:, None]
            ones = torch.ones_like(target, dtype=torch.float32)
            loss = catalog_loss(hidden, ours.item_table(), target, ones) / len(target)
        loss.backward()

    def plain_step() -> None:
        plain(windows).backward()

    hidden = torch.randn(WINDOWS * LENGTH, 64, generator=rng, requires_grad=True)
    table = torch.randn(ITEMS + 1, 64, generator=rng, requires_grad=True)
    target = windows[:, 1:].flatten()
    ones = torch.ones(len(target), 1)

    def our_loss() -> None:
        with autocast():
            catalog_loss(hidden, table, target[:, None], ones).backward()

    def plain_loss() -> None:
        F.cross_entropy(hidden @ table.T, target).backward()

    q, k, v = (
        torch.randn(WINDOWS, 2, LENGTH, 32, generator=rng, dtype=dtype, requires_grad=True)
        for _ in range(3)
    )
    wide = torch.randn(WINDOWS * LENGTH, 64, generator=rng)
    ours_drop, plain_drop = Dropout(0.2).train(), nn.Dropout(0.2).train()
    pairs: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("training step", our_step, plain_step),
        ("loss over the catalog", our_loss, plain_loss),
        (
            "attention, there and back (peer: PyTorch's fused kernel, same dtype)",
            lambda: causal_attention(q, k, v).sum().backward(),
            lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward(),
        ),
        ("dropout", lambda: ours_drop(wide), lambda: plain_drop(wide)),
    ]
    print(f"# torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}")
    print(f"# {WINDOWS} windows of {LENGTH} items, {ITEMS} items, ours in {dtype}")
    for name, fast, slow in pairs:
        a, b = median_seconds(fast, repeats), median_seconds(slow, repeats)
        print(f"{name}: {a * 1e3:.1f} ms, plain {b * 1e3:.1f} ms, ratio {b / a:.1f}")


if __name__ == "__main__":
    main()
