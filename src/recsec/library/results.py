"""Results as a notebook wants them: tables that pandas takes as they are, and short to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, overload

from recsec.errors import UsageError

if TYPE_CHECKING:
    import pandas
    import polars as pl

    from recsec.stats import Estimate

__all__ = ["Estimates", "NamedEstimate", "to_pandas"]


def to_pandas(table: pl.DataFrame) -> pandas.DataFrame:
    """A polars table as one of pandas; needs pandas and nothing else.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise UsageError("pandas is not installed", hint="pip install pandas") from error
    return pandas.DataFrame(table.to_dict(as_series=False))


@dataclass(frozen=True)
class NamedEstimate:
    """One line of ``Estimates``: a value with its 95 % interval and the units behind it."""

    name: str
    value: float
    low: float | None
    high: float | None
    n: int


class Estimates(Sequence[NamedEstimate]):
    """Measured values in order, by place or by name.

    ``pandas.DataFrame(estimates)`` and ``polars.DataFrame(estimates)`` have the columns ``name``,
    ``value``, ``low``, ``high`` and ``n``.

    >>> from recsec.stats import Estimate
    >>> found = Estimates({"hr@10": Estimate(0.25, 0.2, 0.3, 100)}, protocol="leave-one-out")
    >>> found["hr@10"].value
    0.25
    >>> found
    Estimates(hr@10 0.2500 [0.2000, 0.3000])
    """

    def __init__(self, values: Mapping[str, Estimate], *, protocol: str = "") -> None:
        self.protocol = protocol
        """How the values were measured, in words."""
        self._lines = tuple(
            NamedEstimate(name, one.value, one.low, one.high, one.n) for name, one in values.items()
        )
        self._values = dict(values)

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, key: int) -> NamedEstimate: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[NamedEstimate, ...]: ...
    @overload
    def __getitem__(self, key: str) -> Estimate: ...
    def __getitem__(
        self, key: int | slice | str
    ) -> NamedEstimate | tuple[NamedEstimate, ...] | Estimate:
        if not isinstance(key, str):
            return self._lines[key]
        if key not in self._values:
            raise UsageError(
                f"nothing called {key!r} was measured; there is: {', '.join(self._values)}"
            )
        return self._values[key]

    def keys(self) -> Iterator[str]:
        """The names, in order."""
        return iter(self._values)

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Name -> ``{"value", "low", "high", "n"}``."""
        return {name: one.to_json() for name, one in self._values.items()}

    def table(self) -> pl.DataFrame:
        """One row per value."""
        import polars as pl

        return pl.DataFrame([asdict(line) for line in self._lines], orient="row")

    def to_pandas(self) -> pandas.DataFrame:
        """The same for pandas."""
        return to_pandas(self.table())

    def __repr__(self) -> str:
        shown = [f"{name} {one}" for name, one in list(self._values.items())[:3]]
        more = [f"{len(self) - 3} more"] if len(self) > 3 else []
        return f"Estimates({', '.join([*shown, *more])})"

    def _repr_html_(self) -> str:
        table: Any = self.table()
        return str(table._repr_html_())
