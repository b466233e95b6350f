"""What people meet behind each guard, who choose as people were measured to, and whom it hits.

    recsec train sasrec --data ml-1m --out runs/ml1m/sasrec
    recsec verify keygen --out runs/ml1m/owner.key
    python benchmarks/guards_people.py --model runs/ml1m/sasrec --key runs/ml1m/owner.key

Users of the data are replayed through the guard under the click law of the public trivago sample;
they begin anew less often than its visitors, so that histories grow long enough to be judged.
Each list is compared with the one that the bare recommender gives to the same history. The hit rate
is of test items after whole histories, as everywhere, and its ratio to the bare one is told for the
quarter of users with the fewest and with the most items. The table goes to
``benchmarks/results/guards_people.json`` and ``.txt``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from recsec.data import load
from recsec.data.sequences import Split, pad
from recsec.evaluation import answer_lists
from recsec.evaluation.groups import activity_groups
from recsec.metrics import agreement
from recsec.models import load as load_model
from recsec.rng import Streams
from recsec.runs import environment
from recsec.stats import Estimate, bootstrap_means, wilson
from recsec.targets import LocalTarget
from recsec.targets.guards import Surroundings, build_guards
from recsec.traffic import ClickLaw, click_law, honest_log

RESULTS = Path(__file__).parent / "results" / "guards_people"
GUARDS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "misinform": [{"name": "misinform"}],
    "watermark": [{"name": "watermark"}],
    "quantize": [{"name": "quantize"}],
    "truncate to 5": [{"name": "truncate", "length": 5}],
    "shuffle": [{"name": "shuffle"}],
    "reverse": [{"name": "reverse"}],
}
USERS, QUERIES, LENGTHS = 300, 60, (10, 25)


def served(bare: LocalTarget, guarded: LocalTarget, split: Split, k: int) -> dict[str, Any]:
    """Lists that replayed people get, beside those of the bare recommender."""
    rng = Streams(0).child("guards and people").numpy(f"k={k}")
    users = rng.choice(len(split.full), USERS, replace=False)
    law = click_law("trivago", k).model_copy(update={"restart": ClickLaw().restart})
    log = honest_log(guarded, split.full, users, law, queries=QUERIES, k=k, rng=rng)
    plain = np.zeros((len(log), k), dtype=np.int64)
    order = np.argsort(log.lengths, kind="stable")
    for rows in np.array_split(order, max(1, len(order) // 256)):
        items, offsets = log.histories(rows)
        plain[rows] = bare.query("honest", pad(np.split(items, offsets[1:-1])), k)
    lists = np.asarray(log.calls.answers, dtype=np.int64)
    changed = (lists != plain).any(axis=1)
    common = agreement(plain, lists, k)
    chosen = law.probabilities(k)
    there = (lists == plain) & (plain > 0)
    names, owner = np.unique(np.asarray(log.calls.account), return_inverse=True)
    people = np.zeros(len(names), dtype=bool)
    np.logical_or.at(people, owner, changed)
    lost = np.bincount(owner, 1 - common) / np.bincount(owner)
    return {
        "law": law.label,
        "queries": len(log),
        "lists changed": float(changed.mean()),
        "overlap": float(common.mean()),
        "choices kept": float((there * chosen).sum(axis=1).mean()),
        "people ever": wilson(int(people.sum()), len(people)).to_json(),
        "people who lose half": wilson(int((lost >= 0.5).sum()), len(lost)).to_json(),
    }


def hits(target: LocalTarget, split: Split, k: int) -> np.ndarray:
    """``(U,)`` whether the test item stands in the list of each user."""
    wanted = split.targets("test")
    lists = answer_lists(lambda histories, k: target.query("people", histories, k), split, k)
    return (lists == wanted[:, None]).any(axis=1).astype(np.float64)


def ratio(own: np.ndarray, bare: np.ndarray) -> dict[str, Any]:
    """Hit rate relative to the bare one, users resampled for both at once."""
    drawn = bootstrap_means(np.column_stack([own, bare]), np.random.default_rng(0))
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return Estimate(float(own.mean() / bare.mean()), float(low), float(high), len(own)).to_json()


def span(one: dict[str, Any]) -> str:
    return f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"


def main() -> None:
    """Measure all rows, write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", default="ml-1m")
    parser.add_argument("--key", type=Path, required=True, help="of the watermark")
    options = parser.parse_args()
    split, model = load(options.data).split(), load_model(options.model)
    begun, bare = time.process_time(), LocalTarget(model)
    groups = activity_groups(split.full.lengths)
    member = groups.member
    rows: dict[str, Any] = {}
    plain = {k: hits(bare, split, k) for k in LENGTHS}
    for name, plan in GUARDS.items():
        key = {"key": str(options.key)} if name == "watermark" else {}
        tables = [{**table, **key} for table in plan]
        guarded = LocalTarget(model, build_guards(tables, Surroundings(model, split.train)))
        rows[name] = {}
        for k in LENGTHS:
            own = hits(guarded, split, k)
            rows[name][k] = {
                **served(bare, guarded, split, k),
                "hit rate": float(own.mean()),
                "of bare": ratio(own, plain[k]),
                **{
                    f"of bare, {which}": ratio(own[member == at], plain[k][member == at])
                    for which, at in (("fewest", 0), ("most", member.max()))
                },
            }
            print(name, k, json.dumps(rows[name][k]), flush=True)
    where, spent = environment(), time.process_time() - begun
    lines = [
        f"{options.data}, {model.name}; {USERS} users replayed, {QUERIES} queries each at most;",
        f"hit rates of {len(split.full):,} users, fewest: {groups.names[0]} items, most: "
        f"{groups.names[-1]}",
        f"recsec {where['versions']['recsec']}, {spent:.0f} s of processor time",
    ]
    for k in LENGTHS:
        lines += [
            "",
            f"lists of {k}; click law of the trivago sample: {rows['none'][k]['law']}",
            f"{'guard':15}{'lists other':>12}{'overlap':>9}{'choices kept':>14}"
            f"{'people ever':>22}{'people, half lost':>22}{'hit rate':>10}{'of bare':>22}"
            f"{'fewest items':>22}{'most items':>22}",
        ]
        for name, found in rows.items():
            one = found[k]
            lines.append(
                f"{name:15}{one['lists changed']:>12.3f}{one['overlap']:>9.3f}"
                f"{one['choices kept']:>14.3f}{span(one['people ever']):>22}"
                f"{span(one['people who lose half']):>22}{one['hit rate']:>10.3f}"
                f"{span(one['of bare']):>22}{span(one['of bare, fewest']):>22}"
                f"{span(one['of bare, most']):>22}"
            )
    lines += [
        "",
        "lists other: than the bare recommender gives to the same history. choices kept: share of",
        "choices from lists, by the law's ranks, where the place holds what it holds without the",
        "guard. people ever: who got at least one other list; half lost: who lost half of their",
        "items over all their lists. of bare: hit rate as a ratio to that without a guard.",
    ]
    RESULTS.with_suffix(".txt").write_text("\n".join(lines) + "\n")
    found = {"data": options.data, "machine": where, "users": USERS, "rows": rows}
    RESULTS.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
