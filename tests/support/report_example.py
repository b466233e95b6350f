"""A made-up report for tests: the numbers are invented and mean nothing."""

from __future__ import annotations

from typing import Any

from recsec.reports import (
    Cell,
    Cost,
    DataSummary,
    Defense,
    Example,
    ExampleItem,
    Extraction,
    Finding,
    Floor,
    Metric,
    Protocol,
    Report,
    Reproduce,
    Row,
    TargetSummary,
    ThreatModel,
    Twin,
    Verdict,
    policy_class,
    published_numbers,
    report_class,
)

HOSTILE = "<script>document.title='owned'</script>\" onload=\"x' $\\frac$ \u202eevil {{ 7*7 }}"

CALLS = (10_000, 50_000, 200_000, 1_000_000)
AGREEMENT = {
    "random": (0.113, 0.236, 0.331, 0.452),
    "autoregressive": (0.121, 0.255, 0.402, 0.561),
    "mixed": (0.187, 0.412, 0.583, 0.703),
}


def metric(value: float, spread: float = 0.011, n: int = 6040) -> Metric:
    return Metric(value=round(value, 6), low=round(value - spread, 6), high=value + spread, n=n)


def fidelity(agreement: float, floor: float = 0.041, n: int = 6040) -> dict[str, Metric]:
    found = {
        "agr@1": metric(agreement * 0.61, n=n),
        "agr@5": metric(agreement * 0.93, n=n),
        "agr@10": metric(agreement, n=n),
        "agr@20": metric(agreement * 1.04, n=n),
        "rbo": metric(agreement * 0.82, n=n),
        "tau": metric(agreement * 0.57, n=n),
        "hr@10": metric(0.04 + agreement * 0.33, n=n),
        "ndcg@10": metric(0.02 + agreement * 0.19, n=n),
    }
    if agreement != floor:
        found["lift"] = metric((agreement - floor) / (1 - floor), n=n)
        found["hr_ratio"] = metric(0.1 + agreement * 1.08, n=n)
    return found


def items(*titles: str) -> tuple[ExampleItem, ...]:
    return tuple(ExampleItem(id=sum(map(ord, title)), title=title) for title in titles)


def example_report(**changes: Any) -> Report:
    """A large report with everything in it: failures, hostile titles, published numbers.

    Changes go to the extraction part where it has such a field, the verdict to both.
    """
    cells, rows = [], []
    for k in (10, 100):
        for policy, levels in AGREEMENT.items():
            for calls, level in zip(CALLS, levels, strict=True):
                agreement = level * (0.92 if k == 100 else 1.0)
                seeds = (1,) if calls == 1_000_000 else (1, 2, 3)
                bad = policy == "random" and calls == 200_000 and k == 100
                for seed in seeds:
                    cells.append(
                        Cell(
                            id=f"{policy}-k{k}-{calls}-seed{seed}",
                            policy=policy,
                            k=k,
                            calls=calls,
                            surrogate="sasrec",
                            loss="cross-entropy",
                            seed=seed,
                            status="error" if bad and seed == 3 else "ok",
                            error="TargetError: 503 from the target, 5 times" if bad else None,
                            metrics={} if bad and seed == 3 else fidelity(agreement),
                        )
                    )
                rows.append(
                    Row(
                        policy=policy,
                        k=k,
                        calls=calls,
                        surrogate="sasrec",
                        loss="cross-entropy",
                        seeds=seeds[:2] if bad else seeds,
                        missing=int(bad),
                        metrics=fidelity(agreement),
                    )
                )
    films = ("Toy Story (1995)", "Heat (1995)", "Se7en (1995)", "Léon (1994)", "Alien (1979)")
    others = ("Fargo (1996)", "Brazil (1985)", HOSTILE, "Gattaca (1997)", "Dark City (1998)")
    values: dict[str, Any] = {
        "title": "Extraction audit of sasrec on ml-1m",
        "synthetic": False,
        "target": TargetSummary(
            name="sasrec",
            spec="models/sasrec-ml1m",
            access="ids",
            k_values=(10, 100),
            description="SASRec, no guards, on this machine.",
            fingerprint="9f" * 32,
        ),
        "data": DataSummary(
            name="ml-1m",
            users=6040,
            items=3416,
            interactions=999_611,
            fingerprint="ab" * 32,
            synthetic=False,
            notes=("Timestamps are order only.", "Research use, no redistribution."),
        ),
        "protocol": Protocol(
            statement="Leave-one-out, full-catalog ranking, items of the history excluded.",
            users=6040,
            candidates=3416,
        ),
        "threat_model": ThreatModel(
            goal="A surrogate that answers like the target.",
            knowledge="Item ids and titles; no user's history.",
            access="Top-k lists of ids, no scores.",
            budget="Up to 1,000,000 calls from one account.",
            not_assumed=("Scores, gradients or leaked histories.", "Many accounts."),
        ),
        "target_quality": {"hr@10": metric(0.312), "ndcg@10": metric(0.181)},
        "floor": Floor(
            name="popularity",
            description="A thief without data who knows what is popular: more than he knows.",
            metrics=fidelity(0.041),
        ),
        "twin": Twin(metrics=fidelity(0.688), seeds=(101, 102), reason=""),
        "cells": tuple(cells),
        "rows": tuple(rows),
        "examples": (
            Example(
                cell="mixed-k10-1000000-seed1",
                history=items("Blade Runner (1982)", HOSTILE, "Stalker (1979)"),
                history_length=143,
                target=items(*films, "Akira (1988)"),
                surrogate=items(films[1], *others, films[0]),
                shared=2,
            ),
        ),
        "cost": tuple(
            Cost(calls=calls, rate=10.0, hours=calls / 10 / 3600, accounts=1) for calls in CALLS
        ),
        "published": published_numbers("ml-1m"),
        "policy": policy_class()(moderate=0.2, high=0.5),
        "verdict": Verdict(
            level="high",
            passed=False,
            rule="Level high if the lower bound of lift reaches 0.5 in any row; the gate fails at "
            "high.",
            statement="With 1,000,000 calls and lists of 10 a surrogate gives 0.703 of the "
            "target's top 10: as close as an independent model trained on all data.",
            row=11,
        ),
        "findings": (
            Finding(
                id="extraction-copyable",
                title="The recommender can be copied through its API",
                severity="high",
                evidence="Lift 0.690 [0.679, 0.701] with 1,000,000 calls.",
                advice="Limit calls per account and watch for histories that no user would have.",
            ),
            Finding(
                id="extraction-exploration",
                title="A share of random items makes the attack stronger",
                severity="info",
                evidence="Mixed is ahead of autoregressive at every budget.",
            ),
        ),
        "reproduce": Reproduce(
            command="recsec audit examples/extract-ml1m.toml --out runs/ml1m",
            seeds=(1, 2, 3),
            threads=2,
            versions={"recsec": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "numpy": "2.3.1"},
            plan_digest="cd" * 32,
        ),
    }
    wanted = {**values, **changes}
    part = {name: value for name, value in wanted.items() if name in Extraction.model_fields}
    whole = {name: value for name, value in wanted.items() if name in report_class().model_fields}
    return report_class()(**{"extraction": Extraction(**part), **whole})


