"""Detection on MovieLens-1M: thieves' accounts against users replayed under the measured click law.

    recsec train sasrec --data ml-1m --out runs/sasrec
    python benchmarks/ml1m_detection.py --model runs/sasrec --out runs/detection

Users are split into three groups: one fits, one calibrates, one is tested; the laws under test are
not the laws fitted, and assumed laws stay as stress. Every account, honest or thief, has the same
number of queries; a repeat is not counted by the detectors, so ``n`` falls where they are many. A
thief who grows sessions is shown in two forms: 50 sessions that grow side by side in one account,
which is what ``recsec extract`` does, and one session per account, which is what a thief with many
accounts does. Thieves who ask otherwise are cut into accounts in the order in which they ask.

Each part is written once to ``--out``; the same command goes on where it was killed. The account
table (``--out``/accounts.parquet) is all that the results are computed from.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recsec import __version__
from recsec.attacks.extraction import ExtractionConfig, leaked_histories
from recsec.attacks.extraction.collect import collect
from recsec.audit.extraction.evidence.audience import leak_of
from recsec.data import Split, load
from recsec.detection import COMBINED, FitConfig, Fitted, account_table, fit_detectors, split_users
from recsec.metrics import (
    accounts_needed,
    confusion,
    queries_to_detection,
    threshold_at,
    true_positive_rate,
)
from recsec.models import load as load_model
from recsec.rng import Streams
from recsec.runs import atomic_write_bytes
from recsec.targets import Budget, LocalTarget, MeteredTarget
from recsec.traffic import ACCEPTANCES, BIASES, ClickLaw, QueryLog, honest_log, read_log, write_log

CHECKPOINTS = (20, 50, 100, 200)
RATES = (0.01, 0.001)
RESTART = 0.05
"""Of the users under test; the fitted laws have 0.02 or 0.1."""

MEASURED = ClickLaw(acceptance=0.42, first=0.4, bias=0.83, restart=RESTART)
"""The public trivago sample at k=10: the law under which all test users are replayed."""

FULL = MEASURED.label

DETECTORS: dict[str, dict[str, Any]] = {
    "accepted-rank": {},
    "transition": {},
    "off-list": {},
    "continuity": {},
    "seat": {},
    "seat-raw": {},
    "prada": {},
    "prada-raw": {},
}
SESSIONS: dict[str, dict[str, Any]] = {
    "random": {"policy": "random"},
    "autoregressive": {"policy": "autoregressive"},
    "mixed": {"policy": "mixed"},
    "coverage": {"policy": "coverage"},
    "mixed, ranks like people's": {
        "policy": "mixed",
        "policy_settings": {"rank_exponent": 1.0, "share": 0.5},
    },
    "mixed +human-like": {"policy": "mixed", "adaptive": {"human_like": True}},
}
"""Thieves who grow sessions."""
FORMS = {"50 sessions per account": 50, "1 session per account": 1}
AS_ASKED: dict[str, dict[str, Any]] = {
    "few-shot, leak 1 %": {"policy": "few-shot", "leak": 0.01},
    "knockoff-pool, leak 1 %": {"policy": "knockoff-pool", "leak": 0.01},
    "mixed +benign=0.5, leak 1 %": {"policy": "mixed", "leak": 0.01, "adaptive": {"benign": 0.5}},
    "mixed +one-call": {"policy": "mixed", "adaptive": {"one_call": True}},
    "erase-requery": {"policy": "erase-requery"},
    "active-entropy": {"policy": "active-entropy"},
    "active-kcenter": {"policy": "active-kcenter"},
}
"""Thieves with a leak, or who ask whole histories in rounds."""


def keep(path: Path, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    """A table that is made once."""
    if not path.exists():
        table = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        table.write_parquet(unfinished)
        atomic_write_bytes(path, unfinished.read_bytes())
        unfinished.unlink()
    return pl.read_parquet(path)


def roots(log: QueryLog) -> np.ndarray:
    """The first query of each query's session."""
    root = np.where(log.parents >= 0, log.parents, np.arange(len(log)))
    while (root[root] != root).any():
        root = root[root]
    return root


