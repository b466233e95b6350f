"""People as they were measured: click laws by list length, and what their clients do."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recsec.errors import ConfigError
from recsec.traffic.clicks import ClickLaw

__all__ = ["MEASURED", "Measured", "People", "click_law", "read_people"]


class Measured(BaseModel):
    """A number with its 95 % interval by bootstrap over users, and how many events it rests on."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    value: float
    low: float | None = None
    high: float | None = None
    n: int


class People(BaseModel):
    """What ``recsec traffic fit`` found in a log."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: int = Field(default=1, ge=1, le=1)
    name: str = Field(description="the log")
    terms: str | None = Field(default=None, description="of the log")
    users: int
    events: int
    laws: dict[int, ClickLaw] = Field(description="click law by list length; none without lists")
    estimates: dict[str, Measured] = Field(description="every number that was measured")
    shares: dict[int, list[float]] = Field(
        default_factory=dict, description="share of each rank among choices, by list length"
    )

    def law(self, k: int) -> ClickLaw:
        """The law of lists of k: in between by the logarithm of k, beyond as at the end.

        Raises:
            ConfigError: the log had no lists.
        """
        if not self.laws:
            raise ConfigError(
                f"{self.name} had no lists, so it tells nothing about clicks",
                hint="use a law measured on a log with lists: --law trivago",
            )
        known = sorted(self.laws)
        firsts = [float(self.laws[one].probabilities(one)[0]) for one in known]
        at = np.log([max(one, 1) for one in known])
        rows = [self.laws[one] for one in known]

        def between(values: list[float]) -> float:
            return float(np.interp(np.log(k), at, values))

        return ClickLaw(
            acceptance=between([one.acceptance for one in rows]),
            bias=between([one.bias for one in rows]),
            first=between(firsts) if k > 1 else None,
            restart=between([one.restart for one in rows]),
        )


def read_people(name: str | Path) -> People:
    """A law by the name of a log that recsec measured, or from a file of ``traffic fit``.

    Raises:
        ConfigError: no such law or file, or one that is something else.
    """
    if str(name) in MEASURED:
        return MEASURED[str(name)]
    path = Path(name)
    try:
        return People.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"no law called {str(name)!r}; known: {', '.join(MEASURED)}, or a file",
            hint="recsec traffic fit LOG --out law.json",
        ) from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is no law that recsec traffic fit wrote",
            hint="recsec traffic fit LOG --out law.json",
        ) from error


def click_law(name: str | Path, k: int) -> ClickLaw:
    """``read_people`` at a list length.

    Raises:
        ConfigError: as ``read_people``, or the log had no lists.
    """
    return read_people(name).law(k)


def _packaged() -> dict[str, People]:
    text = files("recsec.traffic").joinpath("measured.json").read_text("utf-8")
    return {name: People.model_validate(one) for name, one in json.loads(text).items()}


MEASURED: dict[str, People] = _packaged()
"""What ``recsec traffic fit`` says of the public logs: numbers, no data."""