DEFENDED = {"watermark 0.3": (0.31, 0.4), "gro": (0.21, 0.33), HOSTILE: (0.4, 0.4)}
"""Agr@10 of the plain and of the adaptive thief."""


def defended_report(**changes: Any) -> Report:
    """The example with two thieves and three defenses, one of which was not measured."""
    part = example_report().extraction
    assert part is not None
    bare = [part.rows[0], part.rows[0].model_copy(update={"policy": "mixed +set-only"})]
    bare[1] = bare[1].model_copy(update={"adaptive": ("set-only",)})
    rows = list(bare)
    defenses = [
        Defense(
            name="undefended",
            quality={"hr@10": metric(0.27), "utility": Metric(value=1, low=1, high=1, n=6040)},
            thieves=2,
            plain=0,
            adaptive=1,
            best=0,
            frontier=True,
        )
    ]
    for name, levels in DEFENDED.items():
        at = len(rows)
        for row, level in zip(bare, levels, strict=True):
            served = {"served_agr@10": metric(level + 0.07), "lift_taken": metric(0.3 - level / 2)}
            metrics = fidelity(level) | served
            rows.append(row.model_copy(update={"defense": name, "metrics": metrics}))
        bad = name == HOSTILE
        quality = {
            "hr@10": metric(0.26),
            "ndcg@10": metric(0.14),
            "overlap@10": metric(0.91),
            "utility": metric(1 - level / 10),
        }
        defenses.append(
            Defense(
                name=name,
                guards=(f"watermark:bias=0.3,key={name}",),
                model="runs/gro 2",
                quality={} if bad else quality,
                thieves=2,
                plain=at,
                adaptive=at + 1,
                best=at + 1,
                frontier=not bad,
                error="TargetError: 17 lists" if bad else None,
            )
        )
    verdict = example_report().verdict.model_copy(update={"row": 0})
    values = {"rows": tuple(rows), "defenses": tuple(defenses), "verdict": verdict}
    return example_report(**{**values, **changes})


def history(epochs: int = 25, *, train: bool = True) -> list[dict[str, Any]]:
    """A made-up training history whose validation metric peaks before its end."""
    found = []
    for epoch in range(1, epochs + 1):
        valid = 0.19 * (1 - 2 ** (-epoch / 3)) - 0.0008 * max(0, epoch - 15)
        entry: dict[str, Any] = {
            "epoch": epoch,
            "loss": 4.9 + 3.1 * 2 ** (-epoch / 4),
            "valid": {"ndcg@10": valid, "hr@10": valid * 1.72},
            "lr": 0.002 * (1 - epoch / (epochs + 1)),
        }
        if train:
            entry["train_ndcg@10"] = valid + 0.004 * epoch
        found.append(entry)
    return found
