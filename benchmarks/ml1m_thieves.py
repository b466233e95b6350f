"""Every thief against one target on MovieLens-1M: plain attacks, and the switches of one of them.

    recsec train sasrec --data ml-1m --out runs/sasrec-ml1m
    python benchmarks/ml1m_thieves.py --model runs/sasrec-ml1m --out runs/thieves

Each row is one ``recsec extract`` with its own run directory under ``--out``; a row that was killed
continues, a finished one is read. The table goes to ``benchmarks/results/ml1m_thieves.json`` after
each row. Twins are not trained here; ``ml1m_extraction.py`` measures one for the same target.
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

LEAK = ["--set", "leak=0.01"]

ROWS = {
    "random": ["--policy", "random"],
    "autoregressive": ["--policy", "autoregressive"],
    "mixed": ["--policy", "mixed"],
    "coverage": ["--policy", "coverage"],
    "few-shot-1": ["--policy", "few-shot", *LEAK],
    "few-shot-10": ["--policy", "few-shot", "--set", "leak=0.1"],
    "knockoff-pool-1": ["--policy", "knockoff-pool", *LEAK],
    "knockoff-pool-10": ["--policy", "knockoff-pool", "--set", "leak=0.1"],
    "active-entropy": ["--policy", "active-entropy"],
    "active-kcenter": ["--policy", "active-kcenter"],
    "erase-requery": ["--policy", "erase-requery"],
    "mixed-narm": ["--policy", "mixed", "--surrogate", "narm"],
    "mixed-set-only": ["--policy", "mixed", "--adaptive", "set-only"],
    "mixed-list-flip": ["--policy", "mixed", "--adaptive", "list-flip"],
    "mixed-repeat": ["--policy", "mixed", "--adaptive", "repeat=3"],
    "mixed-human-like": ["--policy", "mixed", "--adaptive", "human-like"],
    "mixed-accounts": ["--policy", "mixed", "--adaptive", "accounts=10"],
    "mixed-benign": ["--policy", "mixed", "--adaptive", "benign=0.5", *LEAK],
    "mixed-one-call": ["--policy", "mixed", "--adaptive", "one-call"],
}
"""Name of the run directory, and what is added to ``recsec extract``."""

SHOWN = ("agr@10", "agr@1", "lift", "hr_ratio")


def measure(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one thief, or continue him, and keep his numbers."""
    words = ["extract", "--model", str(arguments.model), "--data", arguments.data, *ROWS[name]]
    words += ["--k", str(arguments.k), "--calls", str(arguments.calls), "--twins", "0"]
    for pair in arguments.set:
        words += ["--set", pair]
    out = arguments.out / name
    started = (out / "run.json").exists()
    command = [sys.executable, "-m", "recsec", *words, "--out", str(out), "--json", "--quiet"]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout)
    kept = ("policy", "k", "calls", "accounts", "surrogate", "loss", "seed", *SHOWN, "protocol")
    return {
        "command": " ".join(["recsec", *words]),
        "seconds": None if started else round(time.perf_counter() - start, 1),
        **{key: found[key] for key in kept},
    }


def main() -> None:
    """Run what is asked for and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", default="ml-1m")
    parser.add_argument("--calls", type=int, default=50_000)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--only", nargs="*", choices=ROWS, default=list(ROWS))
    parser.add_argument("--set", action="append", default=[], help="for every row, as --set has it")
    parser.add_argument(
        "--results", type=Path, default=Path(__file__).parent / "results" / "ml1m_thieves.json"
    )
    arguments = parser.parse_args()
    path = arguments.results
    results = json.loads(path.read_text())["results"] if path.exists() else {}
    for name in arguments.only:
        fresh = measure(name, arguments)
        if fresh["seconds"] is None and results.get(name, {}).get("command") == fresh["command"]:
            fresh["seconds"] = results[name]["seconds"]
        results[name] = fresh
        shown = "  ".join(
            f"{key} {fresh[key]['value']:.3f} [{fresh[key]['low']:.3f}, {fresh[key]['high']:.3f}]"
            for key in SHOWN
        )
        print(f"{name:<18} {shown}  {fresh['seconds']} s", flush=True)
        machine = {"machine": platform.machine(), **environment()}
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
