"""What the commands that train share: their options, their folder, how they end."""

from __future__ import annotations

import json as json_format
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel
from rich.console import Console

from recsec.cli.shared.common import build_config
from recsec.cli.shared.output import note, resumable
from recsec.errors import DataError, UsageError
from recsec.runs import strangers

if TYPE_CHECKING:
    from recsec.models import Precision, Training
    from recsec.types import Progress

__all__ = ["TrainingOptions", "epochs", "show_checkpoint", "start"]

Config = TypeVar("Config", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """What the options of ``train`` and ``harden`` say; each is named like its option."""

    data: str | None
    out: Path
    columns: str | None
    seed: int
    set_: list[str] | None
    config: Path | None
    device: str
    precision: Precision
    snapshots: int = 0
    json: bool

    @property
    def named_data(self) -> str:
        """What ``--data`` says.

        Raises:
            UsageError: nothing.
        """
        if self.data is None:
            raise UsageError("missing --data: which photos?", hint="--data NAME")
        return self.data

    def settings(self, kind: type[Config], name: str) -> Config:
        """The settings of the component called ``name``.

        Raises:
            ConfigError: the file, a pair or a value does not fit.
        """
        return build_config(kind, file=self.config, pairs=self.set_, where=f"settings of {name}")

    def training(self, progress: Progress) -> Training:
        """Where and how to train."""
        from recsec.models import Training

        return Training(
            out=self.out,
            device=self.device,
            precision=self.precision,
            snapshots=self.snapshots,
            progress=progress,
        )


def start(out: Path) -> None:
    """Begin in a folder: say what is there, and what an interruption would cost.

    Raises:
        DataError: it is a file, or holds something else than a checkpoint.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"--out {out} is a file, expected a folder", hint="choose another --out")
    found = [] if (out / "config.json").exists() else strangers(out)
    if found:
        raise DataError(
            f"--out {out} holds files ({', '.join(found[:3])}) but no checkpoint",
            hint="choose a new folder for --out",
        )
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


def show_checkpoint(console: Console, result: dict[str, Any], step: str, *, why: str = "") -> None:
    """Where the checkpoint is and which command comes next, with the reason where there is one."""
    if "best_epoch" in result:
        console.print(f"best epoch: {result['best_epoch']} of {result['epochs']}")
    console.print(f"checkpoint: {result['checkpoint']}", soft_wrap=True)
    console.print(f"next: {why or step}", soft_wrap=True)
    if why:
        console.print(f"  {step}", soft_wrap=True)
