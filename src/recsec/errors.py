"""Every error that recsec raises on purpose.

RecsecError
├── UsageError            exit 2   wrong arguments on the command line
│   └── ConfigError       exit 2   a plan, config or option that does not fit
├── DataError             exit 3   data missing, broken or of an unknown layout
├── CheckpointError       exit 3   a checkpoint missing, broken or of another version
├── RunError              exit 3   a run directory that is busy, broken or another plan's
├── TargetError           exit 3   the recommender under attack failed or broke its contract
│   └── BudgetExhausted   exit 3   the meter refused a query: the budget is spent
└── EvidenceIncomplete    exit 4   cells of an audit could not be measured
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "EXIT_GATE_FAILED",
    "EXIT_INTERRUPTED",
    "EXIT_OK",
    "BudgetExhausted",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "EvidenceIncomplete",
    "RecsecError",
    "RunError",
    "TargetError",
    "UsageError",
]

EXIT_OK: Final = 0
EXIT_GATE_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130


class RecsecError(Exception):
    """Base of all. Carries what was found and what to do next.

    Args:
        message: what was found and what was expected, one or two sentences.
        hint: the next step for the user, a command if there is one.
    """

    exit_code: int = 3

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(RecsecError):
    """Wrong arguments on the command line."""

    exit_code = 2


class ConfigError(UsageError):
    """A plan, config file or ``--set`` value that does not fit."""


class DataError(RecsecError):
    """Data missing, broken or of an unknown layout."""


class CheckpointError(RecsecError):
    """A checkpoint folder missing, broken or written by another version."""


class RunError(RecsecError):
    """A run directory that is in use, broken or belongs to another plan."""


class TargetError(RecsecError):
    """The recommender under attack failed, or broke the contract of a target."""


class BudgetExhausted(TargetError):  # noqa: N818 - a state, not a failure
    """The meter refused a query because the budget is spent."""


class EvidenceIncomplete(RecsecError):  # noqa: N818
    """Cells of an audit are missing or do not decide, so no verdict is given."""

    exit_code = 4
