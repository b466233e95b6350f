"""The steps of ``gpu.sh`` that are no command: calls, the same numbers, and one line for a result.

python benchmarks/gpu.py calls --model DIR --data NAME --device cuda --calls 1000000
python benchmarks/gpu.py same --model DIR --data NAME --network hf:DIR --photos NAME
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recsec import models
from recsec.data import load, load_photos
from recsec.models.visual.embedding import embed
from recsec.targets import LocalTarget
from recsec.targets.visual import open_source
from recsec.types import IntArray

K, SIDE = 100, 200
"""Length of the lists, and of the longest history."""
SHOWN = ("HR@10", "NDCG@10", "success@1", "success@3", "success@10", "pairs", "median_rank_after")


def grown(target: LocalTarget, calls: int, items: int, sessions: int) -> tuple[int, float]:
    """Ask about sessions that take a served item at each step; calls made and seconds."""
    rng, asked, spent = np.random.default_rng(0), 0, 0.0
    while asked < calls:
        histories: IntArray = rng.integers(1, items + 1, (sessions, 1))
        for _ in range(SIDE):
            start = time.perf_counter()
            lists = target.query("a", histories, K)
            spent += time.perf_counter() - start
            asked += len(histories)
            if asked >= calls:
                break
            chosen = lists[np.arange(sessions), rng.integers(0, K, sessions)]
            histories = np.column_stack([histories, chosen])
    return asked, spent


def calls(options: argparse.Namespace) -> dict[str, Any]:
    """Calls of growing histories per second of a served recommender."""
    model: Any = models.load(Path(options.model))
    model.to(options.device)
    sessions = min(1000, max(1, options.calls // 20))
    target = LocalTarget(model, chunk=sessions)
    grown(target, sessions * 3, len(model.catalog), sessions)  # warm
    asked, spent = grown(target, options.calls, len(model.catalog), sessions)
    return {"calls": asked, "k": K, "seconds": spent, "calls_per_second": asked / spent}


@torch.no_grad()
def same(options: argparse.Namespace) -> dict[str, Any]:
    """How far lists and vectors on the device are from those of the CPU."""
    split = load(options.data).split()
    histories = next(split.batches("test", size=256)).histories
    model: Any = models.load(Path(options.model)).eval()
    here = model.scores(histories).cpu()
    lists = LocalTarget(model).query("a", histories, K)
    model.to(options.device)
    there = model.scores(histories).cpu()
    others = LocalTarget(model).query("a", histories, K)
    finite = torch.isfinite(here) & torch.isfinite(there)
    gap = float((here - there)[finite].abs().max() / here[finite].std())
    shared = [len(np.intersect1d(a, b)) / K for a, b in zip(lists, others, strict=True)]
    photos = load_photos(options.photos)
    rows = np.arange(min(128, len(photos)))
    encoder = open_source(options.network).encoder
    vectors = embed(encoder, photos, rows)
    encoder.to(options.device)
    moved = embed(encoder, photos, rows)
    return {
        "scores_differ_by_deviations": gap,
        "shared_of_100": float(np.mean(shared)),
        "same_first_item": float((lists[:, 0] == others[:, 0]).mean()),
        "vectors_differ_by": float((vectors - moved).norm(dim=1).max()),
        "same_nearest": float((_nearest(vectors) == _nearest(moved)).double().mean()),
        "within_tolerance": bool(gap < 1e-3 and np.mean(shared) > 0.999),
    }


def _nearest(vectors: torch.Tensor) -> torch.Tensor:
    return (vectors @ vectors.T).fill_diagonal_(-2).argmax(dim=1)


def show(path: str) -> str:
    """A line for people of what a step printed."""
    try:
        found: dict[str, Any] = json.loads(Path(path).read_text())
    except (OSError, ValueError):
        return "  no result"
    parts = [found, *found.get("budgets", ()), found.get("after", {})]
    words = []
    for part in parts:
        for name, value in part.items():
            if isinstance(value, dict) and "low" in value and name in (*SHOWN, "precision@10"):
                words.append(
                    f"{name} {value['value']:.4f} [{value['low']:.4f}, {value['high']:.4f}]"
                )
            elif isinstance(value, int | float):
                words.append(
                    f"{name} {value:,.4g}" if isinstance(value, float) else f"{name} {value:,}"
                )
    return "  " + ", ".join(words) if words else "  " + ", ".join(found)


def machine(device: str) -> str:
    """What computes."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") else device
    return f"{name}, {os.cpu_count()} processor cores, torch {torch.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job", choices=["calls", "machine", "same", "show"])
    parser.add_argument("file", nargs="?", help="of show: what a step printed")
    parser.add_argument("--model", help="checkpoint folder of a recommender")
    parser.add_argument("--data", help="its interactions")
    parser.add_argument("--network", help="an encoder")
    parser.add_argument("--photos", help="its photos")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--calls", type=int, default=1_000_000)
    options = parser.parse_args()
    if options.job == "show":
        print(show(options.file))
    elif options.job == "machine":
        print(machine(options.device))
    else:
        print(json.dumps({"calls": calls, "same": same}[options.job](options)))


if __name__ == "__main__":
    main()
