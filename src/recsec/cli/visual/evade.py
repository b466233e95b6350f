"""``recsec evade``: change photos so that items move into the lists of others."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from recsec.cli.shared.answering import interval, plain_table
from recsec.cli.shared.common import (
    ConfigOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    OutOption,
    QuietOption,
    SeedOption,
    SetOption,
    read_toml,
)
from recsec.cli.shared.output import emit, note, parse_settings, progress, resumable
from recsec.cli.visual.opening import (
    checkpoint_folder,
    open_encoder,
    open_split,
    warn_of_other_data,
)
from recsec.errors import ConfigError, UsageError

if TYPE_CHECKING:
    import polars as pl

    from recsec.attacks.evasion import EvasionAttack, Pairs
    from recsec.data import PhotoSplit
    from recsec.models import Encoder, ExactIndex

__all__ = ["NATIVE", "judged", "place_encoder", "run"]

NATIVE = 224
"""Side of a photo as shops store it; resized inside the gradient."""


def run(
    model: ModelOption,
    data: Annotated[
        str, typer.Option("--data", metavar="NAME", help="Photos: fashion, photos:items=600, ...")
    ],
    out: OutOption,
    item: Annotated[
        str | None, typer.Option("--item", metavar="ID", help="Whose photo is changed.")
    ] = None,
    target_item: Annotated[
        str | None, typer.Option("--target-item", metavar="ID", help="Whose list is invaded.")
    ] = None,
    attack: Annotated[
        str,
        typer.Option("--attack", metavar="A", help="recsec list attacks; apgd-100 sets the steps."),
    ] = "mi",
    eps: Annotated[
        list[float] | None,
        typer.Option("--eps", metavar="X", help="Budget, share of the pixel range; repeatable."),
    ] = None,
    pairs: Annotated[
        str,
        typer.Option(
            "--pairs",
            metavar="P",
            help="cross-category, same-category, popular-target, or a CSV with item,target.",
        ),
    ] = "cross-category",
    n: Annotated[int, typer.Option("--n", min=1, help="Pairs to sample; hub: photos.")] = 100,
    goal: Annotated[
        str | None,
        typer.Option(
            "--goal", metavar="G", help="cosine, features, demotion, lists, query or hub."
        ),
    ] = None,
    stop_rank: Annotated[
        int | None,
        typer.Option(
            "--stop-rank",
            min=1,
            help="A pair that reaches this rank is done; hub: length of the lists.",
            show_default="1; hub: 10",
        ),
    ] = None,
    targets: Annotated[
        str | None,
        typer.Option(
            "--targets",
            metavar="N|FILE",
            help="Hub: items whose lists are entered, sampled or in a CSV with target.",
            show_default="20",
        ),
    ] = None,
    min_eps: Annotated[
        bool,
        typer.Option("--min-eps", help="Also bisect for the smallest budget of each pair."),
    ] = False,
    ingest: Annotated[
        str,
        typer.Option("--ingest", metavar="png|jpeg:Q", help="What the shop does to the upload."),
    ] = "png",
    stage: Annotated[
        str, typer.Option("--stage", metavar="test|valid", help="Photos that pairs come from.")
    ] = "test",
    pixels: Annotated[
        str,
        typer.Option(
            "--pixels",
            metavar="model|native",
            help=f"Attacked photos: the encoder's size, or {NATIVE} px.",
        ),
    ] = "model",
    project: Annotated[
        bool, typer.Option("--project/--no-project", help="Put images into the ball at the end.")
    ] = True,
    set_: SetOption = None,
    config: ConfigOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Attack a visual recommender through the pixels of a photo.

    With --item and --target-item one photo is changed: original.png, adversarial.png,
    difference.png and panel.png show it. Without them random pairs of held-out photos are
    attacked: pairs.parquet and images/ hold the results. With --goal hub each photo is to enter
    many lists: hubs.parquet holds how many it is in. Success counts only after the image was
    rounded to 8 bits inside the budget, saved as PNG, decoded, embedded again and ranked exactly.
    Killed at any point, the same command continues.
    """
    from recsec.attacks.evasion import GOALS, open_attack, open_ingest

    hub = goal == "hub"
    if hub and (target_item is not None or min_eps or pairs != "cross-category"):
        raise UsageError(
            "--goal hub has no pairs: it takes no --target-item, --pairs or --min-eps",
            hint="--targets says whose lists are entered",
        )
    if targets is not None and not hub:
        raise UsageError("--targets belongs to --goal hub", hint="--pairs chooses pairs")
    if not hub and (item is None) != (target_item is None):
        raise UsageError("--item and --target-item belong together", hint="give both or neither")
    if pixels not in ("model", "native"):
        raise UsageError(f"--pixels {pixels}: expected model or native")
    if stage not in ("test", "valid"):
        raise UsageError(f"--stage {stage}: expected test or valid")
    if goal not in (None, "hub", *GOALS):
        raise UsageError(f"--goal {goal}: expected {', '.join(GOALS)}, hub")
    if stop_rank is None:
        stop_rank = 10 if hub else 1
    budgets = sorted(set(eps or [0.03]))
    settings = {**(read_toml(config) if config is not None else {}), **parse_settings(set_ or [])}
    tool = open_attack(attack, settings)
    chosen = {"goal": goal, "project": project, "min_eps": min_eps, "ingest": ingest}
    options: dict[str, Any] = {"goal": goal, "project": project, "ingest": open_ingest(ingest)}
    if item is not None and target_item is not None:
        from recsec.cli.visual.evade_one import evade_one

        if len(budgets) > 1:
            raise UsageError("one photo takes one --eps", hint="leave --item out for a sweep")
        evade_one(
            model, data, out, item, target_item, tool, budgets[0],
            pixels=pixels, stop_rank=stop_rank, seed=seed, device=device, json=json,
            chosen=chosen, options=options,
        )  # fmt: skip
        return
    resumable(shlex.join(["recsec", *sys.argv[1:]]))
    plan = {
        "model": model, "data": data, "attack": tool.name,
        "settings": tool.config.model_dump(mode="json"), "eps": budgets, "pairs": pairs, "n": n,
        "stage": stage, "pixels": pixels, "stop_rank": stop_rank, "seed": seed, **chosen,
    }  # fmt: skip
    if hub:
        from recsec.cli.visual.evade_hub import evade_hub

        del options["goal"]
        plan |= {"item": item, "targets": targets or "20"}
        evade_hub(tool, plan, out, device=device, json=json, options=options)
        return
    _evade_pairs(tool, plan, out, device=device, json=json, options=options)


