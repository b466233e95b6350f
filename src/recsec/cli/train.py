"""``recsec train``: a recommender into a checkpoint folder."""

from __future__ import annotations

import json as json_format
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from recsec.cli.shared.common import (
    ColumnsOption,
    ConfigOption,
    DataOption,
    DeviceOption,
    JsonOption,
    OutOption,
    PrecisionOption,
    QuietOption,
    SeedOption,
    SetOption,
    build_config,
    open_data,
)
from recsec.cli.shared.output import emit, note, progress, resumable
from recsec.cli.visual.train import train_photos
from recsec.errors import DataError, UsageError
from recsec.runs import strangers

if TYPE_CHECKING:
    from recsec.data import Split
    from recsec.models import Recommender

__all__ = ["check_folder", "epochs", "run", "start", "validation"]

SHOWN = ("hr@10", "ndcg@10", "mrr@10")


def run(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="One of: recsec list models; encoder for photos.",
            show_default=False,
        ),
    ],
    data: DataOption,
    out: OutOption,
    columns: ColumnsOption = None,
    seed: SeedOption = 0,
    set_: SetOption = None,
    config: ConfigOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    snapshots: Annotated[
        int, typer.Option("--snapshots", min=0, help="Also keep this many evenly spaced epochs.")
    ] = 0,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a recommender and keep it in a checkpoint folder.

    The last item of every user is left for the test and never seen here; the one before it
    chooses the best epoch. Of photos, a fifth of every category is held out, a twentieth chooses
    the epoch. Interrupted at any point, the same command continues.
    """
    from recsec import models
    from recsec.data import is_photos
    from recsec.registry import registry

    if model in registry("encoders").keys():  # noqa: SIM118 - not a dictionary
        check_folder(out)
        start(out)
        train_photos(
            model,
            data,
            out,
            columns=columns,
            seed=seed,
            pairs=set_,
            config=config,
            device=device,
            precision=precision,
            snapshots=snapshots,
            json=json,
        )
        return
    if is_photos(data):
        raise UsageError(
            f"{model} learns from interactions; --data {data} names photos",
            hint=f"recsec train encoder --data {data} --out {out}",
        )
    kind = registry("models").get(model)
    chosen = build_config(kind.config_class, file=config, pairs=set_, where=f"settings of {model}")
    check_folder(out)
    dataset = open_data(data, columns)
    split = dataset.split()
    note(f"{data}: {len(split.full):,} users, {len(split.catalog):,} items")
    start(out)
    with progress() as report:
        training = models.Training(
            out=out,
            device=device,
            precision=precision,
            snapshots=snapshots,
            progress=report,
        )
        trained = models.train(
            model,
            split,
            chosen,
            seed=seed,
            training=training,
            data={"name": dataset.name, "fingerprint": dataset.fingerprint},
        )
        if not models.is_first_process():
            return
        metrics, protocol = validation(trained, split, seed=seed, report=report)
    result = {
        "model": model,
        "data": data,
        "seed": seed,
        "checkpoint": str(out),
        **epochs(out),
        **metrics,
        "protocol": protocol,
    }
    words = ["recsec", "evaluate", "--model", str(out), "--data", data]
    step = shlex.join([*words, *(["--columns", columns] if columns else [])])
    emit(result, lambda console: _render(console, result, step), json=json)


def validation(
    model: Recommender, split: Split, *, seed: int, report: Any = None
) -> tuple[dict[str, Any], str]:
    """Metrics on the validation item as flat JSON, and the protocol; the test item stays unseen."""
    from recsec.evaluation import evaluate
    from recsec.rng import Streams

    found = evaluate(model, split, stage="valid", progress=report)
    estimates = found.estimates(Streams(seed).numpy("validation"))
    return {key: estimates[key].to_json() for key in SHOWN if key in estimates}, found.protocol


def check_folder(out: Path) -> None:
    """Refuse a folder that holds something else before any work is done."""
    if out.exists() and not out.is_dir():
        raise DataError(f"--out {out} is a file, expected a folder", hint="choose another --out")
    if (out / "config.json").exists():
        return
    found = strangers(out)
    if found:
        raise DataError(
            f"--out {out} holds files ({', '.join(found[:3])}) but no checkpoint",
            hint="choose a new folder for --out",
        )


def start(out: Path) -> None:
    """Say what an interruption would cost."""
    if (out / "model.safetensors").exists():
        note(f"{out} is complete: nothing is left to train")
    resumable(shlex.join(["recsec", *sys.argv[1:]]))


def epochs(out: Path) -> dict[str, Any]:
    """How many epochs were trained and which was kept, where the model has epochs."""
    path = out / "history.json"
    if not path.is_file():
        return {}
    history = json_format.loads(path.read_text())
    if not history:
        return {"epochs": 0}
    best = max(history, key=lambda entry: next(iter(entry["valid"].values())))
    return {"epochs": len(history), "best_epoch": best["epoch"]}


def _render(console: Console, result: dict[str, Any], step: str) -> None:
    table = Table("validation", "value", "95 % interval", title=f"{result['model']}")
    for key in SHOWN:
        if key in result:
            metric = result[key]
            table.add_row(
                key, f"{metric['value']:.4f}", f"{metric['low']:.4f}-{metric['high']:.4f}"
            )
    console.print(table)
    if "best_epoch" in result:
        console.print(f"best epoch: {result['best_epoch']} of {result['epochs']}")
    console.print(f"checkpoint: {result['checkpoint']}", soft_wrap=True)
    console.print(f"next: {step}", soft_wrap=True, markup=False)
