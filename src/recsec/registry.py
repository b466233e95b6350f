"""Components by key: models, policies, targets and the rest register by entry point.

A third party adds ``[project.entry-points."recsec.models"]`` to its own package and its model
appears everywhere ours do.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from recsec.containment import prints_to_stderr
from recsec.errors import ConfigError

__all__ = ["KINDS", "Registry", "registry"]

KINDS = (
    "attacks",
    "detectors",
    "encoders",
    "guards",
    "hardenings",
    "models",
    "policies",
    "screens",
    "threats",
)


@dataclass(frozen=True)
class Registry:
    """The components of one kind, loaded when first asked for."""

    kind: str
    broken: dict[str, str] = field(default_factory=dict)
    """Plugins that failed to import, with the reason; filled as they are met."""

    @cached_property
    def _found(self) -> dict[str, EntryPoint]:
        return _registered(tuple(sys.path))[self.kind]

    def keys(self) -> list[str]:
        """All registered keys, sorted; nothing is imported."""
        return sorted(self._found)

    def places(self) -> dict[str, str]:
        """Key and ``module:name`` of all that are registered, sorted; nothing is imported."""
        return {key: self._found[key].value for key in self.keys()}

    def get(self, key: str) -> Any:
        """The component called ``key``.

        Raises:
            ConfigError: no such component, or its package fails to import.
        """
        if key not in self._found:
            raise ConfigError(
                f"no {self.kind} called {key!r}; known: {', '.join(self.keys())}",
                hint=f"recsec list {self.kind}",
            )
        try:
            with prints_to_stderr():
                return self._found[key].load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may fail in any way; it is named, not hidden
            self.broken[key] = f"{type(error).__name__}: {error}"
            raise ConfigError(
                f"the component {key!r} ({self._found[key].value}) does not load: "
                f"{self.broken[key]}",
                hint="repair or uninstall the package that registers it",
            ) from error

    def items(self) -> dict[str, Any]:
        """Key and component of all that load; broken ones are skipped and kept in ``broken``."""
        loaded = {}
        for key in self.keys():
            try:
                loaded[key] = self.get(key)
            except ConfigError:
                continue
        return loaded


@cache
def _registered(_path: tuple[str, ...]) -> dict[str, dict[str, EntryPoint]]:
    """By kind and key, what all packages on a path register: a file of each is read, so once."""
    points = entry_points()
    return {
        kind: {point.name: point for point in points.select(group=f"recsec.{kind}")}
        for kind in KINDS
    }


def registry(kind: str) -> Registry:
    """The registry of one of ``KINDS``."""
    if kind not in KINDS:
        raise ConfigError(f"no kind of component called {kind!r}; known: {', '.join(KINDS)}")
    return Registry(kind)
