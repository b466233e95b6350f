"""What a source costs: a model called bare, and through ``callable:``, ``scores:`` and ``onnx:``.

The same SASRec with random weights, the same histories, batches of 64. Each round calls all ways in
turn; processor time of all processes is summed, because on a busy machine a process of its own
session gets more of the clock than its peer. Bar: 15 % over bare for the process wall, 10 % for
``onnx:``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from bench_target import machine

from recsec.data.catalog import Catalog
from recsec.models import SasRec, SasRecConfig, mask_history, top_k
from recsec.targets import open_target

ITEMS, BATCH, LENGTH = 3416, 64, 200


def model() -> SasRec:
    """The same weights in every process."""
    torch.manual_seed(0)
    return SasRec(Catalog.from_ids(range(1, ITEMS + 1)), SasRecConfig())


MODEL = model()


def recommend(histories: Sequence[Sequence[int]], k: int) -> list[list[int]]:
    """What ``callable:`` calls; ids and indices are the same numbers here."""
    return MODEL.recommend(histories, k)


def score(histories: Sequence[Sequence[int]], items: Sequence[int]) -> torch.Tensor:
    """What ``scores:`` calls."""
    del items
    return MODEL.scores(np.array(histories))[:, 1:]


class Scores(torch.nn.Module):
    """The scores after whole windows, for an ONNX file."""

    def __init__(self, model: SasRec) -> None:
        super().__init__()
        self.model = model

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        return self.model.hidden(items)[:, -1] @ self.model.item_table().T


def exported(folder: str) -> str:
    """The same model as ONNX, as somebody exports it."""
    file = f"{folder}/model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Scores(MODEL.eval()), (torch.ones(2, LENGTH, dtype=torch.int64),), file, dynamo=False,
            input_names=["items"], dynamic_axes={"items": {0: "B"}},
        )  # fmt: skip
    return file


def bare_onnx(file: str) -> Callable[[np.ndarray], object]:
    """A session of onnxruntime, and the same exclusion and top 10."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options)

    def ask(rows: np.ndarray) -> object:
        scores = torch.from_numpy(session.run(None, {"items": rows})[0])
        return top_k(mask_history(scores, torch.from_numpy(rows)), 10).numpy()

    return ask


def processor_time() -> float:
    """Of this process and of those that it started, in seconds."""
    found = time.process_time()
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            found += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def main() -> None:
    """Print processor time per batch and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    asked = [
        np.stack([rng.permutation(ITEMS)[:LENGTH] + 1 for _ in range(BATCH)]) for _ in range(rounds)
    ]
    walled = open_target("callable:bench_wall:recommend", MODEL.catalog)
    scored = open_target("scores:bench_wall:score", MODEL.catalog)
    with tempfile.TemporaryDirectory() as folder:
        file = exported(folder)
        ran, opened = bare_onnx(file), open_target(f"onnx:{file}", MODEL.catalog)
    ways: dict[str, Callable[[np.ndarray], object]] = {
        "bare, lists": lambda rows: recommend(rows.tolist(), 10),
        "callable:": lambda rows: walled.query("bench", rows, 10),
        "bare, scores and their top 10": lambda rows: MODEL.top_k(rows, 10),
        "scores:": lambda rows: scored.query("bench", rows, 10),
        "bare, onnxruntime and its top 10": ran,
        "onnx:": lambda rows: opened.query("bench", rows, 10),
    }
    spent = dict.fromkeys(ways, 0.0)
    for ask in ways.values():
        ask(asked[0])
    for rows in asked:
        for name, ask in ways.items():
            begun = processor_time()
            ask(rows)
            spent[name] += processor_time() - begun
    print(machine())
    print(
        f"setting   SASRec, {ITEMS} items, {BATCH} histories of {LENGTH}, sum of {rounds} rounds\n"
    )
    pairs = (
        ("callable:", "bare, lists", 0.15),
        ("scores:", "bare, scores and their top 10", 0.15),
        ("onnx:", "bare, onnxruntime and its top 10", 0.10),
    )
    for name, seconds in spent.items():
        print(f"{name:<34}{1000 * seconds / rounds:8.1f} ms of processor time per batch")
    for name, bare, bar in pairs:
        over = spent[name] / spent[bare] - 1
        met = "met" if over <= bar else "missed"
        print(f"{name:<12}{over:+.1%} over bare; bar {bar:.0%}: {met}")


if __name__ == "__main__":
    main()
