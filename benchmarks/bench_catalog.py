"""Large catalogs and tables: memory and time of training, one user's list, and reading.

Each part runs in a process of its own, so that the most memory is that part's. Bars: SASRec of a
million items x 64 trains within 8 GiB; a list of one user from a million items takes less than 50
ms on one core; a table is read within 8 GiB at 100 M rows (the slope of two sizes says).
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch
from bench_target import machine

from recsec.data import Dataset, load
from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences, leave_one_out
from recsec.evaluation import evaluate
from recsec.models import ExactIndex, SasRec, SasRecConfig, Training, train
from recsec.models.sequential.objectives import ranking, sampled
from recsec.screening import Catalog as Shop
from recsec.screening import Hubs, HubsConfig, Uploads


def peak() -> float:
    """GiB at the most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def anonymous() -> float:
    """GiB of this process that are no mapped files, now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 2**20


def training(items: int, users: int, length: int) -> str:
    """One short epoch over made-up histories."""
    rng = np.random.default_rng(0)
    rows = (items * rng.random((users, length)) ** 3).astype(np.int64) + 1
    split = leave_one_out(Sequences.from_lists(Catalog.from_ids(list(range(items))), list(rows)))
    config = SasRecConfig(max_length=50, epochs=1, batch_size=64)
    begun = time.process_time()
    train("sasrec", split, config, training=Training(device="cpu", precision="float32"))
    seconds = time.process_time() - begun
    steps = -(-users * -(-(length - 3) // 50) // 64)
    return (
        f"SASRec, {items:,} items x 64, {users:,} histories of {length}: one epoch of {steps} "
        f"steps and its validation {seconds:.0f} s of processor time, {peak():.2f} GiB   "
        f"bar 8 GiB: {'met' if peak() < 8 else 'MISSED'}"
    )


def listing(items: int) -> str:
    """Milliseconds of one user's list of ten."""
    torch.set_num_threads(1)
    model = SasRec(Catalog.from_ids(list(range(items))), SasRecConfig())
    model.initialize(torch.Generator().manual_seed(0))
    rng, taken = np.random.default_rng(0), []
    for _ in range(40):
        history = rng.integers(0, items, 100).tolist()
        begun = time.thread_time()
        model.recommend([history], 10)
        taken.append(1000 * (time.thread_time() - begun))
    middle, slow = statistics.median(taken), float(np.quantile(taken, 0.95))
    return (
        f"a list of 10 from {items:,} items, exact, one user, one core: median {middle:.1f} ms, "
        f"95 % {slow:.1f} ms of processor time   bar 50 ms: {'met' if middle < 50 else 'MISSED'}"
    )


def reading(rows: int) -> str:
    """A table of interactions through ``load``."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        folder, size = Path(place) / "log", 1_000_000
        folder.mkdir()
        for part in range(-(-rows // size)):
            n = min(size, rows - part * size)
            pl.DataFrame(
                {
                    "user": rng.integers(0, rows // 100, n),
                    "item": (60_000 * rng.random(n) ** 2).astype(np.int64),
                    "time": np.sort(rng.integers(1, 10**6, n)) + 10**9 + part * 10**6,
                }
            ).write_parquet(folder / f"part-{part:04}.parquet")
        base, begun = peak(), time.process_time()
        data: Dataset = load(folder)
        seconds = time.process_time() - begun
    return (
        f"{rows:,} rows of Parquet in parts: {seconds:.1f} s of processor time, {peak():.2f} GiB "
        f"({base:.2f} before); {len(data.interactions):,} interactions"
    )


def parity(epochs: int) -> str:
    """ml-100k with the whole softmax and with a sample of an eighth of the catalog."""
    split = load("ml-100k").split()
    config = SasRecConfig(embedding_dim=32, max_length=100, epochs=epochs)
    shown = []
    for limit in (sampled.CATALOG, 10):
        sampled.CATALOG, ranking.DRAWN = limit, len(split.catalog) // 8
        begun = time.process_time()
        model = train("sasrec", split, config, training=Training(device="cpu"))
        seconds = time.process_time() - begun
        hr = evaluate(model, split).metrics["hr@10"]
        name = f"{ranking.DRAWN} of {len(split.catalog):,} items" if limit == 10 else "whole"
        shown.append(f"{name}: HR@10 {hr.value:.4f} [{hr.low:.4f}, {hr.high:.4f}], {seconds:.0f} s")
    return f"ml-100k, {epochs} epochs, softmax " + "; ".join(shown)


def photos(count: int, width: int = 128) -> str:
    """Exact ranks and the hub screen over embeddings on disk: made-up unit vectors."""
    rng = np.random.default_rng(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "vectors"
        with path.open("wb") as file:
            for start in range(0, count, 50_000):
                part = rng.normal(size=(min(50_000, count - start), width)).astype(np.float32)
                file.write((part / np.linalg.norm(part, axis=1, keepdims=True)).tobytes())
        mapped = np.memmap(path, np.float32, mode="c", shape=(count, width))
        vectors = torch.from_numpy(mapped)
        begun = time.process_time()
        index = ExactIndex(vectors)
        opened = time.process_time() - begun
        targets, attackers = (torch.from_numpy(rng.integers(0, count, 64)) for _ in range(2))
        query = torch.nn.functional.normalize(vectors[targets] + vectors[attackers], dim=1)
        begun = time.process_time()
        ranks = index.rank(query, targets, attackers)
        ranked = time.process_time() - begun
        wanted = vectors[targets].double()
        own, better = (query.double() * wanted).sum(dim=1), torch.zeros(64, dtype=torch.int64)
        for start in range(0, count, 20_000):
            reached = vectors[start : start + 20_000].double() @ wanted.T >= own
            for left_out in (targets, attackers):
                inside = (left_out >= start) & (left_out < start + 20_000)
                reached[left_out[inside] - start, torch.arange(64)[inside]] = False
            better += reached.sum(dim=0)
        exact = bool((1 + better == ranks).all())
        looks = query[:16, None]
        uploads = Uploads(torch.zeros(0), looks, attackers[:16], torch.zeros(0))
        shop = Shop(vectors, torch.zeros(0), torch.full((count,), 0.3), torch.zeros(count))
        begun = time.process_time()
        Hubs(HubsConfig()).score(uploads, shop)
        screened = time.process_time() - begun
        own_memory = anonymous()
        return (
            f"{count:,} photos x {width} on disk, {4 * count * width / 2**30:.2f} GiB: opened "
            f"in {opened:.1f} s, 64 ranks in {ranked:.2f} s, {'all' if exact else 'NOT all'} equal "
            f"to float64; hub scores of 16 uploads in {screened:.2f} s of processor time; "
            f"{own_memory:.2f} GiB of its own memory"
        )


PARTS = {
    "photos": lambda: photos(1_000_000),
    "parity": lambda: parity(8),
    "training": lambda: training(1_000_000, 1000, 60),
    "listing": lambda: listing(1_000_000),
    "reading-5": lambda: reading(5_000_000),
    "reading-20": lambda: reading(20_000_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, help="one of them, in this process")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, help="also write what is printed to this file")
    options = parser.parse_args()
    if options.part:
        print(PARTS[options.part]())
        return
    lines = [machine(), ""]
    for part in options.only:
        words = [sys.executable, "-W", "ignore", __file__, "--part", part]
        threads = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
        done = subprocess.run(words, check=True, capture_output=True, text=True, env=threads)
        lines.append(done.stdout.strip())
        print(lines[-1], flush=True)
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
