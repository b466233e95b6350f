"""A made-up evasion part of a report for tests: the numbers are invented and mean nothing."""

from __future__ import annotations

import math
from typing import Any

from report_example import HOSTILE, example_report

from recsec.metrics import SUCCESS_AT
from recsec.reports import (
    BaseRate,
    CatalogMap,
    Distances,
    Evasion,
    EvasionProtocol,
    EvasionRow,
    ExampleItem,
    Frame,
    Journey,
    Metric,
    Neighbor,
    PhotoSummary,
    Place,
    Quantiles,
    Report,
    SanityCheck,
    ThreatModel,
    Verdict,
    VisualModel,
    WorstCase,
    published_evasion,
)
from recsec.stats import wilson

MODELS = {"undefended": 1.0, "hardened 2": 0.04}
ATTACKS = {"fgsm": 0.05, "pgd-32": 0.8, "mi": 0.93, "apgd-400 restarts=5": 0.97}
BUDGETS = (0.01, 0.02, 0.03, 0.05, 0.1, 0.3)


def rates(level: float, n: int) -> dict[str, Metric]:
    """success@r that rises with r."""
    return {
        f"success@{r}": Metric.of(wilson(round(n * min(1.0, level * (1 + 0.1 * i))), n))
        for i, r in enumerate(SUCCESS_AT)
    }


def quality(value: float) -> dict[str, Metric]:
    names = ("precision@1", "precision@5", "precision@10", "map@r", "accuracy", "accuracy@5")
    return {
        name: Metric(
            value=value - i / 50, low=value - i / 50 - 0.01, high=value - i / 50 + 0.01, n=900
        )
        for i, name in enumerate(names)
    }


def level(model: str, attack: str, eps: float) -> float:
    return MODELS[model] * ATTACKS[attack] * (1 - math.exp(-eps / 0.02))


def row(model: str, attack: str, eps: float) -> EvasionRow:
    n = 1000 if eps in (0.03, 0.05) else 200
    bad = (model, attack, eps) == ("hardened 2", "pgd-32", 0.3)
    return EvasionRow(
        id=f"{model}-{attack}-e{eps:g}",
        model=model,
        attack=attack,
        access="gradients",
        eps=eps,
        effective_eps=math.floor(255 * eps) / 255,
        survivors=attack.startswith("apgd"),
        status="error" if bad else "ok",
        error="TargetError: the embedder gives values that are not finite" if bad else None,
        pairs=0 if bad else n,
        missing=n if bad else 0,
        success={} if bad else rates(level(model, attack, eps), n),
        outside=3 if attack == "fgsm" else 0,
        linf=None if bad else math.floor(255 * eps) / 255,
        rank=None if bad else 4.5,
        cosine_before=0.1,
        cosine_after=0.9,
        psnr=31.27,
        ssim=0.913,
        forwards=32.25,
        backwards=31.25,
        queries=0.0,
        dead=0.0,
    )


def journey(model: str) -> Journey:
    item = ExampleItem(id=15970, title="Blue checked shirt")
    target = ExampleItem(id=2133, title=HOSTILE)
    others = [
        Neighbor(
            item=ExampleItem(id=i, title=f"Red bag {i}"), cosine=0.9 - i / 100, attacker=i == 2
        )
        for i in range(5)
    ]
    frames = [
        Frame(eps=eps, rank=1 + int(900 * (0.3 - eps)), cosine=0.2 + eps, picture="pictures/a.png")
        for eps in (0.0, *BUDGETS)
    ]
    return Journey(
        model=model,
        attack="mi",
        item=item,
        target=target,
        eps=0.05,
        frames=tuple(frames),
        before=tuple(others),
        after=tuple(others[::-1]),
    )


def example_evasion(**changes: Any) -> Evasion:
    """A part with everything in it: a failed row, a hostile title, published numbers, a picture."""
    rows = tuple(row(m, a, eps) for m in MODELS for a in ATTACKS for eps in BUDGETS)
    worst = tuple(
        WorstCase(
            model=model,
            eps=eps,
            effective_eps=math.floor(255 * eps) / 255,
            pairs=200,
            success=rates(level(model, "apgd-400 restarts=5", eps), 200),
            attacks=dict.fromkeys(ATTACKS, 50),
        )
        for model in MODELS
        for eps in BUDGETS
    )
    base = [
        BaseRate(model=model, kind=kind, eps=eps, success=rates(0.005, 200))
        for model in MODELS
        for kind, eps in (("clean", 0.0), *(("noise", eps) for eps in BUDGETS))
    ]
    edges = tuple(round(i / 10, 6) for i in range(11))
    values: dict[str, Any] = {
        "data": PhotoSummary(
            name="fashion",
            photos=9210,
            categories=39,
            held_out=1800,
            fingerprint="ab" * 32,
            synthetic=False,
            notes=("Left out: 122 exact duplicates.",),
        ),
        "protocol": EvasionProtocol(statement="PNG, exact rank.", pairs=1000, size=64),
        "threat_model": ThreatModel(
            goal="Into a list.", knowledge="All.", access="Gradients.", budget="eps 0.01 to 0.3."
        ),
        "models": tuple(
            VisualModel(
                name=model,
                spec=f"runs/{model}",
                hardening=None if model == "undefended" else "trades-embedding",
                fingerprint="cd" * 32,
                quality=quality(0.86 - 0.03 * at),
                price={} if at == 0 else {"precision@10": quality(-0.022)["precision@1"]},
            )
            for at, model in enumerate(MODELS)
        ),
        "rows": rows,
        "worst": worst,
        "base": tuple(base),
        "checks": tuple(
            SanityCheck(model=model, check=check, title=check, status=status, evidence="0 of 9.")
            for model in MODELS
            for check, status in (
                ("monotone", "passed"),
                ("whole-range", "failed"),
                ("plateau", "not tried"),
            )
        ),
        "quantiles": tuple(
            Quantiles(
                model=model,
                eps=0.05,
                before=tuple(i / 25 for i in range(21)),
                after=tuple(0.2 + i / 25 for i in range(21)),
            )
            for model in MODELS
        ),
        "distances": tuple(
            Distances(model=model, edges=edges, nearest=(0.1,) * 10, targets=(0.1,) * 10)
            for model in MODELS
        ),
        "journeys": tuple(journey(model) for model in MODELS),
        "map": CatalogMap(
            model="undefended",
            photos=350,
            picture="pictures/map.png",
            path=(Place(x=0.1, y=0.2), Place(x=0.5, y=0.6)),
            target=Place(x=0.6, y=0.7),
        ),
        "published": published_evasion(),
        "verdict": Verdict(
            level="high", passed=False, rule="At least 0.1.", statement="99.5 % get in.", row=3
        ),
    }
    return Evasion(**{**values, **changes})


def example_audit(**changes: Any) -> Report:
    """A report with both threats."""
    return example_report(**changes).model_copy(update={"evasion": example_evasion()})
