"""False alarms by request pattern, and for people recorded elsewhere; plain thieves beside them.

    recsec train sasrec --data yoochoose --set epochs=12 --set max_length=20 \\
        --set embedding_dim=32 --out runs/yoochoose
    python benchmarks/people_detection.py --model runs/yoochoose --data yoochoose \\
        --out runs/people --tested 2000
    recsec train sasrec --data ml-1m --out runs/ml1m
    python benchmarks/people_detection.py --model runs/ml1m --data ml-1m --out runs/people-ml-1m \\
        --users 400 --tested 400 --accounts 200

Five minutes of one core for the second command, three for the last.
Each row is kept under ``--out``; the same command goes on where it was killed.

With ``--data ml-1m`` users are split into three groups: one fits, one calibrates, one is tested
under every pattern, with settings and a law that were not fitted. With ``--data yoochoose`` an
account is a row of sessions of strangers, drawn from a third of the sessions; tested are the
recorded sessions themselves, repeats included, and visits of trivago's log: which rank people took
and what they opened again is theirs, what they chose outside of lists comes from Yoochoose.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recsec import __version__
from recsec.data import load
from recsec.data.sequences import Sequences
from recsec.detection import FitConfig, Fitted, Groups, fit_detectors, split_users
from recsec.metrics import true_positive_rate
from recsec.models import load as load_model
from recsec.rng import Streams
from recsec.runs import atomic_write_bytes
from recsec.targets import LocalTarget
from recsec.targets.meter.segments import Calls
from recsec.traffic import ClickLaw, Pattern, QueryLog, honest_log, pattern_log

MEASURED = ClickLaw(acceptance=0.42, first=0.4, bias=0.83, restart=0.05)
"""trivago at k=10; restarts between the fitted ones."""
TESTED = {
    "growing": Pattern(),
    "window of 10": Pattern(window=10),
    "window of 3": Pattern(window=3),
    "current item": Pattern(window=1),
    "session only, 4 items": Pattern(visit=4.0),
    "session only, 10 items": Pattern(visit=10.0),
    "every page twice": Pattern(again=1.0),
    "one page in three twice": Pattern(again=1 / 3),
    "two widgets": Pattern(widgets=2),
    "three widgets": Pattern(widgets=3),
    "back button, one step in three": Pattern(back=1 / 3),
    "two devices": Pattern(devices=2),
    "household of two": Pattern(persons=2),
    "household of four": Pattern(persons=4),
    "two pages ahead": Pattern(ahead=2),
    "five pages ahead": Pattern(ahead=5),
    "two devices, reloads, back": Pattern(devices=2, again=0.2, back=0.1),
}
STRESS = {
    "c=0": MEASURED.model_copy(update={"acceptance": 0.0}),
    "c=0.25": MEASURED.model_copy(update={"acceptance": 0.25}),
    "c=0.66": MEASURED.model_copy(update={"acceptance": 0.66}),
    "assumed c=0.25 eta=1": ClickLaw(acceptance=0.25, bias=1.0, restart=0.05),
    "assumed c=0.5 eta=0.5": ClickLaw(acceptance=0.5, bias=0.5, restart=0.05),
    "assumed c=0.75 eta=1.5": ClickLaw(acceptance=0.75, bias=1.5, restart=0.05),
}
THIEVES = {
    "random": (1.0, 1),
    "autoregressive": (0.0, 1),
    "mixed": (0.2, 1),
    "random, eight sessions": (1.0, 8),
    "autoregressive, eight sessions": (0.0, 8),
    "mixed, eight sessions": (0.2, 8),
}
"""Share of items drawn from the catalog, and sessions that an account grows side by side."""


class Remembering:
    """A target that ranks no history twice."""

    def __init__(self, model: Any) -> None:
        self.target, self.catalog = LocalTarget(model), model.catalog
        self.known: dict[bytes, np.ndarray] = {}

    def query(self, account: str, histories: np.ndarray, k: int) -> np.ndarray:
        keys = [row[row > 0].tobytes() for row in histories]
        new = {key: at for at, key in enumerate(keys) if key not in self.known}
        rows = np.fromiter(new.values(), np.int64, len(new))
        if len(rows):
            self.known.update(zip(new, self.target.query(account, histories[rows], k), strict=True))
        return np.array([self.known[key] for key in keys]).reshape(-1, k)


def taken(rows: list[tuple[str, list[int], np.ndarray]], catalog: Any, k: int) -> QueryLog:
    """A log of (account, history, list) in the order of asking."""
    return QueryLog(
        catalog,
        Calls(
            call=np.arange(len(rows)),
            account=[name for name, _, _ in rows],
            parent=np.full(len(rows), -1),
            items=np.array([one for _, items, _ in rows for one in items], dtype=np.int32),
            offsets=np.cumsum([0, *(len(items) for _, items, _ in rows)]),
            k=np.full(len(rows), k),
            answers=np.array([found for _, _, found in rows], dtype=np.int32).reshape(-1, k),
        ),
    )


def side_by_side(
    target: Remembering, plans: list[Any], step: Callable[..., list[int] | None], queries: int
) -> QueryLog:
    """Ask for all accounts in turns; ``step(plan, history, shown)`` gives the next history."""
    rows = []
    state: list[tuple[list[int], np.ndarray]] = [([], np.zeros(0, np.int64)) for _ in plans]
    alive = list(range(len(plans)))
    for _ in range(queries):
        asked = [(at, step(plans[at], *state[at])) for at in alive]
        asked = [(at, history) for at, history in asked if history]
        alive = [at for at, _ in asked]
        lengths = np.array([len(history) for _, history in asked])
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), 256):
            part = order[start : start + 256]
            block = np.zeros((len(part), lengths[part].max()), dtype=np.int64)
            for place, one in enumerate(part):
                block[place, : lengths[one]] = asked[one][1]
            lists = target.query("honest", block, 10)
            for place, one in enumerate(part):
                at, history = asked[one]
                state[at] = (history, lists[place])
        rows += [(f"a-{at}", history, state[at][1]) for at, history in asked]
    return taken(rows, target.catalog, 10)


def thieves(
    target: Remembering, wild: float, sessions: int, accounts: int, queries: int
) -> QueryLog:
    """Items of the catalog or of the list, drawn evenly, in growing sessions that take turns."""
    rng, n = np.random.default_rng(5), len(target.catalog)
    lines = [[([], np.zeros(0, np.int64))] * sessions for _ in range(accounts)]
    turns = [0] * accounts

    def step(at: Any, history: list[int], shown: np.ndarray) -> list[int]:
        lines[at][(turns[at] - 1) % sessions] = (history, shown)
        history, shown = lines[at][turns[at] % sessions]
        turns[at] += 1
        free = not history or rng.random() < wild
        return [*history, int(rng.integers(1, n + 1)) if free else int(rng.choice(shown))]

    return side_by_side(target, list(range(accounts)), step, queries)


def sessions_of(catalog: Any) -> list[list[int]]:
    """Yoochoose's sessions as clicked, repeats included, items of the catalog only."""
    from recsec.data.sources.archive import open_archive
    from recsec.data.sources.cache import locate
    from recsec.data.sources.known import known
    from recsec.data.sources.layouts import read_known

    data = known("yoochoose")
    with open_archive(locate(data)) as archive:
        rows = read_known(archive, data).rows
    place = {one: at for at, one in enumerate(catalog.ids.tolist(), start=1)}
    found = []
    for items in rows.group_by("user", maintain_order=True).agg("item")["item"].to_list():
        kept = [place[one] for one in items if one in place]
        if kept:
            found.append(kept)
    return found


