"""What a run is going to do, said before its first query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsec.cli.shared.output import note

if TYPE_CHECKING:
    from recsec.audit import Scope
    from recsec.audit.scope import EvasionScope

__all__ = ["announce"]


def announce(scope: Scope) -> None:
    """Say what is going to happen, before the first query."""
    if scope.evasion is not None:
        _announce_evasion(scope.evasion)
    if not scope.cells:
        return
    users = "all users" if scope.users is None else f"{scope.users:,} users"
    what = f"{scope.cells} cells, {scope.calls:,} calls in {scope.collections} collections, {users}"
    note(f"{what}; about {_duration(scope.seconds)}, besides training target and twins")
    if scope.finished:
        note(f"{scope.finished} cells are finished already: nothing of them is asked again")


def _announce_evasion(scope: EvasionScope) -> None:
    what = f"{scope.cells} evasion cells, {scope.attacks:,} attacks on pairs in {scope.tasks} tasks"
    note(f"{what}; at most about {_duration(scope.seconds)}, besides training the models")
    if scope.finished:
        note(f"{scope.finished} tasks are finished already: no pair of them is attacked again")


def _duration(seconds: float) -> str:
    """One unit, rounded: it is an estimate.

    >>> _duration(7000)
    '1.9 hours'
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
