"""The part of ``recsec evade`` that attacks many pairs of photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from recsec.cli.shared.common import dialect_of_tables
from recsec.cli.shared.output import emit, note, note_synthetic, progress
from recsec.cli.shared.tables import interval, plain_table
from recsec.cli.visual.evade.shared import NATIVE, judged, open_surrogates, warn_of_masking
from recsec.cli.visual.opening import open_embedded, open_encoder, place_encoder
from recsec.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from recsec.attacks.evasion import Control, EvasionAttack, Pairs
    from recsec.data import PhotoSplit
    from recsec.models import ExactIndex

__all__ = ["evade_pairs"]


def evade_pairs(
    tool: EvasionAttack,
    plan: dict[str, Any],
    out: Path,
    *,
    device: str,
    json: bool,
    options: dict[str, Any],
) -> None:
    """Attack random pairs of held-out photos, or those of a file.

    Raises:
        UsageError: the pairs are neither a policy nor a file.
        DataError: too few photos, or an unknown id.
    """
    import numpy as np
    from torch.nn import functional as F  # noqa: N812

    from recsec.attacks.evasion import catalog_scene, control_run, has_control, run_pairs
    from recsec.models import ExactIndex, encoder_fingerprint
    from recsec.rng import Streams
    from recsec.runs import RunDirectory

    encoder = open_encoder(plan["model"])
    place_encoder(encoder, device)
    streams = Streams(plan["seed"]).child("evade")
    with progress() as report:
        split, features = open_embedded(plan["model"], encoder, plan["data"], report)
        photos, catalog = split.photos, split.catalog
        plan |= {"weights": encoder_fingerprint(encoder), "photos": photos.fingerprint}
        index = ExactIndex(F.normalize(features[np.asarray(catalog)], dim=1))
        chosen = _pairs(plan, split, index, streams)
        if tool.name == "transfer":
            options["surrogate"] = open_surrogates(tool, encoder)
        with RunDirectory.create_or_resume(out, "evade", plan) as directory:
            scene = catalog_scene(
                encoder, photos, catalog, chosen, features,
                size=NATIVE if plan["pixels"] == "native" else None, progress=report,
            )  # fmt: skip
            ids = [str(one) for one in photos.ids.tolist()]
            names = [
                (ids[a], ids[t]) for a, t in zip(chosen.attackers, chosen.targets, strict=True)
            ]
            table = run_pairs(
                directory, tool, scene, names,
                eps=plan["eps"], rng=streams, stop_rank=plan["stop_rank"],
                min_eps=plan["min_eps"], progress=report, **options,
            )  # fmt: skip
            controls: list[Control] = []
            if has_control(tool):
                controls = control_run(
                    directory, scene, table,
                    eps=plan["eps"], rng=streams, stop_rank=plan["stop_rank"], **options,
                )  # fmt: skip
            result = _result(table, plan, out, len(catalog), split, controls)
            directory.write_json("result.json", result)
    emit(result, lambda console: _render(console, result), json=json)
    warn_of_masking(int(table["dead"].sum()), int(table["backwards"].sum()))
    for budget, seen in zip(plan["eps"], controls, strict=False):
        if seen.weak:
            note(
                f"warning: {tool.name} is weak on this encoder: at eps {budget:g} {seen}. "
                "Take --attack auto, or more steps: --attack auto-400"
            )
    note_synthetic(photos.synthetic, photos=True)


def _pairs(plan: dict[str, Any], split: PhotoSplit, index: ExactIndex, streams: Any) -> Pairs:
    import numpy as np

    from recsec.attacks.evasion import POLICIES, popular_rows, read_pairs, sample_pairs

    photos, policy = split.photos, plan["pairs"]
    if policy not in POLICIES:
        path = Path(policy).expanduser()
        if not path.is_file():
            raise UsageError(
                f"--pairs {policy}: expected {', '.join(POLICIES)} or a CSV file with item,target"
            )
        return read_pairs(
            path,
            lambda ids: photos.rows([photos.parse_id(one) for one in ids]),
            dialect=dialect_of_tables(),
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
    shared: dict[str, Any] = {
        "run": str(out),
        "pairs_file": str(out / "pairs.parquet"),
        "attack": plan["attack"],
        "settings": plan["settings"],
        "policy": plan["pairs"],
        "pairs": count,
        "synthetic": split.photos.synthetic,
        "protocol": f"{count} pairs ({plan['pairs']}, {plan['stage']} photos), goal {goal}; "
        f"{judged(plan, catalog)}; a pair is done at rank {plan['stop_rank']}",
    }
    if plan["min_eps"]:
        shared["min_eps"] = smallest_budget(table) | {"rank": plan["stop_rank"]}
    if len(found) == 1:
        return shared | found[0]
    return shared | {"budgets": found}


def _render(out: Console, result: dict[str, Any]) -> None:
    from recsec.metrics import SUCCESS_AT
    from recsec.stats import Estimate

    for found in result.get("budgets", [result]):
        title = (
            f"{result['attack']}, eps {found['eps']:g} (in 8 bits {found['effective_eps']:.4f}): "
            "share of pairs that reach rank r; lower is safer"
        )
        table = plain_table(title, ["r", "unchanged", "random noise", "attack"])
        for r in SUCCESS_AT:
            cells = (found["clean"], found["noise"], found)
            table.add_row(str(r), *(interval(Estimate(**one[f"success@{r}"])) for one in cells))
        out.print(table)
        out.print(
            f"median rank {found['rank_before']:,.0f} -> {found['rank_after']:,.0f}; cosine "
            f"{found['cosine_before']:.3f} -> {found['cosine_after']:.3f}; L-inf "
            f"{found['linf']:.4f}; PSNR {found['psnr']:.1f} dB; SSIM {found['ssim']:.4f}; "
            f"{found['backwards']:.1f} gradients and {found['queries']:.0f} queries a pair"
        )
    if "min_eps" in result:
        least = result["min_eps"]
        table = plain_table(f"smallest budget for rank {least['rank']}", ["", "eps"])
        table.add_row("median", interval(Estimate(**least["median"])))
        failed = f"share of pairs that fail at {least['largest']:g}"
        table.add_row(failed, interval(Estimate(**least["failed"])))
        out.print(table)
    out.print(result["protocol"])
    out.print(f"pairs: {result['pairs_file']}", soft_wrap=True)