def thief_log(
    target: LocalTarget, folder: Path, name: str, form: str, split: Split, *, accounts: int
) -> QueryLog:
    """Queries of thieves' accounts, as many of each as of an honest one."""
    queries, sessions = CHECKPOINTS[-1], FORMS.get(form, 50)
    side_by_side = sessions if sessions > 1 else accounts
    config = ExtractionConfig(
        sessions=side_by_side,
        length=queries // sessions if form in FORMS else queries,
        **(SESSIONS | AS_ASKED)[name],
    )
    calls = accounts * queries
    asked = any(folder.glob("calls-*.parquet"))
    if not asked or len(read_log(folder, target.catalog)) < calls:
        leak = leaked_histories(split, leak_of(split, config.leak, 0)) if config.leak else None
        with MeteredTarget(target, budget=Budget(calls=calls, k=10), folder=folder) as meter:
            streams = Streams(1).child("thieves").child(name)
            collect(meter, config, calls=calls, k=10, streams=streams, leak=leak, device="cpu")
    log = read_log(folder, target.catalog)
    rows = np.arange(len(log))
    owner = rows // queries if sessions > 1 else roots(log)
    return log.select(rows, accounts=[f"thief-{one}" for one in owner.tolist()])


def laws() -> list[ClickLaw]:
    """All laws under test: the measured one, then assumed ones as stress."""
    found = [MEASURED, ClickLaw(acceptance=0.0, restart=RESTART)]
    for c in ACCEPTANCES[1:]:
        found += [ClickLaw(acceptance=c, bias=eta, restart=RESTART) for eta in BIASES]
    return found


def scores_of(table: pl.DataFrame, detector: str, queries: int) -> np.ndarray:
    """Scores of the accounts of a table by one detector after so many queries."""
    own = table.filter((pl.col("detector") == detector) & (pl.col("queries") == queries))
    return own["score"].to_numpy()


def by_account(table: pl.DataFrame, detector: str) -> np.ndarray:
    """``(A, C)`` scores of each account at the checkpoints, NaN where not reached."""
    own = table.filter(pl.col("detector") == detector)
    wide = own.pivot("queries", index="account", values="score")
    columns = [
        wide[str(count)].cast(pl.Float64).fill_null(np.nan).to_numpy()
        if str(count) in wide.columns
        else np.full(len(wide), np.nan)
        for count in CHECKPOINTS
    ]
    return np.column_stack(columns)


def finite(value: float) -> float | None:
    """JSON has no infinity."""
    return float(value) if np.isfinite(value) else None


def published(table: pl.DataFrame) -> dict[str, dict[str, float]]:
    """SEAT's own rule: an account is cancelled after 50 similar queries; shares after 200."""
    found: dict[str, dict[str, float]] = {}
    tested = table.filter(pl.col("group") == "test")
    for label in ("seat", "seat-raw"):
        own = tested.filter((pl.col("detector") == label) & (pl.col("queries") == CHECKPOINTS[-1]))
        shares = own.group_by("truth", maintain_order=True).agg(
            (pl.col("score") * CHECKPOINTS[-1] >= 49.5).mean()
        )
        found[label] = dict(shares.iter_rows())
    return found


def measure(table: pl.DataFrame) -> dict[str, Any]:
    """Everything that follows from the account table."""
    calibrate = table.filter(pl.col("group") == "calibrate")
    tested = table.filter((pl.col("group") == "test") & (pl.col("truth") == "honest"))
    thieves = table.filter(pl.col("truth") != "honest")
    names = thieves["truth"].unique(maintain_order=True).to_list()
    used = tested["law"].unique(maintain_order=True).to_list()
    rows, false, needed, matrix = [], [], [], []
    draws = np.random.default_rng(0).random((50, 3000, 10))
    for detector in table["detector"].unique(maintain_order=True).to_list():
        limits = {
            (fpr, count): threshold_at(scores_of(calibrate, detector, count), fpr)
            for fpr in RATES
            for count in CHECKPOINTS
        }
        for (fpr, count), limit in limits.items():
            for law in used:
                honest = scores_of(tested.filter(pl.col("law") == law), detector, count)
                rate = true_positive_rate(honest, limit).to_json()
                facts = {"detector": detector, "fpr": fpr, "queries": count}
                false.append({**facts, "law": law, "flagged": rate})
            for name in names:
                own = scores_of(thieves.filter(pl.col("truth") == name), detector, count)
                if not len(own):  # so many repeats that none came so far
                    continue
                rate = true_positive_rate(own, limit).to_json()
                rows.append({**facts, "thief": name, "tpr": rate})
                if detector == COMBINED and count == 100:
                    honest = scores_of(tested, detector, count)
                    matrix.append({"thief": name, "fpr": fpr, **confusion(honest, own, limit)})
        for name in names:
            own = by_account(thieves.filter(pl.col("truth") == name), detector)
            at = np.array([limits[0.01, count] for count in CHECKPOINTS])
            when = queries_to_detection(own, at, np.array(CHECKPOINTS))
            found = accounts_needed(50_000, when, horizon=CHECKPOINTS[-1], draws=draws)
            needed.append(
                {
                    "detector": detector,
                    "thief": name,
                    "median_queries": finite(np.quantile(when, 0.5, method="higher")),
                    "never": float(np.isinf(when).mean()),
                    "accounts_for_50000_calls": [int(x) for x in np.quantile(found, [0.05, 0.5])],
                }
            )
    return {
        "tpr": rows,
        "honest_flagged": false,
        "detection": needed,
        "confusion": matrix,
        "seat_rule": published(table),
    }


