"""Whom does the guard misinform: histories of people, of replayed people, and of thieves.

    recsec train sasrec --data ml-1m --out runs/sasrec
    python benchmarks/ml1m_misinform.py --model runs/sasrec

Shares of histories that get a wrong answer, by length, with Wilson's 95 % interval. People are
the users of the data: whole histories without the test item, and the same cut at random places (the
law and the threshold were fitted to 2,000 users each, so some of these are known to it).
Replayed people choose by a measured click law, then by assumed ones, see ``recsec data traffic``.
Thieves ask 3,000 questions: once without the guard, which shows what a question gives away, once
through it, which is what they meet. The table goes to ``benchmarks/results/misinform.json`` and
``.txt``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from recsec.attacks.extraction import Adaptive, ExtractionConfig, collect
from recsec.data import load
from recsec.data.sequences import pad
from recsec.models import load as load_model
from recsec.rng import Streams
from recsec.runs import environment
from recsec.stats import wilson
from recsec.targets import Budget, LocalTarget, MeteredTarget, Transcript
from recsec.targets.guards import Misinform, Surroundings
from recsec.traffic import ACCEPTANCES, BIASES, ClickLaw, click_law, honest_log

RESULTS = Path(__file__).parent / "results" / "misinform"
LENGTHS = (1, 8, 16, 32, 64)
THIEVES: dict[str, dict[str, Any]] = {
    "random": {"policy": "random"},
    "autoregressive": {"policy": "autoregressive"},
    "mixed": {"policy": "mixed"},
    "coverage": {"policy": "coverage"},
    "mixed +human-like": {"policy": "mixed", "adaptive": Adaptive(human_like=True)},
    "mixed +human-like +acceptance=0.25": {
        "policy": "mixed",
        "adaptive": Adaptive(human_like=True, acceptance=0.25),
    },
    "mixed +human-like +acceptance=0.75": {
        "policy": "mixed",
        "adaptive": Adaptive(human_like=True, acceptance=0.75),
    },
}
CALLS, SESSIONS, ASKED = 3000, 15, 600
USERS, QUERIES = 60, 100
LONG = {"restart": ClickLaw().restart}
"""Visitors of a hotel search begin anew often; with histories this short nobody is misinformed."""


def measured(guard: Misinform, histories: Iterable[np.ndarray]) -> dict[str, Any]:
    """Share of histories that are suspected, over all and by length."""
    rows = [np.asarray(row) for row in histories]
    wrong = np.zeros(len(rows), dtype=bool)
    wrong[guard.suspected(pad(rows))] = True
    lengths = np.array([len(row) for row in rows])
    found = {"all": wilson(int(wrong.sum()), len(wrong)).to_json()}
    for low, high in zip(LENGTHS, (*LENGTHS[1:], np.inf), strict=True):
        part = wrong[(lengths >= low) & (lengths < high)]
        if len(part):
            found[f"from {low}"] = wilson(int(part.sum()), len(part)).to_json()
    return found


def main() -> None:
    """Measure all rows, write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", default="ml-1m")
    chosen = parser.parse_args()
    split, model = load(chosen.data).split(), load_model(chosen.model)
    rng, streams = np.random.default_rng(0), Streams(0).child("misinform benchmark")
    begun = time.perf_counter()
    guard = Misinform.build(Misinform.config_class(), Surroundings(model, split.train))
    rows: dict[str, Any] = {}

    def add(name: str, histories: Iterable[np.ndarray]) -> None:
        rows[name] = measured(guard, histories)
        print(f"{name}: {rows[name]['all']['value']:.3f}", flush=True)

    users = rng.choice(len(split.full), 1200, replace=False)
    whole = [split.history("test", int(user)) for user in users]
    add("people, whole histories", whole)
    add("people, cut anywhere", [row[: rng.integers(1, len(row) + 1)] for row in whole])
    target = LocalTarget(model)
    for k, law in [
        *((k, click_law("trivago", k).model_copy(update=LONG)) for k in (10, 25)),
        (10, ClickLaw(acceptance=0.0)),
        *((10, ClickLaw(acceptance=c, bias=eta)) for c in ACCEPTANCES[1:] for eta in BIASES),
    ]:
        log = honest_log(
            target, split.full, users[:USERS], law, queries=QUERIES, k=k, rng=streams.numpy("law")
        )
        items, offsets = log.histories(np.sort(rng.choice(len(log), ASKED, replace=False)))
        add(f"replayed, k={k} {law.label}", np.split(items, offsets[1:-1]))
    for name, settings in THIEVES.items():
        for guards in ((), (guard,)):
            with tempfile.TemporaryDirectory() as folder:
                config = ExtractionConfig(sessions=SESSIONS, **settings)
                with MeteredTarget(
                    LocalTarget(model, guards), budget=Budget(calls=CALLS), folder=Path(folder)
                ) as meter:
                    collect(meter, config, calls=CALLS, k=10, streams=streams.child(name))
                asked = Transcript.open(Path(folder), split.catalog)
                picked = rng.choice(len(asked), ASKED, replace=False)
                form = "through the guard" if guards else "without it"
                add(f"{name}, {form}", [asked.history(int(call)) for call in picked])
    where = environment()
    lines = [
        f"{chosen.data}, {model.name}, guard misinform with its defaults: share of histories that "
        "get a wrong answer",
        f"threshold {guard.threshold:.2f} nats; thieves: {CALLS:,} calls in {SESSIONS} sessions of "
        f"up to 200 items, {ASKED} of their histories",
        f"recsec {where['versions']['recsec']}, {time.perf_counter() - begun:.0f} s",
        "",
        f"{'whose':54}{'all':>22}" + "".join(f"{f'{low}+ items':>12}" for low in LENGTHS),
    ]
    for name, row in rows.items():
        every = row["all"]
        span = f"{every['value']:.3f} [{every['low']:.3f}, {every['high']:.3f}]"
        cells = [row.get(f"from {low}") for low in LENGTHS]
        shown = "".join(f"{cell['value']:>12.2f}" if cell else f"{'-':>12}" for cell in cells)
        lines.append(f"{name:54}{span:>22}{shown}")
    RESULTS.with_suffix(".txt").write_text("\n".join(lines) + "\n")
    found = {"data": chosen.data, "machine": where, "threshold": guard.threshold, "rows": rows}
    RESULTS.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