def strangers(
    sessions: list[Any], accounts: int, size: int, rng: np.random.Generator
) -> list[list[Any]]:
    """Rows of sessions drawn without repetition within an account."""
    found = []
    for _ in range(accounts):
        row: list[Any] = []
        total = 0
        for at in rng.permutation(len(sessions)):
            row.append(sessions[at])
            total += len(sessions[at])
            if total >= size:
                break
        found.append(row)
    return found


def recorded(target: Remembering, accounts: list[list[list[int]]], queries: int) -> QueryLog:
    """Sessions as they were clicked: each grows a history; a repeat asks the same again."""
    plans = [
        iter([(new == 0, item) for one in row for new, item in enumerate(one)]) for row in accounts
    ]

    def step(plan: Any, history: list[int], shown: np.ndarray) -> list[int] | None:
        new, item = next(plan, (None, 0))
        if new is None:
            return None
        if not new and history and item == history[-1]:
            return history
        return [item] if new else [*history, item]

    return side_by_side(target, plans, step, queries)


def visits() -> list[list[tuple[str, int]]]:
    """trivago's visits: new items by their rank in the last logged list, and returns."""
    path = Path(os.environ["RECSEC_MIRROR"]) / "trivago-2019-sample.parquet"
    table = pl.read_parquet(path).sort("user_id", "session_id", "timestamp", "step")
    found = []
    for _, part in table.group_by(["user_id", "session_id"], maintain_order=True):
        visit: list[tuple[str, int]] = []
        shown: list[str] = []
        seen: dict[str, int] = {}
        last = ""
        for item, listed in zip(part["reference"], part["impressions"], strict=True):
            if item is not None and item.isdigit():
                if item == last:
                    visit.append(("again", 0))
                elif item in seen:
                    visit.append(("return", seen[item]))
                else:
                    visit.append(("rank", shown.index(item) + 1 if item in shown[:10] else 0))
                    seen[item] = len(seen)
                last = item
            if listed is not None:
                shown = listed.split("|")
        if visit:
            found.append(visit)
    return found


