"""From words or tables to guards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from pydantic import ValidationError

from recsec.errors import ConfigError
from recsec.registry import registry
from recsec.targets.guards.base import Guard, GuardConfig, Rescoring, Surroundings
from recsec.text import placed

__all__ = ["build_guards", "configured"]


def configured(tables: Sequence[Mapping[str, Any]]) -> list[tuple[type[Guard], GuardConfig]]:
    """Kind and settings of guards that are not built yet; see ``build_guards``."""
    found = []
    for table in tables:
        settings = dict(table)
        name = settings.pop("name", None)
        if not isinstance(name, str):
            raise ConfigError(
                f"the guard {dict(table)!r} has no name", hint="recsec list guards prints names"
            )
        kind: type[Guard] = registry("guards").get(name)
        try:
            config = kind.config_class.model_validate(settings)
        except ValidationError as error:
            faults = "; ".join(
                placed(fault["loc"], fault["msg"].lower()) for fault in error.errors()
            )
            known = ", ".join(kind.config_class.model_fields) or "none"
            raise ConfigError(
                f"settings of the guard {name}: {faults}", hint=f"the settings there are: {known}"
            ) from error
        found.append((kind, config))
    for (before, _), (kind, _) in pairwise(found):
        if issubclass(kind, Rescoring) and not issubclass(before, Rescoring):
            raise ConfigError(
                f"the guard {kind.name} changes scores, and {before.name} before it leaves a list",
                hint=f"put {kind.name} before {before.name}",
            )
    return found


def build_guards(
    tables: Sequence[Mapping[str, Any]], surroundings: Surroundings
) -> tuple[Guard, ...]:
    """Guards in the order given, the first nearest to the recommender.

    Args:
        tables: ``{"name": "truncate", "length": 5}`` and so on.
        surroundings: where they stand.

    Raises:
        ConfigError: no such guard, settings that do not fit, or an order in which one cannot work.
    """
    return tuple(kind.build(config, surroundings) for kind, config in configured(tables))
