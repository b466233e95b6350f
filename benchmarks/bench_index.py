"""Exact ranks of many targets in a large catalog, against plain numpy and the bare matrix product.

The matrix product of catalog and targets is what no exact method can leave out. The embeddings are
random unit vectors: speed hardly depends on them. Bar: equal to brute force, to the item.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from recsec.models import ExactIndex
from recsec.runs import environment

BLOCK = 8192


def numpy_ranks(
    vectors: np.ndarray, embeddings: np.ndarray, targets: np.ndarray, attackers: np.ndarray
) -> np.ndarray:
    """Brute force: all cosines of a block at once, compared and counted."""
    wanted = vectors[targets]
    own = (embeddings * wanted).sum(axis=1)
    counts = np.ones(len(targets), dtype=np.int64)
    for start in range(0, len(vectors), BLOCK):
        counts += ((vectors[start : start + BLOCK] @ wanted.T) >= own).sum(axis=0)
    for left_out in (targets, attackers):
        counts -= (vectors[left_out] * wanted).sum(axis=1) >= own
    return counts + (targets == attackers) * ((vectors[targets] * wanted).sum(axis=1) >= own)


def product(vectors: torch.Tensor, wanted: torch.Tensor) -> None:
    """Nothing but the cosines, in blocks that stay in cache."""
    out = torch.empty(2048, len(wanted))
    for start in range(0, len(vectors), 2048):
        part = vectors[start : start + 2048]
        torch.mm(part, wanted.T, out=out[: len(part)])


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Result, seconds and processor seconds."""
    start, spent = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - start, time.process_time() - spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--targets", type=int, default=1_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = torch.Generator().manual_seed(0)
    vectors = F.normalize(torch.randn(options.items, options.width, generator=rng), dim=1)
    targets, attackers = (
        torch.randint(0, options.items, (options.targets,), generator=rng) for _ in range(2)
    )
    pull = 0.3 * torch.rand(options.targets, 1, generator=rng)
    embeddings = F.normalize((1 - pull) * vectors[attackers] + pull * vectors[targets], dim=1)
    index = ExactIndex(vectors)
    arrays = [tensor.numpy() for tensor in (vectors, embeddings, targets, attackers)]
    found, *ours = timed(lambda: index.rank(embeddings, targets, attackers))
    _, *bare = timed(lambda: product(vectors, vectors[targets]))
    expected, *brute = timed(lambda: numpy_ranks(*arrays))
    differ = np.flatnonzero(found.numpy() != expected)
    machine = platform.processor() or platform.machine()
    load = os.getloadavg()[0]
    print(f"machine   {machine}, {os.cpu_count()} cores, load {load:.1f} at the end")
    print("versions ", ", ".join(f"{k} {v}" for k, v in environment()["versions"].items()))
    print(
        f"setting   {options.targets:,} targets, {options.items:,} items, {options.width} wide, "
        f"float32, {options.threads} thread(s)\n"
    )
    print(f"{'':24}{'s':>10}{'processor s':>14}{'x product':>12}")
    for name, (wall, cpu) in (
        ("ExactIndex.rank", ours),
        ("numpy brute force", brute),
        ("bare matrix product", bare),
    ):
        print(f"{name:24}{wall:10.2f}{cpu:14.2f}{cpu / bare[1]:12.2f}")
    print(f"\nranks that differ from brute force: {len(differ)} of {options.targets:,}")
    for at in differ[:5]:
        print(f"  target {targets[at]}: ours {found[at]}, float32 brute force {expected[at]}")
    if len(differ):
        print("  (float32 sums round differently; ours decides close pairs in float64)")


if __name__ == "__main__":
    main()
