"""Independent models of the same kind: what agreement without any query looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recsec.audit.extraction.plan import TargetPlan
from recsec.errors import CheckpointError
from recsec.models import read_config
from recsec.sources import is_folder

__all__ = ["TwinOf", "twin_recipes"]


@dataclass(frozen=True)
class TwinOf:
    """How to train one twin: an architecture, its settings, a seed."""

    train: str
    settings: Mapping[str, Any]
    seed: int


def twin_recipes(target: TargetPlan, data: str) -> tuple[list[TwinOf], str]:
    """How to train the twins of a target, or why there are none.

    A twin has the target's architecture, settings and data, and another seed: the recipe is read
    from ``config.json`` of the checkpoint, or from the plan where the audit trains the target. A
    target that only answers has no twin unless the plan says what an independent model is.

    Args:
        target: the plan.
        data: fingerprint of the data of the audit.

    Returns:
        One for each twin, and the reason if the list is empty.

    Raises:
        CheckpointError: the checkpoint's description is broken.
    """
    wanted = target.twins
    if wanted.count == 0:
        return [], "none was trained: set twins in [target], or --twins"
    if wanted.model is not None:
        base = TwinOf(wanted.model, wanted.settings, target.seed)
    elif target.train is not None:
        base = TwinOf(target.train, target.settings | wanted.settings, target.seed)
    else:
        found, reason = _from_checkpoint(str(target.model), data)
        if found is None:
            return [], reason
        base = replace(found, settings={**found.settings, **wanted.settings})
    return [replace(base, seed=base.seed + n) for n in range(1, wanted.count + 1)], ""


def _from_checkpoint(spec: str, data: str) -> tuple[TwinOf | None, str]:
    if not is_folder(spec):
        return None, (
            "the target only answers: how it was trained is not known here "
            "(twins = {model = ...} in the plan names an independent model)"
        )
    config = read_config(Path(spec).expanduser())
    seed, origin = config.get("seed"), config.get("data", {})
    if not isinstance(seed, int) or not isinstance(config["config"], dict):
        return None, "the checkpoint does not say how it was trained"
    if not isinstance(origin, dict):
        raise CheckpointError(f"{spec}/config.json: 'data' is not a table")
    if "fingerprint" not in origin:
        return None, "the checkpoint does not say on which data it was trained"
    if origin["fingerprint"] != data:
        return None, (
            "the checkpoint was trained on other data than the audit's, so a model trained on "
            "these would not be its twin"
        )
    return TwinOf(config["model"], config["config"], seed), ""