def trivago(
    target: Remembering, accounts: list[list[Any]], own: list[list[int]], queries: int
) -> QueryLog:
    """Visits of trivago's users on the lists of this recommender."""
    plans = [
        {
            "acts": iter([(new == 0, *act) for one in row for new, act in enumerate(one)]),
            "own": iter([item for one in items for item in one]),
            "opened": [],
        }
        for row, items in zip(accounts, own, strict=True)
    ]

    def step(plan: Any, history: list[int], shown: np.ndarray) -> list[int] | None:
        new, act, value = next(plan["acts"], (None, "", 0))
        if new is None:
            return None
        if new:
            history, shown, plan["opened"] = [], np.zeros(0, np.int64), []
        if act == "again" and history:
            return history
        if act == "return" and value < len(plan["opened"]):
            item = plan["opened"][value]
            return [*history, item] if history and history[-1] != item else history or [item]
        item = int(shown[value - 1]) if value and len(shown) >= value else 0
        item = item or next(plan["own"], 0)
        if item == 0:
            return None
        plan["opened"].append(item)
        return [*history, item] if not history or history[-1] != item else history

    return side_by_side(target, plans, step, queries)


def deal(model: Any, sizes: list[int], queries: int, streams: Streams) -> tuple[Any, Groups, Any]:
    """Accounts of Yoochoose, each a row of strangers' sessions; no session in two groups."""
    rng = streams.numpy("deal")
    sessions = sessions_of(model.catalog)
    thirds = np.array_split(rng.permutation(len(sessions)), 3)
    dealt = [
        row
        for third, size in zip(thirds, sizes, strict=True)
        for row in strangers([sessions[at] for at in third], size, 3 * queries, rng)
    ]
    people = Sequences.from_lists(
        model.catalog, [[one for part in row for one in dict.fromkeys(part)] for row in dealt]
    )
    return people, Groups(*np.split(np.arange(sum(sizes)), np.cumsum(sizes[:2]))), dealt


def row_of(fitted: Fitted, name: str, kind: str, log: QueryLog, queries: int) -> dict[str, Any]:
    """How many of the accounts of a log are flagged, by which view, and what the check says."""
    watch = fitted.watch()
    for block in log.blocks(16_384):
        watch.observe_log(log, block)
    table = watch.accounts()
    able = table.filter(pl.Series([watch.judged(one) >= 20 for one in table["id"]], dtype=bool))
    p_values = able["p_value"].to_numpy()
    found: dict[str, Any] = {"name": name, "kind": kind}
    for level in (0.01, 0.001):
        rate = true_positive_rate(-p_values, -level * (1 + 1e-9))
        found[f"flagged at {level:g}"] = rate.to_json()
    hit = able.filter(pl.col("p_value") <= 0.01)
    made = np.full(len(hit), queries)
    views = [
        one.standard(hit[f"score[{at}]"].to_numpy(), made) for at, one in fitted.scales.items()
    ]
    best = np.argmax(views, axis=0) if len(hit) else np.zeros(0, int)
    found["views"] = {one: int((best == at).sum()) for at, one in enumerate(fitted.scales)}
    return found


