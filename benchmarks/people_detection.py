"""False alarms by request pattern, and for people recorded elsewhere; plain thieves beside them.

    recsec train sasrec --data ml-1m --out runs/sasrec
    python benchmarks/people_detection.py --model runs/sasrec --data ml-1m --out runs/people

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
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from recsec.data import load
from recsec.data.sequences import Sequences
from recsec.detection import FitConfig, Fitted, Groups, fit_detectors, split_users
from recsec.metrics import true_positive_rate
from recsec.models import load as load_model
from recsec.rng import Streams
from recsec.runs import atomic_write_bytes
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
THIEVES = ("random", "autoregressive", "mixed")


class Fast:
    """The recommender's lists, ranked where it computes."""

    def __init__(self, model: Any, device: str) -> None:
        self.model, self.device, self.catalog, self.chunk = model, device, model.catalog, 2048

    def query(self, account: str, histories: np.ndarray, k: int) -> np.ndarray:
        lists = []
        for start in range(0, len(histories), self.chunk):
            part = np.ascontiguousarray(histories[start : start + self.chunk])
            scores = self.model.scores(part).to(self.device)
            scores.scatter_(1, torch.from_numpy(part).to(self.device), -torch.inf)
            scores[:, 0] = -torch.inf
            lists.append(scores.topk(k, dim=1).indices.cpu().numpy())
        return np.concatenate(lists) if lists else np.zeros((0, k), np.int64)


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
    target: Fast, plans: list[Any], step: Callable[..., list[int] | None], queries: int
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


def thieves(target: Fast, kind: str, accounts: int, queries: int) -> QueryLog:
    """One session per account: items of the catalog, of the list, or one in five of the former."""
    rng, n = np.random.default_rng(5), len(target.catalog)
    share = {"random": 1.0, "autoregressive": 0.0, "mixed": 0.2}[kind]

    def step(_: Any, history: list[int], shown: np.ndarray) -> list[int]:
        wild = not history or rng.random() < share
        return [*history, int(rng.integers(1, n + 1)) if wild else int(rng.choice(shown))]

    return side_by_side(target, [None] * accounts, step, queries)


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


def recorded(target: Fast, accounts: list[list[list[int]]], queries: int) -> QueryLog:
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
    target: Fast, accounts: list[list[Any]], own: list[list[int]], queries: int
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


def main() -> None:
    """Fit once, then one row per group of accounts; the results grow as they come."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", choices=["ml-1m", "yoochoose"], required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--results", type=Path, help="files without ending; default in results/")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--users", type=int, default=981, help="of each group, at most")
    parser.add_argument("--tested", type=int, default=1000, help="honest accounts in each row")
    parser.add_argument("--accounts", type=int, default=400, help="of each thief")
    parser.add_argument("--queries", type=int, default=100)
    chosen = parser.parse_args()
    results = chosen.results or Path(__file__).parent / "results" / f"people-{chosen.data}"
    began, rows = time.perf_counter(), []
    model = load_model(chosen.model)
    if hasattr(model, "to"):
        model.to(chosen.device)
    target, streams = Fast(model, chosen.device), Streams(0).child("people")
    config = FitConfig(users=chosen.users, queries=chosen.queries)
    dealt: list[list[list[int]]] = []
    if chosen.data == "ml-1m":
        people = load("ml-1m").sequences()
        groups = split_users(people, streams, least=chosen.queries, most=None)
        groups = Groups(
            groups.fit[: chosen.users],
            groups.calibrate[: chosen.users],
            groups.test[: chosen.tested],
        )
    else:
        rng = streams.numpy("deal")
        sessions = sessions_of(model.catalog)
        thirds = np.array_split(rng.permutation(len(sessions)), 3)
        pools = [[sessions[at] for at in part] for part in thirds]
        sizes = [chosen.users, chosen.users, chosen.tested]
        dealt = [
            row
            for pool, size in zip(pools, sizes, strict=True)
            for row in strangers(pool, size, 3 * chosen.queries, rng)
        ]
        people = Sequences.from_lists(
            model.catalog,
            [[one for part in row for one in dict.fromkeys(part)] for row in dealt],
        )
        groups = Groups(*np.split(np.arange(sum(sizes)), np.cumsum(sizes[:2])))
    folder = chosen.out / "detectors"
    if not (folder / "detectors.safetensors").exists():
        fitted, _, _ = fit_detectors(
            model, people, config, streams=streams, groups=groups, target=target
        )
        fitted.save(folder)
    fitted = Fitted.load(folder)
    print(f"fitted: {time.perf_counter() - began:.0f} s", flush=True)

    def judged(name: str, kind: str, log: QueryLog) -> None:
        watch = fitted.watch()
        for block in log.blocks(16_384):
            watch.observe_log(log, block)
        table = watch.accounts()
        judgeable = table.filter(
            pl.Series([watch._judged(one) >= 20 for one in table["id"]], dtype=pl.Boolean)
        )
        p_values = judgeable["p_value"].to_numpy()
        found: dict[str, Any] = {"name": name, "kind": kind, "accounts": len(p_values)}
        for level in (0.01, 0.001):
            found[f"flagged at {level:g}"] = true_positive_rate(
                -p_values, -level * (1 + 1e-9)
            ).to_json()
        views = {}
        hit = judgeable.filter(pl.col("p_value") <= 0.01)
        for label in fitted.scales:
            at = np.full(len(hit), chosen.queries)
            views[label] = fitted.scales[label].standard(hit[f"score[{label}]"].to_numpy(), at)
        best = np.argmax(list(views.values()), axis=0) if len(hit) else np.zeros(0, int)
        found["views"] = {label: int((best == place).sum()) for place, label in enumerate(views)}
        found["seconds"] = round(time.perf_counter() - began)
        rows.append(found)
        head = {
            "data": chosen.data,
            "queries": chosen.queries,
            "groups": {name: len(part) for name, part in vars(groups).items()},
            "protocol": fitted.protocol,
        }
        results.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**head, "rows": rows}, indent=1) + "\n"
        atomic_write_bytes(results.with_name(f"{results.name}.json"), text.encode())
        rate = found["flagged at 0.01"]
        print(
            f"{name:<34}{kind:<8}n={rate['n']:<6}{rate['value']:.4f} "
            f"[{rate['low']:.4f}, {rate['high']:.4f}]  {found['views']}",
            flush=True,
        )

    test = groups.test
    many = {"queries": chosen.queries, "k": 10}
    for kind in THIEVES:
        judged(kind, "thief", thieves(target, kind, chosen.accounts, chosen.queries))
    if chosen.data == "yoochoose":
        own = dealt[-len(test) :]
        log = recorded(target, own, 2 * chosen.queries)
        judged("yoochoose sessions as recorded", "people", log)
        rng = streams.numpy("visits")
        acts = strangers(visits(), len(test), 4 * chosen.queries, rng)
        judged("trivago visits", "people", trivago(target, acts, own, 4 * chosen.queries))
    for name, pattern in TESTED.items():
        rng = streams.child("test").numpy(name)
        judged(
            name, "people", pattern_log(target, people, test, MEASURED, pattern, rng=rng, **many)
        )
    for name, law in STRESS.items():
        rng = streams.child("test").numpy(name)
        judged(name, "stress", honest_log(target, people, test, law, rng=rng, **many))


if __name__ == "__main__":
    main()
