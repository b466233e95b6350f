"""Watch a log as far as it goes, and go on where an earlier process stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recsec.detection.watch import Fitted, Watch
from recsec.errors import RunError
from recsec.traffic import Prefix, QueryLog
from recsec.types import Progress

__all__ = ["follow_log"]

BLOCK = 16_384
"""Queries between two saves of the state."""


def follow_log(
    fitted: Fitted,
    log: QueryLog,
    *,
    name: str = "the log",
    state: Path | None = None,
    progress: Progress | None = None,
) -> Watch:
    """Observe what is new in a log; with ``state``, saved after every block.

    Args:
        fitted: the detectors.
        log: begins as the log that the state was written for, if there is one.
        name: how errors call the log.
        state: the file.
        progress: is told how many queries were watched.

    Raises:
        CheckpointError: the state is broken.
        RunError: it belongs to other detectors or to another log.
        OSError: it cannot be written.
    """
    watch, prefix = fitted.watch(), Prefix()
    if state is not None and state.exists():
        watch = Watch.resume(fitted, state)
        _check(watch, log, prefix, name=name, state=state)
    while watch.seen < len(log):
        end = min(watch.seen + BLOCK, len(log))
        prefix.add(log, end)
        watch.observe_log(log, np.arange(watch.seen, end))
        if state is not None:
            watch.log = {"name": name, "sum": prefix.digest}
            watch.save(state)
        if progress is not None:
            progress("watching", watch.seen, len(log))
    return watch


def _check(watch: Watch, log: QueryLog, prefix: Prefix, *, name: str, state: Path) -> None:
    """Refuse a log that does not begin as the state's did."""
    theirs = watch.log.get("name", "an unknown log")
    hint = "use the log that it was written for, or another --state"
    if watch.seen > len(log):
        raise RunError(
            f"the state {state} has seen {watch.seen:,} queries of {theirs}; "
            f"{name} holds {len(log):,}",
            hint=hint,
        )
    prefix.add(log, watch.seen)
    recorded = watch.log.get("sum", "unknown")
    if prefix.digest != recorded:
        raise RunError(
            f"the state {state} has seen {watch.seen:,} queries of {theirs} (check sum "
            f"{recorded[:12]}); the first {watch.seen:,} queries of {name} are others "
            f"({prefix.digest[:12]})",
            hint=hint,
        )
