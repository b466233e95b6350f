"""``recsec evade``: change photos so that items move into the lists of others."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated, Any

import typer

from recsec.cli.shared.common import (
    AuthorisedOption,
    ConfigOption,
    DeviceOption,
    DropBadOption,
    JsonOption,
    OutOption,
    PhotosOption,
    QuietOption,
    SearchedOption,
    SeedOption,
    SepOption,
    SetOption,
    given_settings,
)
from recsec.cli.shared.output import resumable
from recsec.errors import UsageError
from recsec.library.evade import NATIVE
from recsec.sources import refuse_source

__all__ = ["run"]


def run(
    model: SearchedOption,
    data: PhotosOption,
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
    ] = "auto",
    eps: Annotated[
        list[float] | None,
        typer.Option(
            "--eps", metavar="X", help="Largest change of a color value, from 0 to 1; repeatable."
        ),
    ] = None,
    pairs: Annotated[
        str,
        typer.Option(
            "--pairs",
            metavar="P",
            help="cross-category, same-category, popular-target, or a CSV with item,target.",
        ),
    ] = "cross-category",
    n: Annotated[
        int, typer.Option("--n", min=1, help="How many pairs to sample; hub: how many photos.")
    ] = 100,
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
    sep: SepOption = None,
    drop_bad: DropBadOption = False,
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
    authorised: AuthorisedOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Attack a visual recommender through the pixels of a photo.

    With --item and --target-item one photo is changed: original.png, adversarial.png,
    difference.png and panel.png show it. Without them random pairs of held-out photos are
    attacked: pairs.parquet and images/ hold the results. With --goal hub each photo is to enter
    many lists: hubs.parquet holds how many it is in. Success counts only after the image was
    rounded to 8 bits inside the budget, saved as PNG, decoded, embedded again and ranked exactly.
    Of a visual search behind HTTP only lists are seen: a pair succeeds where its target is listed.
    Killed at any point, the same command continues.
    """
    from recsec.attacks.evasion import GOALS, POLICIES, open_attack, open_ingest
    from recsec.targets.visual import is_search

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
    if (sep or drop_bad) and pairs in POLICIES and (targets or "20").isdecimal():
        raise UsageError("--sep and --drop-bad are about the table of --pairs or --targets")
    if pixels not in ("model", "native"):
        raise UsageError(f"--pixels {pixels}: expected model or native")
    if stage not in ("test", "valid"):
        raise UsageError(f"--stage {stage}: expected test or valid")
    if goal not in (None, "hub", *GOALS):
        raise UsageError(f"--goal {goal}: expected {', '.join(GOALS)}, hub")
    if stop_rank is None:
        stop_rank = 10 if hub else 1
    budgets = sorted(set(eps or [0.03]))
    settings = given_settings(config, set_)
    tool = open_attack(attack, settings)
    chosen = {"goal": goal, "project": project, "min_eps": min_eps, "ingest": ingest}
    options: dict[str, Any] = {"goal": goal, "project": project, "ingest": open_ingest(ingest)}
    if goal == "lists" and tool.access == "gradients":
        raise UsageError(
            f"--goal lists compares lists of ids, and --attack {tool.name} follows gradients",
            hint="--attack square --goal lists, or --goal features",
        )
    if tool.access == "gradients" and tool.name != "auto":
        refuse_source("evade --attack apgd", model, said=f"evade --attack {tool.name}")
    refuse_source("evade --goal hub" if hub else "evade", model)
    if is_search(model):
        from recsec.cli.visual.evade.listed import show_listed

        chosen_pairs: Any = pairs if item is None else [[item, target_item]]
        plan = {
            "model": model, "data": data, "eps": budgets, "pairs": chosen_pairs, "n": n,
            "stage": stage, "pixels": pixels, "stop_rank": stop_rank, "seed": seed, **chosen,
        }  # fmt: skip
        resumable(shlex.join(["recsec", *sys.argv[1:]]))
        show_listed(tool, plan, out, authorised=authorised, json=json)
        return
    if item is not None and target_item is not None:
        from recsec.cli.visual.evade.one import evade_one

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
    if sep or drop_bad:
        plan |= {"sep": sep, "drop_bad": drop_bad}
    if hub:
        from recsec.cli.visual.evade.hub import evade_hub

        del options["goal"]
        plan |= {"item": item, "targets": targets or "20"}
        evade_hub(tool, plan, out, device=device, json=json, options=options)
        return
    from recsec.cli.visual.evade.pairs import show_pairs

    show_pairs(tool, plan, out, device=device, json=json, options=options)
