"""What a theft costs: accounts and days that thieves need at a target that keeps the histories.

    recsec train sasrec --data ml-1m --out runs/sasrec
    python benchmarks/theft_cost.py people --model runs/sasrec --out runs/cost
    python benchmarks/theft_cost.py thief mixed --model runs/sasrec --out runs/cost
    python benchmarks/theft_cost.py thief rank-law --model runs/sasrec --out runs/cost
    python benchmarks/theft_cost.py table --model runs/sasrec --out runs/cost

``people`` replays users under a click law and fits what judges accounts. ``thief`` steals through
bounded histories, one account per session, and measures the lift of copies. ``table`` judges the
thieves' accounts and puts all in ``benchmarks/results/theft_cost.json``, ``.txt`` and ``.png``.

The pace of people is that of the public trivago sample. An account that is found out gets decoys
from then on; the thief knows when he is found out and goes on with a new account.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
import torch

from recsec.attacks.extraction import ExtractionConfig, collect, fit_surrogate
from recsec.attacks.extraction.policies.rank_law import RankLawPolicy
from recsec.data import load
from recsec.data.sequences import Split
from recsec.detection.habits import Habits, HabitsJudge
from recsec.detection.population import energy_test
from recsec.evaluation import answer_lists
from recsec.metrics import agreement
from recsec.models import Popularity, mask_history
from recsec.models import load as load_model
from recsec.rng import Streams
from recsec.runs import atomic_write_text
from recsec.stats import mean_estimate, wilson
from recsec.targets import Budget, LocalTarget, MeteredTarget, Transcript
from recsec.targets.bounded import DAY, HOTELS, BoundedTarget, Pace, Sybils, most_within
from recsec.targets.guards import Misinform, Surroundings
from recsec.traffic import ClickLaw, honest_log

RESULTS = Path(__file__).parent / "results" / "theft_cost"
K = 10
LAW = ClickLaw(acceptance=0.42, bias=1.08, restart=0.0)
CHECKPOINTS = (10, 20, 40, 60)
LEVEL = 0.01
LIFTS = (0.1, 0.3, 0.5)
TASTES = (0.0, 0.5, 1.0)
VISITS = ("clickout item", "interaction item image", "interaction item info")
VISITS += ("interaction item deals", "interaction item rating", "search for item")
THIEVES: dict[str, dict[str, Any]] = {
    "mixed": {"guard": False, "calls": (3000, 6000, 12000)},
    "rank-law": {"guard": True, "calls": (12500, 25000)},
    "rank-law, a day each": {
        "guard": True,
        "settings": {"length": 20},
        "calls": (12500, 25000),
    },
    "rank-law, tastes": {"guard": True, "tastes": True, "calls": (12500, 25000)},
}


def pace_of_people(share: float) -> dict[str, Any]:
    """Pace of the hotel visitors: requests and visited items, fitted to half of them."""
    path = Path(os.environ["RECSEC_MIRROR"]) / "trivago-2019-sample.parquet"
    log = pl.read_parquet(path).sort("user_id", "timestamp", "step")
    log = log.with_columns(user=pl.col("user_id").rank("dense").cast(pl.Int64) - 1)
    visits = log.filter(pl.col("action_type").is_in(VISITS))
    fresh = pl.col("reference") != pl.col("reference").shift(1).over("user").fill_null("")
    visits = visits.filter(fresh)
    found: dict[str, Any] = {}
    for name, rows in (("requests", log), ("events", visits)):
        who = rows["user"].rank("dense").cast(pl.Int64).to_numpy() - 1
        when = rows["timestamp"].to_numpy().astype(np.float64)
        half = who % 2 == 0
        fitted = Pace.measured(who[half] // 2, when[half], share=share)
        kept = fitted.kept(who[~half] // 2, when[~half])
        daily = most_within(who, when, DAY)
        found[name] = {
            "windows": fitted.windows,
            "users": len(daily),
            "slowed_of_the_others": wilson(int((~kept).sum()), len(kept)).to_json(),
            "most_in_a_day": {q: float(np.quantile(daily, q)) for q in (0.5, 0.9, 0.99)},
        }
    return found


def vectors_of(model: Any) -> np.ndarray:
    return model.item_table().detach().cpu().numpy()


def played(model: Any, count: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """Histories ``(count, length)`` of thieves whom the owner plays: ranks by a law, tastes."""
    items = len(model.catalog)
    table = vectors_of(model)
    along = table[1 : items + 1] @ rng.standard_normal((table.shape[1], count))
    along = np.vstack([np.zeros(count), (along - along.mean(axis=0)) / along.std(axis=0)]).T
    tilt = along * np.resize(TASTES, count)[:, None]
    law = (np.arange(1, items + 1) + 2.25) ** -1.3
    histories = rng.integers(1, items + 1, (count, 1))
    while histories.shape[1] < length:
        scores = mask_history(model.scores(histories), torch.from_numpy(histories)).numpy()
        order = np.argsort(-scores, axis=1)[:, : items - histories.shape[1]]
        weights = law[: order.shape[1]] * np.exp(np.take_along_axis(tilt, order, axis=1))
        heights = np.cumsum(weights, axis=1)
        place = (heights < rng.random((count, 1)) * heights[:, -1:]).sum(axis=1)
        grown = np.take_along_axis(order, np.minimum(place, order.shape[1] - 1)[:, None], axis=1)
        histories = np.concatenate([histories, grown], axis=1)
    return histories


def machines(model: Any, count: int, length: int, streams: Streams) -> np.ndarray:
    """Histories of ``mixed``, which the owner plays too."""
    config = ExtractionConfig(policy="mixed", sessions=count, length=length)
    with tempfile.TemporaryDirectory() as folder:
        budget = Budget(calls=count * length)
        with MeteredTarget(LocalTarget(model), budget=budget, folder=Path(folder)) as meter:
            collect(meter, config, calls=count * length, k=K, streams=streams)
        return sessions_of(Transcript.open(Path(folder), model.catalog), count * length, length)


def sessions_of(transcript: Transcript, calls: int, least: int) -> np.ndarray:
    """The first items ``(S, least)`` of the sessions that have so many."""
    chains = transcript.chains(calls)
    rows = [chains.items[a:b] for a, b in zip(chains.offsets[:-1], chains.offsets[1:], strict=True)]
    long = [row[:least] for row in rows if len(row) >= least]
    return np.array(long, dtype=np.int64).reshape(-1, least)


def habits_of(model: Any, split: Split) -> Habits:
    guard = Misinform.build(Misinform.config_class(), Surroundings(model, split.train))
    return Habits.of(model, guard.law, vectors_of(model), split.train.counts)


def people(chosen: argparse.Namespace) -> None:
    """Replay, divide and measure people."""
    split, model = load(chosen.data).split(), load_model(chosen.model)
    streams = Streams(0).child("theft cost")
    rng = streams.numpy("people")
    length = CHECKPOINTS[-1]
    users = np.flatnonzero(split.full.lengths >= length * (1 - LAW.acceptance) * 1.2)
    users = rng.permutation(users)[: chosen.users]
    target = LocalTarget(model)
    log = honest_log(
        target, split.full, users, LAW, queries=length, k=K, rng=streams.numpy("clicks")
    )
    names = np.unique(log.calls.account, return_inverse=True)[1]
    order = np.argsort(names, kind="stable")
    rows = np.split(
        log.calls.items[order].astype(np.int64), np.flatnonzero(np.diff(names[order])) + 1
    )
    whole = np.array([row for row in rows if len(row) == length])
    whole = whole[rng.permutation(len(whole))]
    played_too = np.concatenate(
        [
            played(model, chosen.played, length, streams.numpy("played")),
            machines(model, chosen.played // 6, length, streams.child("machines")),
        ]
    )
    habits = habits_of(model, split)
    kept = {"people": whole, "played": played_too}
    for events in CHECKPOINTS:
        for name, rows in (("people", whole), ("played", played_too)):
            kept[f"{name}-{events}"] = habits.measure(rows[:, :events]).astype(np.float32)
    kept |= {"vectors": habits.vectors.astype(np.float32), "counts": habits.counts}
    np.savez_compressed(chosen.out / "people.npz", **kept)
    print(f"people: {len(users)} users, {len(whole)} with {length} events", flush=True)


def lift_of(lists: np.ndarray, clean: np.ndarray, floor: float, streams: Streams) -> dict[str, Any]:
    values = (agreement(lists, clean, K) - floor) / (1 - floor)
    return mean_estimate(values, streams.numpy("lift")).to_json()


RANK_LAW = RankLawPolicy.next


def with_taste(
    policy: RankLawPolicy, histories: np.ndarray, lists: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Of four choices by people's law the one most like the session's first item, softly."""
    options = np.stack([RANK_LAW(policy, histories, lists, rng) for _ in range(4)], axis=1)
    if policy.surrogate is None:
        return options[:, 0]
    table = vectors_of(policy.surrogate.cpu())
    table = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)
    alike = np.einsum("bod,bd->bo", table[options], table[histories[:, 0]])
    best = (4 * alike - np.log(-np.log(rng.random(alike.shape)))).argmax(axis=1)
    return options[np.arange(len(options)), best]