def linked(fitted: Fitted, log: QueryLog) -> float:
    """Share of the accounts of a log that stand in its largest cluster."""
    names = list(dict.fromkeys(log.calls.account))
    cluster = fitted.linker.link(log, names)
    return float(np.bincount(cluster[cluster >= 0], minlength=1).max() / len(names))


def text(results: dict[str, Any]) -> str:
    """The tables that people read."""
    lines = [*results["head"], "", "TPR at account-level FPR 1 % (threshold from calibration)"]
    detectors = list(dict.fromkeys(row["detector"] for row in results["tpr"]))
    head = f"{'thief':<54}{'queries':>8}{'n':>6}" + "".join(f"{name:>15}" for name in detectors)
    for fpr in RATES:
        if fpr != RATES[0]:
            lines += ["", "TPR at account-level FPR 0.1 %"]
        lines.append(head)
        for name in dict.fromkeys(row["thief"] for row in results["tpr"]):
            for count in CHECKPOINTS:
                cells = {
                    row["detector"]: row["tpr"]
                    for row in results["tpr"]
                    if (row["thief"], row["queries"], row["fpr"]) == (name, count, fpr)
                }
                if cells:
                    shown = "".join(f"{cells[one]['value']:>15.3f}" for one in detectors)
                    n = cells[detectors[0]]["n"]
                    lines.append(f"{name:<54}{count:>8}{n:>6}{shown}")
    for fpr in RATES:
        lines += ["", f"Honest accounts flagged, nominal {100 * fpr:g} %, after 100 queries"]
        lines.append(f"{'law under test':<62}" + "".join(f"{name:>15}" for name in detectors))
        for law in dict.fromkeys(row["law"] for row in results["honest_flagged"]):
            cells = {
                row["detector"]: row["flagged"]
                for row in results["honest_flagged"]
                if (row["law"], row["queries"], row["fpr"]) == (law, 100, fpr)
            }
            shown = "".join(f"{cells[one]['value']:>15.3f}" for one in detectors)
            n = cells[detectors[0]]["n"]
            lines.append(f"{f'{law} (n={n})':<62}{shown}")
    lines += ["", "Intervals of the combination at FPR 1 %, 100 queries (95 %, Clopper-Pearson)"]
    for row in results["tpr"]:
        if (row["detector"], row["queries"], row["fpr"]) == (COMBINED, 100, 0.01):
            rate = row["tpr"]
            span = f"{rate['value']:.3f} [{rate['low']:.3f}, {rate['high']:.3f}] n={rate['n']}"
            lines.append(f"  {row['thief']:<54}{span}")
    lines += ["", "Combination at FPR 1 %: queries to detection, accounts for 50,000 calls"]
    for row in results["detection"]:
        if row["detector"] == COMBINED:
            low, middle = row["accounts_for_50000_calls"]
            lines.append(
                f"  {row['thief']:<54}median {row['median_queries'] or float('inf'):.0f}, "
                f"never {row['never']:.3f},"
                f" accounts {middle} (5 % quantile {low})"
            )
    lines += ["", "SEAT as published, cancelled after 50 similar queries: share after 200 queries"]
    for label, shares in results["seat_rule"].items():
        lines += [f"  {label:<10}{name:<54}{share:.3f}" for name, share in shares.items()]
    lines += ["", "Sybil links: share of accounts in the largest cluster"]
    lines += [f"  {name:<54}{share:.3f}" for name, share in results["linked"].items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure part by part, then write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", default="ml-1m")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--users", type=int, default=1000, help="honest users in a group, at most")
    parser.add_argument("--tested", type=int, default=200, help="test users under each law")
    parser.add_argument("--accounts", type=int, default=200, help="accounts of each thief")
    parser.add_argument("--name", default="ml1m_detection", help="of the files in results/")
    chosen = parser.parse_args()
    began = time.perf_counter()
    data = load(chosen.data)
    sequences, split = data.sequences(), data.split()
    model = load_model(chosen.model)
    target, streams = LocalTarget(model), Streams(0).child("detection")
    config = FitConfig(detectors=DETECTORS, users=chosen.users, queries=CHECKPOINTS[-1])
    folder = chosen.out / "detectors"

    def fitting() -> pl.DataFrame:
        fitted, table, _ = fit_detectors(model, sequences, config, streams=streams)
        fitted.save(folder)
        return table

    parts = [keep(chosen.out / "honest-fitted.parquet", fitting)]
    fitted = Fitted.load(folder)
    groups = split_users(sequences, streams, least=100, most=chosen.users)
    shares: dict[str, float] = {}

    def replayed(law: ClickLaw) -> None:
        """Test users under one law."""
        log_path = chosen.out / "logs" / f"{law.label}.parquet"
        if not log_path.exists():
            log = honest_log(
                target,
                sequences,
                groups.test if law.label == FULL else groups.test[: chosen.tested],
                law,
                queries=CHECKPOINTS[-1],
                k=10,
                rng=streams.child("test").numpy(law.label),
            )
            write_log(log_path, log)
        log = read_log(log_path, model.catalog)
        facts = {"group": "test", "law": law.label, "truth": "honest"}
        path = chosen.out / "tables" / f"{law.label}.parquet"
        parts.append(keep(path, lambda: account_table(fitted.watch(), log, CHECKPOINTS, facts)))
        if law.label == FULL:
            shares[f"honest users, {FULL}"] = linked(fitted, log)
        print(f"{law.label}: {time.perf_counter() - began:.0f} s", flush=True)

    def stolen(name: str, form: str) -> None:
        """Accounts of one thief."""
        label = f"{name}; {form}"
        log = thief_log(
            target,
            chosen.out / "transcripts" / label,
            name,
            form,
            split,
            accounts=chosen.accounts if form in FORMS else chosen.accounts // 2,
        )
        facts = {"group": "test", "law": "", "truth": label}
        path = chosen.out / "tables" / f"{label}.parquet"
        parts.append(keep(path, lambda: account_table(fitted.watch(), log, CHECKPOINTS, facts)))
        shares[label] = linked(fitted, log)
        print(f"{label}: {time.perf_counter() - began:.0f} s", flush=True)

    def finish() -> None:
        """Results of what was measured so far."""
        table = pl.concat(parts, how="diagonal")
        table.write_parquet(chosen.out / "accounts.parquet")
        users = {name: len(part) for name, part in vars(groups).items()}
        head = [
            f"{chosen.data}, {model.name}, k=10; order only, no clock times; honest traffic is "
            "replay",
            f"tested under the click law of the trivago sample, {FULL}",
            f"fitted: {', '.join(fitted.protocol['laws'])} (restarts {fitted.protocol['restart']})",
            f"users: fit {users['fit']}, calibrate {users['calibrate']}, test {users['test']} (of "
            f"these {chosen.tested} under each law, all under {FULL})",
            f"thieves: {chosen.accounts} accounts each, {chosen.accounts // 2} of those cut in the "
            "order of asking; all accounts at equal numbers of queries",
            "the recommender was trained on these users too (all but their last two items)",
            f"recsec {__version__}, numpy {np.__version__}, {platform.machine()}, "
            f"{os.cpu_count()} cores",
        ]
        results = {"head": head, "linked": shares, **measure(table)}
        path = Path(__file__).parent / "results" / chosen.name
        path.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
        path.with_suffix(".txt").write_text(text(results))
        print(text(results), flush=True)

    replayed(next(law for law in laws() if law.label == FULL))
    for form in reversed(FORMS):
        for name in SESSIONS:
            stolen(name, form)
    finish()
    for name in AS_ASKED:
        stolen(name, "as it asks")
    for law in laws():
        if law.label != FULL:
            replayed(law)
    finish()


if __name__ == "__main__":
    main()