def _evade_pairs(
    tool: EvasionAttack,
    plan: dict[str, Any],
    out: Path,
    *,
    device: str,
    json: bool,
    options: dict[str, Any],
) -> None:
    import numpy as np
    from torch.nn import functional as F  # noqa: N812

    from recsec.attacks.evasion import catalog_scene, run_pairs
    from recsec.models import ExactIndex, catalog_features, encoder_fingerprint
    from recsec.rng import Streams
    from recsec.runs import RunDirectory

    encoder, folder = open_encoder(plan["model"]), checkpoint_folder(plan["model"])
    streams = Streams(plan["seed"]).child("evade")
    with progress() as report:
        split = open_split(plan["data"], report)
        photos, catalog = split.photos, split.catalog
        warn_of_other_data(folder, photos)
        plan |= {"weights": encoder_fingerprint(encoder), "photos": photos.fingerprint}
        features = catalog_features(encoder, photos, folder, progress=report)
        index = ExactIndex(F.normalize(features[np.asarray(catalog)], dim=1))
        chosen = _pairs(plan, split, index, streams)
        place_encoder(encoder, device)
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
            result = _result(table, plan, out, len(catalog), split)
            directory.write_json("result.json", result)
    emit(result, lambda console: _render(console, result), json=json)
    if photos.synthetic:
        note("the photos are synthetic: these numbers say nothing about real ones")


def open_surrogates(tool: EvasionAttack, encoder: Encoder) -> Any:
    """The ensemble that a transfer attack searches on.

    Raises:
        ConfigError: none is named, or one sees photos of another size.
        CheckpointError: a folder is no encoder.
    """
    from recsec.attacks.evasion import Ensemble

    members = [open_encoder(folder) for folder in tool.config.surrogates]
    if not members:
        raise ConfigError(
            "a transfer attack needs surrogates",
            hint="--set 'surrogates=[\"DIR\"]', folders made by recsec train encoder",
        )
    return Ensemble([one.to(encoder.device) for one in members]).eval()


def place_encoder(encoder: Encoder, device: str) -> None:
    """Move the encoder to where ``--device`` says.

    Raises:
        ConfigError: there is no such device.
    """
    import torch

    name = device
    if device == "auto":
        name = torch.accelerator.current_accelerator().type if _accelerated() else "cpu"  # type: ignore[union-attr]
    try:
        encoder.to(name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {device}: {error}", hint="--device cpu") from error


def _accelerated() -> bool:
    import torch

    return torch.accelerator.is_available()


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
        return read_pairs(path, lambda ids: photos.rows([photos.parse_id(one) for one in ids]))
    rows = split.test if plan["stage"] == "test" else split.validation
    popular = None
    if policy == "popular-target":
        catalog = split.catalog
        popular = catalog[popular_rows(index, np.searchsorted(catalog, rows))]
    return sample_pairs(policy, rows, split.labels, plan["n"], rng=streams, popular=popular)


def _result(
    table: pl.DataFrame, plan: dict[str, Any], out: Path, catalog: int, split: PhotoSplit
) -> dict[str, Any]:
    import polars as pl

    from recsec.attacks.evasion import smallest_budget, summarize

    found = [summarize(table.filter(pl.col("eps") == budget), eps=budget) for budget in plan["eps"]]
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


def judged(plan: dict[str, Any], catalog: int) -> str:
    """How ``catalog`` photos were ranked and a success confirmed, in words."""
    place = "place of the target in the answer to the photo" if plan["goal"] == "query" else "rank"
    seen = "" if plan["ingest"] == "png" else f", recompressed by the shop ({plan['ingest']})"
    return (
        f"catalog of {catalog:,} photos, target and the attacker's clean photo excluded, ties "
        f"against the attacker; 8-bit PNG decoded{seen} and embedded again in float32, exact "
        f"{place}; pixels: {plan['pixels']}"
    )


def _render(out: Console, result: dict[str, Any]) -> None:
    from recsec.metrics import SUCCESS_AT
    from recsec.stats import Estimate

    for found in result.get("budgets", [result]):
        title = f"{result['attack']}, eps {found['eps']:g}, effective {found['effective_eps']:.4f}"
        table = plain_table(title, ["success@", "clean", "noise", "attack"])
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
    out.print(result["protocol"], markup=False)
    out.print(f"pairs: {result['pairs_file']}", soft_wrap=True)
