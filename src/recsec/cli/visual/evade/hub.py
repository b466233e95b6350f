"""The part of ``recsec evade`` that moves one photo into many lists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from recsec.cli.shared.common import dialect_of_tables
from recsec.cli.shared.output import emit, note_synthetic, progress
from recsec.cli.shared.tables import interval, plain_table
from recsec.cli.visual.opening import open_embedded
from recsec.errors import DataError, UsageError
from recsec.library.evade import NATIVE, fitting
from recsec.library.photos import encoder_source, place_encoder

if TYPE_CHECKING:
    from recsec.attacks.evasion import EvasionAttack
    from recsec.data import PhotoSplit
    from recsec.types import IntArray

__all__ = ["evade_hub"]


def evade_hub(
    tool: EvasionAttack,
    plan: dict[str, Any],
    out: Path,
    *,
    device: str,
    json: bool,
    options: dict[str, Any],
) -> None:
    """Attack photos, each against the lists of the same target items.

    Raises:
        UsageError: the attack sees lists of ids only, or the targets are no number and no file.
        DataError: too few photos, or an unknown id.
    """
    import torch
    from torch.nn import functional as F  # noqa: N812

    from recsec.attacks.evasion import HubScene, Lists, knowledge, run_hubs, summarize_hubs
    from recsec.models import ExactIndex, encoder_fingerprint
    from recsec.rng import Streams
    from recsec.runs import RunDirectory

    if tool.access == "ids":
        raise UsageError(
            f"--goal hub needs an attack that sees scores or gradients, not {tool.name}",
            hint="--attack mi",
        )
    source = encoder_source(plan["model"])
    encoder, tool = source.encoder, fitting(tool, source)
    plan |= {"attack": tool.name, "settings": tool.config.model_dump(mode="json")}
    place_encoder(encoder, device)
    streams = Streams(plan["seed"]).child("evade")
    with progress() as report:
        split, features = open_embedded(source, plan["data"], report)
        photos, catalog = split.photos, split.catalog
        plan |= {"weights": encoder_fingerprint(encoder), "photos": photos.fingerprint}
        chosen, targets = _draw(plan, split, streams.child("hub").numpy("photos"))
        encoder.eval()
        with RunDirectory.create_or_resume(out, "evade", plan) as directory:
            vectors = F.normalize(features[torch.from_numpy(catalog)], dim=1).to(encoder.device)
            size = NATIVE if plan["pixels"] == "native" else encoder.size
            scene = HubScene(
                encoder, Lists(ExactIndex(vectors), plan["stop_rank"]),
                np.searchsorted(catalog, chosen), np.searchsorted(catalog, targets),
                torch.from_numpy(photos.pixels(chosen, size, progress=report)),
            )  # fmt: skip
            table = run_hubs(
                directory, tool, scene, [str(one) for one in photos.ids[chosen].tolist()],
                eps=plan["eps"], rng=streams, progress=report, **options,
            )  # fmt: skip
            found = [
                summarize_hubs(part, eps=budget, rng=streams)
                for (budget,), part in table.group_by("eps", maintain_order=True)
            ]
            plan |= {"knowledge": knowledge(tool)}
            result = _result(found, plan, out, len(catalog), (len(chosen), len(targets)), split)
            directory.write_json("result.json", result)
    emit(result, lambda console: _render(console, result), json=json)
    note_synthetic(photos.synthetic, photos=True)


def _draw(
    plan: dict[str, Any], split: PhotoSplit, generator: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Rows of the photos that are changed, and of the items whose lists they are to enter."""
    import polars as pl

    from recsec.data.sources.tables import Field, read_table

    photos, words = split.photos, plan["targets"]
    held_out = split.test if plan["stage"] == "test" else split.validation
    mixed = generator.permutation(held_out)
    targets = mixed[:0]
    if not words.isdecimal():
        path = Path(words).expanduser()
        if not path.exists():
            raise UsageError(
                f"--targets {words}: expected a number or a table with the column target"
            )
        table = read_table(path, {"target": Field("id")}, dialect=dialect_of_tables())
        found = table.rows["target"].cast(pl.String)
        targets = np.unique(photos.rows([photos.parse_id(item) for item in found.to_list()]))
        mixed = mixed[~np.isin(mixed, targets)]
    if plan["item"] is not None:
        chosen = photos.rows([photos.parse_id(plan["item"])])
        mixed = mixed[~np.isin(mixed, chosen)]
        if chosen[0] in targets:
            raise UsageError(f"item {plan['item']} is one of the targets: it is in no own list")
    else:
        chosen, mixed = mixed[: plan["n"]], mixed[plan["n"] :]
        if len(chosen) < plan["n"]:
            raise DataError(f"found {len(chosen)} photos beside the targets, expected {plan['n']}")
    if words.isdecimal():
        targets = mixed[: int(words)]
        if not 0 < int(words) == len(targets):
            raise DataError(
                f"found {len(targets)} held-out items beside the photos, expected {words} targets",
                hint="ask for fewer --targets, at least 1, or fewer photos (--n)",
            )
    both = np.concatenate([chosen, targets])
    outside = both[~np.isin(both, split.catalog)]
    if len(outside):
        name = photos.ids[outside[0]]
        raise DataError(f"item {name} is not ranked: its category has too few photos")
    return chosen, targets


def _result(
    found: list[dict[str, Any]],
    plan: dict[str, Any],
    out: Path,
    catalog: int,
    counts: tuple[int, int],
    split: PhotoSplit,
) -> dict[str, Any]:
    seen = "" if plan["ingest"] == "png" else f", recompressed by the shop ({plan['ingest']})"
    return {
        "run": str(out),
        "photos_file": str(out / "hubs.parquet"),
        "attack": plan["attack"],
        "settings": plan["settings"],
        "goal": "hub",
        "knowledge": plan["knowledge"],
        "photos": counts[0],
        "targets": counts[1],
        "list_length": plan["stop_rank"],
        "synthetic": split.photos.synthetic,
        "protocol": f"{counts[0]} photos, each against the lists of the same {counts[1]} items, "
        f"the first {plan['stop_rank']} neighbors ({plan['stage']} photos); catalog of {catalog:,} "
        "photos, the list's item and the attacker's unchanged photo excluded, of equal cosines the "
        f"attacker's ranked last; 8-bit PNG decoded{seen} and embedded again in float32; pixels: "
        f"{plan['pixels']}",
        "budgets": found,
    }


def _render(out: Console, result: dict[str, Any]) -> None:
    from recsec.stats import Estimate

    names = {
        "lists": f"lists of {result['targets']} targets",
        "exposure": "lists of all items",
    }
    for found in result["budgets"]:
        title = f"{result['attack']}, eps {found['eps']:g}, effective {found['effective_eps']:.4f}"
        table = plain_table(title, ["a photo is in", "clean", "noise", "attack"])
        for what, name in names.items():
            cells = (found[what][when] for when in ("before", "noise", "after"))
            table.add_row(name, *(interval(Estimate(**one), digits=2) for one in cells))
        out.print(table)
        out.print(
            f"L-inf {found['linf']:.4f}; SSIM {found['ssim']:.4f}; {found['backwards']:.1f} "
            f"gradients and {found['queries']:.0f} queries a photo"
        )
    out.print(result["protocol"])
    out.print(f"photos: {result['photos_file']}", soft_wrap=True)
