"""Evasion from Python: change photos so that items move into the lists of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsec.errors import UsageError
from recsec.library.photos import encoder_source, open_split, place_encoder
from recsec.library.results import Estimates, to_pandas
from recsec.sources import needs
from recsec.types import ItemId

if TYPE_CHECKING:
    import pandas
    import polars as pl

    from recsec.attacks.evasion import Control, EvasionAttack, Pairs
    from recsec.data import Dialect, PhotoSplit
    from recsec.models import ExactIndex
    from recsec.targets.visual import EncoderSource
    from recsec.types import Progress

__all__ = [
    "NATIVE",
    "Evaded",
    "evade",
    "evade_pairs",
    "fitting",
    "judged",
]

NATIVE = 224
"""Side of a photo as shops store it; resized inside the gradient."""


@dataclass(frozen=True, eq=False, repr=False)
class Evaded:
    """What an attack on pairs did.

    Attributes:
        path: the run directory; ``images/`` holds the changed photos.
        pairs: one row per pair and budget: ids, ranks and cosines before and after, distances.
        result: ``result.json``: success rates with intervals, by budget where there are several.
        controls: of each budget, what the plain reference attack reached where the attack failed.
        notes: what a reader of the numbers must know.
    """

    path: Path
    pairs: pl.DataFrame
    result: Mapping[str, Any]
    controls: tuple[Control, ...]
    notes: tuple[str, ...]

    @property
    def synthetic(self) -> bool:
        """Whether the photos were made up."""
        return bool(self.result["synthetic"])

    def success(self, eps: float | None = None) -> Estimates:
        """``success@r`` of one budget, the only one if ``eps`` is None.

        Raises:
            UsageError: no such budget was tried, or there are several.
        """
        from recsec.metrics import SUCCESS_AT
        from recsec.stats import Estimate

        found = self.result.get("budgets", [self.result])
        fitting = [one for one in found if eps is None or one["eps"] == eps]
        if len(fitting) != 1:
            tried = ", ".join(f"{one['eps']:g}" for one in found)
            raise UsageError("which budget?", hint=f"eps is one of {tried}")
        values = {f"success@{r}": Estimate(**fitting[0][f"success@{r}"]) for r in SUCCESS_AT}
        return Estimates(values, protocol=str(self.result["protocol"]))

    def to_pandas(self) -> pandas.DataFrame:
        """The pairs for pandas."""
        return to_pandas(self.pairs)

    def __repr__(self) -> str:
        return f"Evaded({self.result['pairs']} pairs, {self.result['attack']}, {self.path})"

    def _repr_html_(self) -> str:
        table: Any = self.pairs
        return str(table._repr_html_())


def evade(
    model: str,
    data: str,
    out: Path | str,
    *,
    attack: str = "auto",
    eps: float | Sequence[float] = 0.03,
    pairs: str | Sequence[tuple[ItemId, ItemId]] = "cross-category",
    n: int = 100,
    goal: str | None = None,
    stop_rank: int = 1,
    min_eps: bool = False,
    ingest: str = "png",
    stage: str = "test",
    pixels: str = "model",
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Evaded:
    """Attack a visual recommender through the pixels of photos; see ``recsec evade``.

    Args:
        model: an encoder, as ``--model`` takes it.
        data: the name of photos, as ``--data`` takes it.
        out: the run directory; the same work resumes.
        attack: ``recsec list attacks``.
        eps: budget, a share of the pixel range; or several.
        pairs: a way to sample, a CSV file with ``item,target``, or pairs of item ids: whose photo
            is changed, and whose list it is to enter.
        n: how many pairs to sample.
        goal: ``cosine``, ``features``, ``demotion``, ``lists`` or ``query``.
        stop_rank: a pair that reaches this rank is done.
        min_eps: also bisect for the smallest budget of each pair.
        ingest: what the shop does to the upload: ``png`` or ``jpeg:Q``.
        stage: photos that pairs come from: ``test`` or ``valid``.
        pixels: ``model`` or ``native``.
        settings: of the attack.
        seed: of all random streams.
        device: where the encoder runs.
        progress: is told how it goes.

    Raises:
        UsageError, ConfigError: an option does not fit.
        CheckpointError, DataError: the encoder or the photos are missing or broken.
    """
    from recsec.attacks.evasion import GOALS, open_attack, open_ingest

    if goal not in (None, *GOALS):
        raise UsageError(f"goal {goal!r}: expected {', '.join(GOALS)}")
    tool = open_attack(attack, dict(settings or {}))
    budgets = sorted({eps} if isinstance(eps, int | float) else set(eps))
    named = pairs if isinstance(pairs, str) else [[a, t] for a, t in pairs]
    plan: dict[str, Any] = {
        "model": model, "data": data, "attack": tool.name,
        "settings": tool.config.model_dump(mode="json"), "eps": budgets, "pairs": named, "n": n,
        "stage": stage, "pixels": pixels, "stop_rank": stop_rank, "seed": seed, "goal": goal,
        "project": True, "min_eps": min_eps, "ingest": ingest,
    }  # fmt: skip
    options = {"goal": goal, "project": True, "ingest": open_ingest(ingest)}
    return evade_pairs(tool, plan, Path(out), device=device, options=options, progress=progress)


def evade_pairs(
    tool: EvasionAttack,
    plan: dict[str, Any],
    out: Path,
    *,
    device: str,
    options: dict[str, Any],
    dialect: Dialect | None = None,
    progress: Progress | None = None,
) -> Evaded:
    """Attack pairs of photos as a plan says.

    Raises:
        UsageError: the pairs are neither a policy nor a file.
        DataError: too few photos, or an unknown id.
    """
    import numpy as np
    from torch.nn import functional as F  # noqa: N812

    from recsec.attacks.evasion import (
        Transfer,
        catalog_scene,
        control_run,
        has_control,
        knowledge,
        run_pairs,
    )
    from recsec.models import ExactIndex, encoder_fingerprint
    from recsec.rng import Streams
    from recsec.runs import RunDirectory

    source = encoder_source(plan["model"])
    encoder = source.encoder
    tool = fitting(tool, source)
    plan = plan | {"attack": tool.name, "settings": tool.config.model_dump(mode="json")}
    place_encoder(encoder, device)
    if isinstance(tool, Transfer):
        options["surrogate"] = tool.ensemble(encoder.device)
    streams = Streams(plan["seed"]).child("evade")
    split = open_split(plan["data"], progress, dialect=dialect)
    notes = [note for note in (source.warning(split.photos), source.words) if note]
    features = source.features(split.photos, rows=split.catalog, progress=progress)
    photos, catalog = split.photos, split.catalog
    plan = plan | {"weights": encoder_fingerprint(encoder), "photos": photos.fingerprint}
    index = ExactIndex(F.normalize(features[np.asarray(catalog)], dim=1))
    chosen = _pairs(plan, split, index, streams, dialect)
    with RunDirectory.create_or_resume(out, "evade", plan) as directory:
        scene = catalog_scene(
            encoder, photos, catalog, chosen, features,
            size=NATIVE if plan["pixels"] == "native" else None, progress=progress,
        )  # fmt: skip
        ids = [str(one) for one in photos.ids.tolist()]
        names = [(ids[a], ids[t]) for a, t in zip(chosen.attackers, chosen.targets, strict=True)]
        table = run_pairs(
            directory, tool, scene, names,
            eps=plan["eps"], rng=streams, stop_rank=plan["stop_rank"],
            min_eps=plan["min_eps"], progress=progress, **options,
        )  # fmt: skip
        controls: list[Control] = []
        if has_control(tool):
            controls = control_run(
                directory, scene, table,
                eps=plan["eps"], rng=streams, stop_rank=plan["stop_rank"], **options,
            )  # fmt: skip
        result = _result(
            table, plan | {"knowledge": knowledge(tool)}, out, len(catalog), split, controls
        )
        directory.write_json("result.json", result)
    return Evaded(out, table, result, tuple(controls), tuple(notes))


def _pairs(
    plan: dict[str, Any],
    split: PhotoSplit,
    index: ExactIndex,
    streams: Any,
    dialect: Dialect | None,
) -> Pairs:
    import numpy as np

    from recsec.attacks.evasion import POLICIES, Pairs, popular_rows, read_pairs, sample_pairs

    photos, policy = split.photos, plan["pairs"]
    if isinstance(policy, list):
        rows = photos.rows([one for pair in policy for one in pair]).reshape(-1, 2)
        return Pairs(rows[:, 0], rows[:, 1], "chosen pairs")
    if policy not in POLICIES:
        path = Path(policy).expanduser()
        if not path.is_file():
            raise UsageError(
                f"--pairs {policy}: expected {', '.join(POLICIES)} or a CSV file with item,target"
            )
        return read_pairs(
            path,
            lambda ids: photos.rows([photos.parse_id(one) for one in ids]),
            dialect=dialect,
        )
    rows = split.test if plan["stage"] == "test" else split.validation
    popular = None
    if policy == "popular-target":
        catalog = split.catalog
        popular = catalog[popular_rows(index, np.searchsorted(catalog, rows))]
    return sample_pairs(policy, rows, split.labels, plan["n"], rng=streams, popular=popular)


def _result(
    table: pl.DataFrame,
    plan: dict[str, Any],
    out: Path,
    catalog: int,
    split: PhotoSplit,
    controls: list[Control],
) -> dict[str, Any]:
    import polars as pl

    from recsec.attacks.evasion import smallest_budget, summarize

    found = [summarize(table.filter(pl.col("eps") == budget), eps=budget) for budget in plan["eps"]]
    for one, seen in zip(found, controls, strict=False):
        one["reference"] = seen.to_json()
    count = table.height // len(plan["eps"])
    goal = plan["goal"] or "default"
    policy = plan["pairs"] if isinstance(plan["pairs"], str) else "chosen pairs"
    shared: dict[str, Any] = {
        "run": str(out),
        "pairs_file": str(out / "pairs.parquet"),
        "attack": plan["attack"],
        "settings": plan["settings"],
        "knowledge": plan["knowledge"],
        "policy": policy,
        "pairs": count,
        "synthetic": split.photos.synthetic,
        "protocol": f"{count} pairs ({policy}, {plan['stage']} photos), goal {goal}; "
        f"{plan['knowledge']}; {judged(plan, catalog)}; a pair is done at rank {plan['stop_rank']}",
    }
    if plan["min_eps"]:
        shared["min_eps"] = smallest_budget(table) | {"rank": plan["stop_rank"]}
    if len(found) == 1:
        return shared | found[0]
    return shared | {"budgets": found}


def fitting(tool: EvasionAttack, source: EncoderSource) -> EvasionAttack:
    """The attack, if the encoder shows what it follows; for ``auto`` what fits instead.

    Raises:
        UsageError: it follows gradients, and there are none.
    """
    from recsec.attacks.evasion import fitting_attack

    tool = fitting_attack(tool, source.gives)
    if tool.access != "gradients":
        return tool
    why = getattr(source.encoder, "opaque", "")
    spec = f"{source.spec} ({why})" if why else source.spec
    needs("evade --attack apgd", spec, source.gives, said=f"evade --attack {tool.name}")
    return tool


def judged(plan: dict[str, Any], catalog: int) -> str:
    """How ``catalog`` photos were ranked and a success confirmed, in words."""
    place = "place of the target in the answer to the photo" if plan["goal"] == "query" else "rank"
    seen = "" if plan["ingest"] == "png" else f", recompressed by the shop ({plan['ingest']})"
    return (
        f"catalog of {catalog:,} photos, target and the attacker's unchanged photo "
        f"excluded, of equal cosines the attacker's ranked last; 8-bit PNG decoded{seen} and "
        f"embedded again in float32, exact {place}; pixels: {plan['pixels']}"
    )