def thief(chosen: argparse.Namespace) -> None:
    """Steal through bounded histories; copies at every budget."""
    facts = THIEVES[chosen.name]
    split, model = load(chosen.data).split(), load_model(chosen.model)
    streams = Streams(chosen.seed).child("theft cost").child(chosen.name)
    guards = []
    if facts["guard"]:
        guards = [Misinform.build(Misinform.config_class(), Surroundings(model, split.train))]
    calls = [max(60, count // chosen.shrink) for count in facts["calls"]]
    settings = dict(facts.get("settings", {}))
    policy = chosen.name.split(",")[0]
    reach = {"max_length": settings.get("length", 63)} if policy == "rank-law" else {}
    config = ExtractionConfig(
        policy=policy,
        policy_settings=settings,
        surrogate_settings=reach | chosen.surrogate,
        length=200 if policy == "mixed" else settings.get("length", 63),
    )
    clean = answer_lists(model, split, K)
    floor = float(agreement(answer_lists(Popularity.of(split.train), split, K), clean, K).mean())
    folder = chosen.out / chosen.name.replace(", ", "-").replace(" ", "-")
    target = Sybils(BoundedTarget(LocalTarget(model, guards), HOTELS))
    points: list[dict[str, Any]] = []
    (folder / "transcript").mkdir(parents=True, exist_ok=True)
    budget = Budget(calls=calls[-1])
    mend = patch.object(RankLawPolicy, "next", with_taste) if "tastes" in facts else nullcontext()
    with mend, MeteredTarget(target, budget=budget, folder=folder / "transcript") as meter:
        collect(meter, config, calls=calls[-1], k=K, streams=streams, device=chosen.device)
    transcript = Transcript.open(folder / "transcript", split.catalog)
    for count in calls:
        copy = fit_surrogate(
            transcript,
            split.catalog,
            config,
            calls=count,
            streams=streams.child("fit"),
            out=folder / f"copy-{count}",
            device=chosen.device,
        )
        lists = answer_lists(copy, split, K)
        lengths = np.diff(transcript.chains(count).offsets)
        points.append(
            {
                "calls": count,
                "lift": lift_of(lists, clean, floor, streams),
                "accounts": len(lengths),
                "events": int(lengths.sum()),
                "account_days": int(days_of(lengths).sum()),
            }
        )
        found = {"thief": chosen.name, "guard": facts["guard"], "floor": floor, "points": points}
        found["config"] = config.model_dump(mode="json")
        atomic_write_text(folder / "found.json", json.dumps(found, indent=1) + "\n")
        print(f"{chosen.name}: {points[-1]}", flush=True)


def days_of(lengths: np.ndarray, pace: Pace = HOTELS) -> np.ndarray:
    """Days that accounts need for so many events, the first one whole."""
    due: list[float] = []
    for _ in range(int(lengths.max(initial=1))):
        due.append(pace.due(np.array(due), due[-1] if due else 0.0))
    return (np.array(due) // DAY).astype(np.int64)[np.maximum(lengths, 1) - 1] + 1


def calls_for(points: list[dict[str, Any]], lift: float) -> float | None:
    """Calls at which the curve reaches a lift, linear in the logarithm; None beyond the last."""
    calls = np.log([point["calls"] for point in points])
    values = np.maximum.accumulate([point["lift"]["value"] for point in points])
    if lift > values[-1]:
        return None
    if lift <= values[0]:  # below the first budget a line through it and nothing at no calls
        return float(points[0]["calls"] * lift / values[0])
    return float(np.exp(np.interp(lift, values, calls)))


def detected(p: np.ndarray, level: float) -> np.ndarray:
    """``(A,)`` at which checkpoint each account is found out first, C for never."""
    found = p <= level / len(CHECKPOINTS)
    return np.where(found.any(axis=1), found.argmax(axis=1), len(CHECKPOINTS))


def useful(when: np.ndarray, length: int) -> tuple[float, float]:
    """Mean true answers, and mean days, of an account given up when found out or at ``length``."""
    ends = np.minimum(np.append(CHECKPOINTS, length)[when], length)
    return float(ends.mean()), float(days_of(ends).mean())


def table(chosen: argparse.Namespace) -> None:
    """Judge the accounts of people and thieves, price the thefts."""
    split, model = load(chosen.data).split(), load_model(chosen.model)
    streams = Streams(0).child("theft cost")
    habits = habits_of(model, split)
    with np.load(chosen.out / "people.npz") as file:
        kept = dict(file)
    groups = np.array_split(np.arange(len(kept["people"])), 3)
    fit, calibrate, test = ([kept[f"people-{n}"][rows] for n in CHECKPOINTS] for rows in groups)
    judge = HabitsJudge.fit(
        CHECKPOINTS,
        honest=fit,
        thieves=[kept[f"played-{n}"] for n in CHECKPOINTS],
        calibrate=calibrate,
    )
    found: dict[str, Any] = {"data": chosen.data, "people": len(kept["people"])}
    found["pace"] = {f"{share}": pace_of_people(share) for share in (0.99, 0.995)}
    export: dict[str, np.ndarray] = {}

    def judged(measured: list[np.ndarray]) -> np.ndarray:
        p = np.ones((len(measured[0]), len(CHECKPOINTS)))
        for at, habit in enumerate(measured):
            events = CHECKPOINTS[at]
            p[:, at] = judge.p_values(judge.scores(habit, events), events)
        return p

    honest = judged(test)
    when = detected(honest, LEVEL)
    found["honest"] = {
        "ever_served_worse": wilson(int((when < len(CHECKPOINTS)).sum()), len(when)).to_json(),
        "at_each": [float((honest[:, at] <= 0.01).mean()) for at in range(len(CHECKPOINTS))],
    }
    rng = streams.numpy("pools")
    thieves: dict[str, Any] = {}
    for name in THIEVES:
        folder = chosen.out / name.replace(", ", "-").replace(" ", "-")
        if not (folder / "found.json").exists():
            continue
        facts = json.loads((folder / "found.json").read_text())
        transcript = Transcript.open(folder / "transcript", split.catalog)
        chains = transcript.chains(facts["points"][-1]["calls"])
        lengths = np.diff(chains.offsets)
        least = min(CHECKPOINTS[-1], int(np.quantile(lengths, 0.9)))
        rows = sessions_of(transcript, facts["points"][-1]["calls"], least)[: chosen.judged]
        export[name] = rows
        measured = [habits.measure(rows[:, :n]) for n in CHECKPOINTS if n <= least]
        for events, habit in zip(CHECKPOINTS, measured, strict=False):
            export[f"{name}-{events}"] = habit.astype(np.float32)
        p = judged(measured)
        length = int(lengths.max())
        facts["judged"] = {
            "accounts": len(rows),
            "events": least,
            "found_at_1_percent": {
                str(n): wilson(int((p[:, at] <= 0.01).sum()), len(rows)).to_json()
                for at, n in enumerate(CHECKPOINTS)
                if n <= least
            },
        }
        facts["policed"] = {}
        when = detected(p, LEVEL)
        for limit in [n for n in (20, 40, 60) if n <= length]:
            answers, days = useful(when, min(limit, length))
            facts["policed"][str(limit)] = {"answers": answers, "days": days}
        pool = measured[0][rng.permutation(len(rows))[: chosen.pool]]
        people_young = test[0][rng.permutation(len(test[0]))[: len(test[0]) // 2]]
        facts["pooled_p"] = energy_test(pool, people_young, rng=rng)[1]
        thieves[name] = facts
    found["thieves"] = thieves
    found["pooled_null"] = [
        energy_test(*_split(test[0][rng.permutation(len(test[0]))], chosen.pool), rng=rng)[1]
        for _ in range(chosen.nulls)
    ]
    np.savez_compressed(chosen.out / "thieves.npz", **export)
    atomic_write_text(chosen.out / "table.json", json.dumps(found, indent=1) + "\n")
    print(json.dumps(found["honest"]))


def _split(rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    return rows[:count], rows[count : count + len(rows) // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["people", "thief", "table"])
    parser.add_argument("name", nargs="?", choices=list(THIEVES))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", default="ml-1m")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--users", type=int, default=5000, help="people, at most")
    parser.add_argument("--played", type=int, default=900, help="accounts that the owner plays")
    parser.add_argument("--judged", type=int, default=400, help="accounts of a thief, at most")
    parser.add_argument("--pool", type=int, default=150, help="young accounts tested together")
    parser.add_argument("--nulls", type=int, default=100)
    parser.add_argument("--shrink", type=int, default=1, help="fewer calls, for a rehearsal")
    parser.add_argument("--surrogate", type=json.loads, default={}, help="its settings, as JSON")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    {"people": people, "thief": thief, "table": table}[chosen.part](chosen)


if __name__ == "__main__":
    main()