def text(results: dict[str, Any]) -> str:
    """The table that people read."""
    lines = list(results["head"])
    for kind in dict.fromkeys(row["kind"] for row in results["rows"]):
        lines += ["", kind]
        for row in results["rows"]:
            if row["kind"] == kind:
                rate = row["flagged at 0.01"]
                met = rate["high"] <= 0.015 if kind != "thieves" else rate["value"] >= 0.99
                lines.append(
                    f"  {row['name']:<34}{round(rate['value'] * rate['n']):>5} of {rate['n']:<6}"
                    f"{rate['value']:.4f} [{rate['low']:.4f}, {rate['high']:.4f}]"
                    f"{'' if met else '  bar not met'}"
                )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Fit once, then one row per group of accounts; the results grow as they come."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", choices=["ml-1m", "yoochoose"], required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--results", type=Path, help="files without ending; default in results/")
    parser.add_argument("--users", type=int, default=1000, help="in each fitted group, at most")
    parser.add_argument("--tested", type=int, default=1000, help="honest accounts in each row")
    parser.add_argument("--accounts", type=int, default=400, help="of each thief")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="rows whose name has one of these words")
    chosen = parser.parse_args()
    results = chosen.results or Path(__file__).parent / "results" / f"people-{chosen.data}"
    began = time.process_time()
    model = load_model(chosen.model)
    target, streams = Remembering(model), Streams(chosen.seed).child("people")
    config = FitConfig(users=chosen.users, queries=chosen.queries)
    dealt: list[Any] = []
    if chosen.data == "ml-1m":
        people = load("ml-1m").sequences()
        groups = split_users(people, streams, least=chosen.queries, most=chosen.users)
        groups = Groups(groups.fit, groups.calibrate, groups.test[: chosen.tested])
    else:
        sizes = [chosen.users, chosen.users, chosen.tested]
        people, groups, dealt = deal(model, sizes, chosen.queries, streams)
    folder = chosen.out / "detectors"
    if not (folder / "detectors.safetensors").exists():
        fitted, _, _ = fit_detectors(
            model, people, config, streams=streams, groups=groups, target=target
        )
        fitted.save(folder)
    fitted = Fitted.load(folder)
    print(f"fitted: {time.process_time() - began:.0f} s", flush=True)
    test, many = groups.test, {"queries": chosen.queries, "k": 10}

    def drawn(name: str) -> np.random.Generator:
        return streams.child("test").numpy(name)

    logs: dict[tuple[str, str], Callable[[], QueryLog]] = {
        ("thieves", name): partial(thieves, target, *how, chosen.accounts, chosen.queries)
        for name, how in THIEVES.items()
    }
    if dealt:
        own = dealt[-len(test) :]
        logs["people", "yoochoose sessions as recorded"] = lambda: recorded(
            target, own, 2 * chosen.queries
        )
        logs["people", "trivago visits"] = lambda: trivago(
            target,
            strangers(visits(), len(test), 4 * chosen.queries, streams.numpy("visits")),
            own,
            4 * chosen.queries,
        )
    for name, one in TESTED.items():
        logs["patterns", name] = lambda name=name, one=one: pattern_log(
            target, people, test, MEASURED, one, rng=drawn(name), **many
        )
    for name, law in STRESS.items():
        logs["stress", name] = lambda name=name, law=law: honest_log(
            target, people, test, law, rng=drawn(name), **many
        )
    rows = []
    for (kind, name), make in logs.items():
        if chosen.only and not any(word in name for word in chosen.only):
            continue
        path = chosen.out / "rows" / f"{name}.json"
        if not path.exists():
            target.known.clear()
            found = row_of(fitted, name, kind, make(), chosen.queries)
            atomic_write_bytes(path, json.dumps(found).encode())
        rows.append(json.loads(path.read_text()))
        rate = rows[-1]["flagged at 0.01"]
        print(
            f"{name:<34}n={rate['n']:<6}{rate['value']:.4f} [{rate['low']:.4f}, "
            f"{rate['high']:.4f}] {rows[-1]['views']} {time.process_time() - began:.0f} s",
            flush=True,
        )
    head = [
        f"{chosen.data}, {model.name}, k=10, {chosen.queries} queries per account; flagged at a "
        "nominal 1 %",
        f"accounts: fit {len(groups.fit)}, calibrate {len(groups.calibrate)}, test {len(test)}; "
        f"patterns fitted: {', '.join(fitted.protocol['patterns'])}",
        f"laws fitted: {', '.join(fitted.protocol['laws'])} (restarts "
        f"{fitted.protocol['restart']}); tested: {MEASURED.label}, restarts {MEASURED.restart}",
        "the bar: at most 1.5 % of people at the upper end of the 95 % interval, 99 % of thieves",
        f"recsec {__version__}, numpy {np.__version__}, {platform.machine()}, seed {chosen.seed}",
    ]
    found = {"head": head, "protocol": fitted.protocol, "rows": rows}
    results.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(results.with_suffix(".json"), (json.dumps(found, indent=1) + "\n").encode())
    atomic_write_bytes(results.with_suffix(".txt"), text(found).encode())
    print(text(found))


if __name__ == "__main__":
    main()
