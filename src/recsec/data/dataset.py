"""A data set ready for use: interactions after filters, items, and what must be said about it."""

from __future__ import annotations

from dataclasses import dataclass

from recsec.data.catalog import Catalog
from recsec.data.filters import Filters, Report
from recsec.data.interactions import Interactions, Raw, arrange
from recsec.data.reading import Reading
from recsec.data.sequences import Sequences, Split, leave_one_out
from recsec.data.splits import TimeSplit, split_by_time
from recsec.errors import DataError

__all__ = ["Dataset", "Origin"]


@dataclass(frozen=True)
class Origin:
    """How a data set is loaded again.

    Attributes:
        name: as ``load`` takes it; the path of an own file is absolute.
        reading: what was said about it.
    """

    name: str
    reading: Reading


@dataclass(frozen=True, eq=False)
class Dataset:
    """What ``load`` returns.

    Attributes:
        name: as the user called it.
        interactions: the table after filters.
        filters: the rules that were applied.
        report: what reading and filtering dropped, and notes.
        times_are_real: whether times are clock times; if not, they say order only.
        synthetic: whether the data was made up.
        license: terms of use, empty for the user's own files.
        origin: where it came from; None where it was not loaded.
    """

    name: str
    interactions: Interactions
    filters: Filters
    report: Report
    times_are_real: bool
    synthetic: bool = False
    license: str = ""
    origin: Origin | None = None

    @classmethod
    def from_raw(
        cls,
        name: str,
        raw: Raw,
        *,
        filters: Filters | None = None,
        synthetic: bool = False,
        license: str = "",
    ) -> Dataset:
        """Sort, filter and number what a reader found.

        Raises:
            DataError: nothing was read or nothing is left.
        """
        chosen = Filters() if filters is None else filters
        interactions, report, real = arrange(raw, chosen)
        return cls(name, interactions, chosen, report, real and not synthetic, synthetic, license)

    @property
    def catalog(self) -> Catalog:
        """The N items that are left."""
        return self.interactions.catalog

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the filtered content."""
        return self.interactions.fingerprint

    def sequences(self) -> Sequences:
        """The users' histories, oldest first."""
        return self.interactions.sequences()

    def split(self) -> Split:
        """Leave-one-out.

        Raises:
            DataError: a user has fewer than three items.
        """
        return leave_one_out(self.sequences())

    def time_split(self, *, valid: float = 0.1, test: float = 0.1) -> TimeSplit:
        """Split by clock time, the newest ``test`` share of rows last.

        Raises:
            DataError: times say order only, or the shares do not fit.
        """
        if not self.times_are_real:
            raise DataError(
                f"{self.name} has no clock times, so it cannot be split by time",
                hint="use the leave-one-out split, which needs order only",
            )
        return split_by_time(self.interactions, valid=valid, test=test)
