"""From the words of a plan to the recommender under attack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from recsec.data import Dataset, Reading, Split, load_as
from recsec.models import Recommender, resolve_device
from recsec.sources import is_folder
from recsec.targets import (
    CallableTarget,
    HttpTarget,
    LocalTarget,
    Target,
    guarded_target,
    open_target,
)

__all__ = [
    "OpenTarget",
    "open_data",
    "open_defended",
    "open_model",
    "placed",
]


@dataclass(frozen=True, eq=False)
class OpenTarget:
    """The recommender under attack.

    Attributes:
        api: how the thief reaches it; a fresh one for every collection.
        recommender: the model, where its owner holds it in this process; else None.
        description: architecture and whereabouts, in words.
    """

    api: Target
    recommender: Recommender | None
    description: str


@lru_cache(maxsize=1)
def _open_data(
    name: str, reading: str, state: tuple[str, int, int] | None
) -> tuple[Dataset, Split]:
    dataset = load_as(name, Reading.model_validate_json(reading))
    return dataset, dataset.split()


def open_data(name: str, reading: Reading) -> tuple[Dataset, Split]:
    """The data of a plan and its leave-one-out split; the last one stays open.

    Raises:
        DataError: it is missing or broken.
    """
    path = Path(name)
    state = None
    if path.is_file():
        found = path.stat()
        state = (str(path.resolve()), found.st_mtime_ns, found.st_size)
    return _open_data(name, reading.model_dump_json(), state)


def open_model(spec: str, dataset: Dataset, *, authorised: bool, device: str = "cpu") -> OpenTarget:
    """Open what ``target.model`` names; raises as ``recsec.targets.open_target`` does.

    Args:
        spec: a checkpoint folder, ``callable:module:function``, an http(s) address or the TOML
            file of an HTTP target.
        dataset: whose catalog it speaks.
        authorised: the owner of a target beyond this machine agreed.
        device: where a checkpoint ranks.
    """
    counts = dataset.split().train.counts
    api = open_target(spec, dataset.catalog, authorised=authorised, counts=counts, device=device)
    if isinstance(api, LocalTarget) and is_folder(spec):
        return OpenTarget(api, api.recommender, _architecture(api.recommender))
    if isinstance(api, CallableTarget | LocalTarget):
        return OpenTarget(api, None, "A Python function, in a process of this machine.")
    stated = " The tester stated to be authorised (--i-am-authorised)." if authorised else ""
    kind = "An HTTP API" if isinstance(api, HttpTarget) else "A target"
    return OpenTarget(api, None, f"{kind}, seen from outside.{stated}")


def open_defended(
    spec: str,
    guards: Sequence[Mapping[str, Any]],
    dataset: Dataset,
    split: Split,
    *,
    authorised: bool,
    device: str,
) -> Target:
    """A source behind guards, as it is served.

    Raises:
        CheckpointError: a missing or broken checkpoint.
        TargetError: it ranks other items.
        ConfigError: a guard does not fit, or its key is missing.
    """
    counts = split.train.counts
    found = open_target(spec, dataset.catalog, authorised=authorised, counts=counts, device=device)
    return guarded_target(found, guards, train=split.train, name=spec)


def placed(model: Recommender, device: str) -> None:
    """Let a network answer where the audit trains: ``auto``, ``cpu``, ``cuda`` ...

    Lists can differ from those of a CPU in the last bits of scores.
    """
    if isinstance(model, nn.Module):
        model.to(resolve_device(device))


def _architecture(model: Recommender) -> str:
    config = model.config.model_dump()
    parts = [
        f"{words} {config[key]}"
        for key, words in (
            ("embedding_dim", "width"),
            ("blocks", "blocks"),
            ("max_length", "newest items used:"),
        )
        if key in config
    ]
    return f"{', '.join([model.name, *parts])}; answers on this machine, without guards."
