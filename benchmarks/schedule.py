"""How long to train a copy: the formula with patience beside a choice by held-out answers.

    recsec train markov --data ml-100k --out runs/markov
    python benchmarks/schedule.py --model runs/markov --data ml-100k --out runs/schedule

The number of passes of a copy follows from the calls, and its best epoch on held-out answers is
kept. A thief may also train copies with several schedules and keep the one that agrees most with
held-out answers. For each budget this asks once, trains all, and puts both thieves' gains in
``benchmarks/results/schedule.json`` and ``.txt``. ``--out`` keeps copies: a run that was stopped
goes on.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

from recsec.attacks.extraction import ExtractionConfig, collect, fit_surrogate
from recsec.data import load
from recsec.evaluation import answer_lists
from recsec.metrics import agreement
from recsec.models import Popularity, read_config
from recsec.models import load as load_model
from recsec.rng import Streams
from recsec.runs import atomic_write_text, environment
from recsec.stats import mean_estimate
from recsec.targets import Budget, LocalTarget, MeteredTarget, Transcript

RESULTS = Path(__file__).parent / "results" / "schedule"
EPOCHS = (None, 8, 20, 40, 160)
"""Passes; None: as many as the formula says."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--policy", default="mixed")
    parser.add_argument("--calls", type=int, nargs="+", default=[2000, 8000])
    parser.add_argument("--surrogate", type=json.loads, default={}, help="settings, as JSON")
    parser.add_argument("--results", type=Path, default=RESULTS, help="without .json and .txt")
    chosen = parser.parse_args()
    split, target = load(chosen.data).split(), load_model(chosen.model)
    clean = answer_lists(target, split, 10)
    popular = answer_lists(Popularity.of(split.train), split, 10)
    floor = float(agreement(popular, clean, 10).mean())
    streams = Streams(0).child("schedule")
    asking = ExtractionConfig(policy=chosen.policy)
    asked = chosen.out / "asked"
    asked.mkdir(parents=True, exist_ok=True)
    most = max(chosen.calls)
    with MeteredTarget(LocalTarget(target), budget=Budget(calls=most), folder=asked) as meter:
        collect(meter, asking, calls=most, k=10, streams=streams.child("collect"), device="cpu")
    transcript = Transcript.open(asked, split.catalog)
    rows: list[dict[str, Any]] = []
    for calls in chosen.calls:
        for epochs in EPOCHS:
            own = {} if epochs is None else {"epochs": epochs}
            config = asking.model_copy(update={"surrogate_settings": chosen.surrogate | own})
            copy = chosen.out / f"{calls}-{epochs or 'formula'}"
            fitted = fit_surrogate(
                transcript,
                split.catalog,
                config,
                calls=calls,
                streams=streams.child(f"fit-{calls}"),
                out=copy,
                device="cpu",
            )
            course = read_config(copy)["course"]
            lists = answer_lists(fitted, split, 10)
            gain = (agreement(lists, clean, 10) - floor) / (1 - floor)
            row = {"calls": calls, "by": "formula" if epochs is None else "hand", **course}
            row["gain"] = mean_estimate(gain, streams.numpy("gain")).to_json()
            rows.append(row)
            print(row, flush=True)
    found = {"data": chosen.data, "target": target.name, "policy": chosen.policy, "rows": rows}
    found |= {"surrogate": chosen.surrogate, "users": len(split.full), "floor": floor}
    found["machine"] = {"machine": platform.machine(), **environment()}
    atomic_write_text(Path(f"{chosen.results}.json"), json.dumps(found, indent=1) + "\n")
    atomic_write_text(Path(f"{chosen.results}.txt"), text(found))
    print(text(found))


def text(found: dict[str, Any]) -> str:
    lines = [
        f"{found['data']}, {found['target']}, {found['policy']}, lists of 10, one seed, "
        f"{found['users']} users (intervals cover users only)",
        f"settings of copies: {found['surrogate'] or 'defaults'}; "
        "chosen: the schedule with the highest agreement on held-out answers",
        "",
        f"{'calls':>7}{'epochs':>8}{'best':>6}{'held out':>10}{'gain':>24}",
    ]
    for calls in dict.fromkeys(row["calls"] for row in found["rows"]):
        same = [row for row in found["rows"] if row["calls"] == calls]
        best = max(same, key=lambda row: row["held_out"])
        for row in same:
            gain = "{value:.3f} [{low:.3f}, {high:.3f}]".format(**row["gain"])
            words = ["formula"] if row["by"] == "formula" else []
            words += ["chosen"] if row is best else []
            lines.append(
                f"{calls:>7,}{row['epochs']:>8}{row['best_epoch']:>6}{row['held_out']:>10.3f}"
                f"{gain:>24}  {', '.join(words)}".rstrip()
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
