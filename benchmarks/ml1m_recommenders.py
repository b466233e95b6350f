"""Train and evaluate recommenders on MovieLens-1M through the command line, as a user would.

    RECSEC_MIRROR=... python benchmarks/ml1m_recommenders.py --out runs/ml1m

Prints a table of test metrics (leave-one-out, full ranking, history excluded) with the wall time of
both commands, and writes it to ``benchmarks/results/ml1m_recommenders.json``. A finished checkpoint
in ``--out`` is kept; its training time is then that of the run that made it, or null.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from recsec.runs import environment

RUNS = {
    "sasrec": ["sasrec"],
    "sasrec-4-minutes": ["sasrec", "--set", "epochs=10"],
    "bert4rec": ["bert4rec"],
    "narm": ["narm"],
    "meanpool": ["meanpool"],
    "markov": ["markov"],
    "popularity": ["popularity"],
}
"""Name of the checkpoint folder, and what follows ``recsec train``."""


def recsec(*words: str) -> tuple[dict[str, Any], float]:
    """A command's JSON and its wall time in seconds."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "recsec", *words, "--json", "--quiet"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout), time.perf_counter() - start


def measure(name: str, out: Path) -> dict[str, Any]:
    """Train, evaluate, and what to keep of it."""
    folder = out / name
    before = (folder / "model.safetensors").exists()
    trained, training = recsec("train", *RUNS[name], "--data", "ml-1m", "--out", str(folder))
    found, evaluation = recsec("evaluate", "--model", str(folder), "--data", "ml-1m")
    return {
        "command": " ".join(["recsec train", *RUNS[name], "--data ml-1m"]),
        "epochs": trained.get("epochs"),
        "train_seconds": None if before else round(training, 1),
        "evaluate_seconds": round(evaluation, 1),
        "protocol": found["protocol"],
        **{key: found[key] for key in ("hr@1", "hr@5", "hr@10", "hr@20", "ndcg@10", "mrr@10")},
    }


def main() -> None:
    """Run what is asked for and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=RUNS, default=list(RUNS))
    arguments = parser.parse_args()
    path = Path(__file__).parent / "results" / "ml1m_recommenders.json"
    results = json.loads(path.read_text())["results"] if path.exists() else {}
    for name in arguments.only:
        fresh = measure(name, arguments.out)
        if fresh["train_seconds"] is None and name in results:
            fresh["train_seconds"] = results[name]["train_seconds"]
        results[name] = fresh
        hr, ndcg = fresh["hr@10"], fresh["ndcg@10"]
        print(
            f"{name:<18} HR@10 {hr['value']:.4f} [{hr['low']:.4f}, {hr['high']:.4f}]  "
            f"NDCG@10 {ndcg['value']:.4f} [{ndcg['low']:.4f}, {ndcg['high']:.4f}]  "
            f"train {fresh['train_seconds']} s, evaluate {fresh['evaluate_seconds']} s",
            flush=True,
        )
        machine = {"machine": platform.machine(), **environment()}
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
