"""The evasion part of ``report.json``: the same files of the run give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch.nn import functional as F  # noqa: N812

from recsec.audit.evasion.evidence.checks import sanity_checks
from recsec.audit.evasion.evidence.findings import evasion_findings, evasion_threat
from recsec.audit.evasion.evidence.rows import (
    Measured,
    base_rates,
    evasion_row,
    quantiles,
    worst_cases,
)
from recsec.audit.evasion.gate import judge_evasion, judged_model
from recsec.audit.evasion.plan import ModelPlan, VisualPlan
from recsec.audit.evasion.scene import Catalog, features_file, quality_file, read_features
from recsec.audit.evasion.tasks import AboutModel, AboutSearch, Drawn
from recsec.audit.threat import Found
from recsec.evaluation import Retrieval
from recsec.models import ExactIndex
from recsec.reports import (
    BaseRate,
    CatalogMap,
    Distances,
    Evasion,
    EvasionGate,
    EvasionProtocol,
    Journey,
    Metric,
    Metrics,
    PhotoSummary,
    VisualModel,
    published_evasion,
)
from recsec.rng import Streams
from recsec.runs import REDO, read_table
from recsec.stats import mean_estimate
from recsec.targets.visual import is_source

__all__ = ["Looks", "evasion_part"]

BINS = 25
PRICED = ("precision@1", "precision@5", "precision@10", "map@r", "accuracy")


@dataclass(frozen=True)
class Looks:
    """What was made to be looked at; empty where it could not be made."""

    journeys: tuple[Journey, ...] = ()
    map: CatalogMap | None = None


def evasion_part(
    plan: VisualPlan,
    catalog: Catalog,
    run: Path,
    ids: Mapping[str, str],
    facts: Mapping[str, AboutModel | AboutSearch],
    pairs: Drawn,
    measured: Sequence[Measured],
    looks: Looks,
    policy: EvasionGate,
) -> Found:
    """Everything that was found about evasion.

    Args:
        plan: the table of the plan.
        catalog: the photos.
        run: the run directory.
        ids: model -> its name in files.
        facts: model -> result of ``measure_model``, or of ``check_shop``.
        pairs: result of ``draw_pairs``.
        measured: all cells.
        looks: pictures.
        policy: thresholds.
    """
    names = [model.name for model in plan.models]
    models = _models(plan, run, ids, facts)
    rows = tuple(evasion_row(found) for found in measured if found.cell.counts)
    worst = worst_cases(measured, names)
    base = base_rates(measured, names)
    checks = sanity_checks(measured, names, eps=policy.evasion.eps)
    judged = judged_model(policy.evasion, models)
    missing = sum(found.planned - len(found.table) for found in measured)
    mine = sum(f.planned - len(f.table) for f in measured if f.cell.model == judged)
    verdict = judge_evasion(
        worst,
        policy,
        judged,
        missing=mine,
        clean=_clean(base, judged, policy.evasion.metric),
        checks=checks,
    )
    size = facts[names[0]].size
    eps = max((row.eps for row in worst if row.eps <= policy.evasion.eps), default=0.0)
    part = Evasion(
        data=_data(catalog),
        protocol=EvasionProtocol(
            statement=_statement(plan, list(facts.values())),
            pairs=len(pairs.attackers),
            size=size,
        ),
        threat_model=evasion_threat(rows, _policy(plan), size),
        models=models,
        rows=rows,
        worst=worst,
        base=base,
        checks=checks,
        quantiles=quantiles(measured, names, eps),
        distances=tuple(
            _distances(catalog, run, ids[name], name, pairs, plan)
            for name in names
            if isinstance(facts[name], AboutModel)
        ),
        journeys=looks.journeys,
        map=looks.map,
        published=() if catalog.photos.synthetic else published_evasion(),
        verdict=verdict,
    )
    found = evasion_findings(
        verdict, policy.evasion, judged, models, rows, worst, checks, missing=missing
    )
    return Found(part, found)


def _policy(plan: VisualPlan) -> str:
    words = {
        "cross-category": "items of different categories, drawn at random",
        "same-category": "items of one category, drawn at random",
        "popular-target": "a random item and a popular one of another category",
    }
    return words.get(plan.policy, f"of the file {Path(plan.policy).name}")


def _statement(plan: VisualPlan, facts: Sequence[AboutModel | AboutSearch]) -> str:
    told = []
    encoders = [one for one in facts if isinstance(one, AboutModel)]
    shops = [one for one in facts if isinstance(one, AboutSearch)]
    if encoders:
        told.append(
            "An attack succeeds only after this: its change is cut to eps, the photo is rounded to "
            "8 bits within eps, saved as PNG, decoded, embedded again, and ranked exactly among "
            "the whole catalog; the target item and the unchanged photo do not count; of equal "
            "cosines the attacker's is ranked last."
        )
    if shops:
        whose = (
            "the item in the list of the target, read after it was listed anew"
            if shops[0].surface == "relist"
            else "the target in the answer to the photo"
        )
        told.append(
            "A visual search judges itself: the change is cut to eps, the photo rounded to 8 bits "
            f"within eps and uploaded as PNG, and success is the place of {whose}, of "
            f"{shops[0].k} that are listed, the list's own item left out; what is not listed is no "
            "success, and stands as the rank after the last."
        )
    told.append(
        f"Pairs of held-out photos ({plan.split}): {_policy(plan)}, the same for every model and "
        "attack; an attack stops a pair at rank 1. Intervals: Wilson over pairs."
    )
    told += [f"Quality: {encoders[0].protocol}."] if encoders else []
    return " ".join(told)


def _models(
    plan: VisualPlan,
    run: Path,
    ids: Mapping[str, str],
    facts: Mapping[str, AboutModel | AboutSearch],
) -> tuple[VisualModel, ...]:
    tables = {
        name: read_table(run / quality_file(ids[name]), hint=REDO)
        for name, fact in facts.items()
        if isinstance(fact, AboutModel)
    }
    first = tables.get(plan.models[0].name)
    found = []
    for model in plan.models:
        fact = facts[model.name]
        if isinstance(fact, AboutSearch):
            found.append(_shop(fact, model.name))
            continue
        table = tables[model.name]
        estimates = Retrieval(
            {name: table[name].to_numpy() for name in table.columns},
            fact.hubness,
            fact.catalog,
            fact.protocol,
        ).estimates(Streams(plan.seed).numpy("quality"))
        found.append(
            VisualModel(
                name=model.name,
                spec=_spec(plan, model),
                hardening=model.harden or _hardened(model),
                description=(
                    f"{fact.backbone} network, {_counted(fact.weights)}, {fact.size} px, "
                    f"embeddings of {fact.width} numbers"
                ),
                fingerprint=fact.fingerprint,
                quality={name: Metric.of(value) for name, value in estimates.items()},
                price={} if first is None or table is first else _price(table, first, plan.seed),
            )
        )
    return tuple(found)


def _shop(fact: AboutSearch, name: str) -> VisualModel:
    """A visual search as a model; what its lists are worth is not asked."""
    what = "photos are listed anew" if fact.surface == "relist" else "photos are asked about"
    return VisualModel(
        name=name,
        spec=fact.name,
        description=(
            f"visual search, {fact.k} ids a list, {fact.size} px, {what}. Before the attacks: "
            f"{fact.seen}"
        ),
        quality={},
    )


def _counted(weights: int | None) -> str:
    return "weights that cannot be seen" if weights is None else f"{weights:,} weights"


def _spec(plan: VisualPlan, model: ModelPlan) -> str:
    if model.model is not None:
        return model.model
    if model.train is not None:
        return f"trained by this audit ({model.train})"
    return f"hardened by this audit ({model.harden}, from {plan.base_of(model)})"


def _hardened(model: ModelPlan) -> str | None:
    """The method that a checkpoint says it was hardened with."""
    from recsec.models import read_config

    if model.model is None or is_source(model.model):
        return None
    told = read_config(Path(model.model).expanduser()).get("hardening")
    return str(told["method"]) if isinstance(told, dict) and "method" in told else None


def _price(table: pl.DataFrame, first: pl.DataFrame, seed: int) -> Metrics:
    """Quality minus that of the first model, paired over queries."""
    rng = Streams(seed).numpy("price")
    return {
        name: Metric.of(mean_estimate(table[name].to_numpy() - first[name].to_numpy(), rng))
        for name in PRICED
        if name in table.columns and name in first.columns
    }


def _clean(base: Sequence[BaseRate], model: str, metric: str) -> Metric | None:
    for rate in base:
        if rate.model == model and rate.kind == "clean":
            return rate.success.get(metric)
    return None


def _data(catalog: Catalog) -> PhotoSummary:
    photos, report = catalog.photos, catalog.photos.report
    notes = [f"Photos become squares by the rule {photos.rule}."]
    for count, what in (
        (report.exact, "exact duplicates"),
        (report.near, "near duplicates"),
        (report.broken, "broken files"),
        (report.huge, "files that are too large"),
        (report.unlabeled, "photos without a label or labels without a photo"),
    ):
        if count:
            notes.append(f"Left out: {count:,} {what}.")
    outside = len(photos) - len(catalog.rows)
    if outside:
        notes.append(f"Left out: {outside:,} photos of categories with too few photos.")
    if photos.license:
        notes.append(photos.license)
    return PhotoSummary(
        name=photos.name,
        photos=len(catalog.rows),
        categories=len(catalog.split.categories),
        held_out=len(catalog.split.test),
        fingerprint=photos.fingerprint,
        synthetic=photos.synthetic,
        notes=tuple(notes),
    )


def _distances(
    catalog: Catalog, run: Path, name: str, model: str, pairs: Drawn, plan: VisualPlan
) -> Distances:
    """Histograms of 1 - cosine: to the nearest neighbor, and to the target of the pair."""
    vectors = F.normalize(read_features(run / features_file(name)), dim=1)
    held = torch.from_numpy(catalog.held_out(plan.split))
    _, cosines = ExactIndex(vectors).neighbors(vectors[held], 1, exclude=held)
    attackers, targets = torch.tensor(pairs.attackers), torch.tensor(pairs.targets)
    goal = 1 - (vectors[attackers] * vectors[targets]).sum(dim=1)
    near = 1 - cosines[:, 0]
    top = max(float(goal.max()), float(near.max()), 0.1)
    edges = np.linspace(0.0, round(top + 0.05, 1), BINS + 1)
    return Distances(
        model=model,
        edges=tuple(round(float(edge), 6) for edge in edges),
        nearest=_shares(near, edges),
        targets=_shares(goal, edges),
    )


def _shares(values: torch.Tensor, edges: np.ndarray) -> tuple[float, ...]:
    counts, _ = np.histogram(values.clamp(min=0).numpy(), bins=edges)
    return tuple((counts / max(1, counts.sum())).tolist())
