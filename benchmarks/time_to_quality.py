"""Processor time to quality: SASRec on MovieLens-1M, ours beside RecTools and RecBole.

    RECSEC_MIRROR=... python benchmarks/time_to_quality.py --rectools VENV/bin/python \
        --recbole VENV/bin/python --seconds 600 --out benchmarks/results/time_to_quality.json

One protocol for all: training items are all but the last two of each user, the wanted item is the
one before the last, the whole catalog is ranked, the history excluded, all 6,040 users, ranks by
this script. Width 64, two blocks, two heads, softmax over the catalog, one thread. Measuring does
not count, nor does reading the data. Where a library has settings for windows, batch and learning
rate, they are its own defaults: ours are tuned on this data set, the peers' are not.

The peers run in their own environments, so a worker imports nothing of ours. RecBole 1.2 wants
``numpy<2`` and ``pandas<2.3`` there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

LEVELS = (0.25, 0.30)
K = 10


class Data:
    """Training histories and wanted items, items numbered from 1."""

    def __init__(self, path: Path) -> None:
        found = np.load(path)
        self.items, self.offsets = found["items"], found["offsets"]
        self.wanted, self.count = found["wanted"], int(found["count"])

    def histories(self) -> list[Any]:
        return np.split(self.items, self.offsets[1:-1])

    def hits(self, scores: Callable[[Any], Any]) -> dict[str, float]:
        """Of ``scores(rows) -> (B, N + 1)``, which may be written to."""
        ranks = []
        rows = self.histories()
        for start in range(0, len(rows), 256):
            part = np.arange(start, min(start + 256, len(rows)))
            found = np.array(scores(part), dtype=np.float32)
            found[:, 0] = -np.inf
            for at, row in enumerate(part):
                found[at, rows[row]] = -np.inf
            own = found[np.arange(len(part)), self.wanted[part]]
            ranks.append(1 + (found > own[:, None]).sum(axis=1))
        rank = np.concatenate(ranks)
        hit = rank <= K
        return {"hr@10": float(hit.mean()), "ndcg@10": float((hit / np.log2(1 + rank)).mean())}


class Clock:
    """Processor seconds of this process, stopped while it measures."""

    def __init__(self, limit: float) -> None:
        self.spent, self.begun, self.limit = 0.0, time.process_time(), limit
        self.rows: list[dict[str, float]] = []

    def note(self, measure: Callable[[], dict[str, float]]) -> bool:
        """Measure with the clock stopped; whether there is time left."""
        self.spent += time.process_time() - self.begun
        self.rows.append({"seconds": round(self.spent, 1), **measure()})
        print(json.dumps(self.rows[-1]), file=sys.stderr, flush=True)
        self.begun = time.process_time()
        return self.spent < self.limit


def recsec(data: Data, seconds: float) -> dict[str, Any]:
    """Our default recipe, to its end."""
    from recsec.data import load
    from recsec.models import SasRec, SasRecConfig, Training
    from recsec.models.trainer import fit
    from recsec.rng import Streams

    split = load("ml-1m").split()
    config, clock = SasRecConfig(), Clock(seconds)
    model = SasRec(split.catalog, config)
    streams = Streams(0, ("sasrec",))
    model.initialize(streams.torch("initialization"))
    objective = model.objective(split)
    rows = data.histories()

    def scores(part: Any) -> Any:
        width = max(len(rows[row]) for row in part)
        padded = np.zeros((len(part), width), dtype=np.int64)
        for at, row in enumerate(part):
            padded[at, : len(rows[row])] = rows[row]
        return model.scores(padded).numpy()

    def validate() -> dict[str, float]:
        clock.note(lambda: data.hits(scores))
        last = clock.rows[-1]
        return {"ndcg@10": last["ndcg@10"], "hr@10": last["hr@10"]}

    objective.validate = validate
    fit(objective, config, streams=streams, training=Training(device="cpu"))
    return {"version": version("recsec"), "settings": "its defaults", "curve": clock.rows}


def rectools(data: Data, seconds: float) -> dict[str, Any]:
    """RecTools' SASRec, epoch by epoch."""
    import logging

    import pandas as pd
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    lengths = np.diff(data.offsets)
    table = pd.DataFrame(
        {
            Columns.User: np.repeat(np.arange(len(lengths)), lengths),
            Columns.Item: data.items,
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(np.arange(len(data.items)), unit="s"),
        }
    )
    dataset = Dataset.construct(table)
    model = SASRecModel(
        n_blocks=2,
        n_heads=2,
        n_factors=64,
        session_max_len=200,
        loss="softmax",
        recommend_torch_device="cpu",
    )
    users = np.arange(len(lengths))

    def measure() -> dict[str, float]:
        found = model.recommend(users=users, dataset=dataset, k=K, filter_viewed=True)
        wanted = pd.Series(data.wanted, index=users)
        hit = found[found[Columns.Item] == found[Columns.User].map(wanted)]
        rank = hit[Columns.Rank].to_numpy()
        count = len(users)
        return {"hr@10": len(hit) / count, "ndcg@10": float((1 / np.log2(1 + rank)).sum() / count)}

    clock, more = Clock(seconds), True
    while more:
        model.fit_partial(dataset, min_epochs=1, max_epochs=1)
        more = clock.note(measure)
    settings = "batch 128, lr 1e-3, windows of 200 (defaults but for the width, heads and length)"
    return {"version": version("rectools"), "settings": settings, "curve": clock.rows}


