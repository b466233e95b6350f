"""The part of ``recsec evade`` that asks a visual search."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from recsec.cli.shared.output import emit, note, note_synthetic, progress
from recsec.cli.shared.tables import interval, plain_table
from recsec.library.listed import evade_listed

if TYPE_CHECKING:
    from recsec.attacks.evasion import EvasionAttack

__all__ = ["show_listed"]


def show_listed(
    tool: EvasionAttack, plan: dict[str, Any], out: Path, *, authorised: bool, json: bool
) -> None:
    """Attack pairs through lists of ids.

    Raises:
        UsageError: an option or attack that needs more.
        TargetError: the search fails.
    """
    with progress() as report:
        _, result = evade_listed(
            tool, plan, out, authorised=authorised, announce=note, progress=report
        )
    emit(result, lambda console: _render(console, result), json=json)
    note_synthetic(result["synthetic"], photos=True)


def _render(out: Console, result: dict[str, Any]) -> None:
    from recsec.metrics import SUCCESS_AT
    from recsec.stats import Estimate

    for found in result["budgets"]:
        title = (
            f"{result['attack']}, eps {found['eps']:g} (in 8 bits {found['effective_eps']:.4f}): "
            "share of pairs that reach place r; lower is safer"
        )
        table = plain_table(title, ["r", "unchanged", "random noise", "attack"])
        for r in SUCCESS_AT:
            if f"success@{r}" in found:
                cells = (found["clean"], found["noise"], found)
                table.add_row(str(r), *(interval(Estimate(**one[f"success@{r}"])) for one in cells))
        out.print(table)
        out.print(f"L-inf {found['linf']:.4f}; {found['queries']:.0f} queries a pair")
    out.print(result["protocol"])
    out.print(f"pairs: {result['pairs_file']}", soft_wrap=True)
