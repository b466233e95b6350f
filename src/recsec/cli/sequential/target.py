"""The part of ``recsec target check`` that is about recommenders of sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from recsec.cli.sequential.answering import note_unknown, unknown_json
from recsec.cli.shared.output import emit, note
from recsec.cli.shared.reading import open_data, told_name
from recsec.cli.shared.tables import show_commands
from recsec.sources import CAPABILITIES, SAID

if TYPE_CHECKING:
    from recsec.library.checking import CheckedSource

__all__ = ["check_sequences"]

SHOWN = 5
"""Ids at the end of a history and at the beginning of a list that are shown."""


def check_sequences(
    spec: str, data: str | None, *, columns: str | None, k: int, authorised: bool, json: bool
) -> None:
    """Ask a recommender a few questions, and show what it answered.

    Raises:
        TargetError: it cannot be audited.
    """
    from recsec.library.checking import check_source

    dataset = open_data(data, columns, model=spec)
    found = check_source(spec, dataset, k=k, authorised=authorised)
    result: dict[str, Any] = {
        "model": spec,
        "data": told_name(data, dataset),
        "kind": found.kind,
        "shown": found.shown,
        "gives": [one for one in CAPABILITIES if one in found.gives],
        "calls": found.calls,
        "k": k,
        "lengths": [found.shortest, found.longest],
        "ordered": found.ordered,
        "own_history": found.own_history,
        "questions": [vars(one) for one in found.questions],
        "defects": list(found.defects),
        "unknown_ids": unknown_json(found.unknown),
        "commands": found.lacks,
    }
    emit(result, lambda out: _render(out, found), json=json)
    for defect in found.defects:
        note(f"warning: {defect}")
    note_unknown(found.unknown)


def _render(out: Console, found: CheckedSource) -> None:
    said = ", ".join(SAID[one] for one in CAPABILITIES if one in found.gives)
    out.print(f"{found.kind}: gives {said}", soft_wrap=True)
    if found.shown:
        out.print(found.shown, soft_wrap=True, highlight=False, markup=False)
    for one in found.questions:
        sent = ", ".join(map(str, one.sent[-SHOWN:]))
        got = ", ".join(map(str, one.answered[:SHOWN]))
        more = "..., " if len(one.sent) > SHOWN else ""
        rest = ", ..." if len(one.answered) > SHOWN else ""
        out.print(
            f"sent [{more}{sent}] -> [{got}{rest}], {len(one.answered)} items, "
            f"{one.seconds * 1000:.1f} ms",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
    lengths = sorted({found.shortest, found.longest})
    order = "is" if found.ordered else "is not"
    out.print(
        f"{found.calls} calls; repeats itself; lists of {' to '.join(map(str, lengths))} items; a "
        f"shorter list {order} the beginning of a longer one; {found.own_history:.1%} of the items "
        "are the history's own",
        soft_wrap=True,
        highlight=False,
    )
    show_commands(out, found.lacks)