def recbole(data: Data, seconds: float) -> dict[str, Any]:
    """RecBole's SASRec with its sampler and Adam, measured every twentieth of the time."""
    for name, kind in {"bool8": np.bool_, "float_": np.float64, "complex_": np.complex128}.items():
        if not hasattr(np, name):
            setattr(np, name, kind)  # names that its dependencies still use
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.model.sequential_recommender import SASRec
    from recbole.utils import init_seed

    folder = Path(tempfile.mkdtemp())
    (folder / "ml").mkdir()
    with (folder / "ml" / "ml.inter").open("w") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user, row in enumerate(data.histories()):
            # two more, because it holds out two
            for at, item in enumerate([*row, data.wanted[user], data.wanted[user]]):
                file.write(f"{user}\t{item}\t{at}\n")
    config = Config(
        model="SASRec",
        dataset="ml",
        config_dict={
            "data_path": str(folder),
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "train_neg_sample_args": None,
            "loss_type": "CE",
            "n_layers": 2,
            "n_heads": 2,
            "hidden_size": 64,
            "inner_size": 256,
            "use_gpu": False,
            "eval_args": {
                "split": {"LS": "valid_and_test"},
                "order": "TO",
                "group_by": "user",
                "mode": "full",
            },
            "show_progress": False,
            "state": "ERROR",
        },
    )
    init_seed(0, True)
    dataset = create_dataset(config)
    train, _, _ = data_preparation(config, dataset)
    model = SASRec(config, train.dataset)
    optimizer = torch.optim.Adam(model.parameters(), lr=config["learning_rate"])
    token = np.zeros(data.count + 1, dtype=np.int64)
    for name, number in dataset.field2token_id["item_id"].items():
        if name != "[PAD]":
            token[int(name)] = number
    rows, longest = data.histories(), config["MAX_ITEM_LIST_LENGTH"]

    def scores(part: Any) -> Any:
        padded = np.zeros((len(part), longest), dtype=np.int64)
        for at, row in enumerate(part):
            newest = token[rows[row][-longest:]]
            padded[at, : len(newest)] = newest
        asked = {
            "item_id_list": torch.from_numpy(padded),
            "item_length": torch.tensor([min(longest, len(rows[row])) for row in part]),
        }
        with torch.no_grad():
            return model.full_sort_predict(asked).numpy()[:, token]

    def batches() -> Iterator[Any]:
        while True:
            yield from train

    clock, due = Clock(seconds), seconds / 20
    for batch in batches():
        model.train()
        optimizer.zero_grad()
        model.calculate_loss(batch).backward()
        optimizer.step()
        if time.process_time() - clock.begun >= due:
            model.eval()
            if not clock.note(lambda: data.hits(scores)):
                break
    settings = f"windows of {longest}, batch {config['train_batch_size']}, lr 1e-3 (defaults)"
    return {"version": version("recbole"), "settings": settings, "curve": clock.rows}


def reached(curve: list[dict[str, float]], level: float) -> float | None:
    """Seconds until HR@10 is at the level."""
    return next((row["seconds"] for row in curve if row["hr@10"] >= level), None)


def table(results: dict[str, Any]) -> str:
    lines = [f"{'':10}{'version':>9}" + "".join(f"{f'to {level:.2f}':>10}" for level in LEVELS)]
    lines[0] += f"{'best HR@10':>12}{'NDCG@10':>9}{'after':>8}{'spent':>8}"
    for name, one in results.items():
        times = [reached(one["curve"], level) for level in LEVELS]
        best = max(one["curve"], key=lambda row: row["hr@10"])
        shown = "".join(f"{'-' if t is None else f'{t:.0f} s':>10}" for t in times)
        lines.append(
            f"{name:10}{one['version']:>9}{shown}{best['hr@10']:>12.3f}{best['ndcg@10']:>9.3f}"
            f"{best['seconds']:>6.0f} s{one['curve'][-1]['seconds']:>6.0f} s"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", choices=["recsec", "rectools", "recbole"], help="be a worker")
    parser.add_argument("--data", type=Path, help="of a worker")
    parser.add_argument("--rectools", help="its python")
    parser.add_argument("--recbole", help="its python")
    parser.add_argument("--seconds", type=float, default=600, help="processor time of a peer")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.work:
        import torch

        torch.set_num_threads(1)
        found = globals()[options.work](Data(options.data), options.seconds)
        options.out.write_text(json.dumps({**found, "torch": torch.__version__}))
        return
    from recsec.data import load
    from recsec.runs import environment

    results = json.loads(options.out.read_text())["results"] if options.out.exists() else {}
    split = load("ml-1m").split()
    with tempfile.TemporaryDirectory() as place:
        data, out = Path(place) / "data.npz", Path(place) / "out.json"
        known, wanted = split.train, split.targets("valid")
        arrays = {"items": known.items, "offsets": known.offsets, "wanted": wanted}
        np.savez(data, count=len(split.catalog), **arrays)
        for name, python in {
            "recsec": sys.executable,
            "rectools": options.rectools,
            "recbole": options.recbole,
        }.items():
            if python is None or name in results:
                continue
            words = [python, __file__, "--work", name, "--data", str(data), "--out", str(out)]
            threads = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
            subprocess.run([*words, "--seconds", str(options.seconds)], env=threads, check=True)
            results[name] = json.loads(out.read_text())
            machine = {"machine": platform.machine(), "cores": os.cpu_count(), **environment()}
            options.out.write_text(json.dumps({"machine": machine, "results": results}, indent=1))
    print(table(results))


if __name__ == "__main__":
    main()
