"""The part of ``recsec evade`` that attacks many pairs of photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from recsec.cli.shared.common import dialect_of_tables
from recsec.cli.shared.output import emit, note, note_synthetic, progress
from recsec.cli.shared.tables import interval, plain_table
from recsec.cli.visual.evade.shared import warn_of_masking

if TYPE_CHECKING:
    from recsec.attacks.evasion import EvasionAttack

__all__ = ["show_pairs"]


def show_pairs(
    tool: EvasionAttack,
    plan: dict[str, Any],
    out: Path,
    *,
    device: str,
    json: bool,
    options: dict[str, Any],
) -> None:
    """Attack random pairs of held-out photos, or those of a file.

    Raises:
        UsageError: the pairs are neither a policy nor a file.
        DataError: too few photos, or an unknown id.
    """
    from recsec.library.evade import evade_pairs

    with progress() as report:
        found = evade_pairs(
            tool,
            plan,
            out,
            device=device,
            options=options,
            dialect=dialect_of_tables(),
            progress=report,
        )
    for text in found.notes:
        note(text)
    emit(dict(found.result), lambda console: _render(console, dict(found.result)), json=json)
    warn_of_masking(int(found.pairs["dead"].sum()), int(found.pairs["backwards"].sum()))
    for budget, seen in zip(plan["eps"], found.controls, strict=False):
        if seen.weak:
            note(
                f"warning: {tool.name} is weak on this encoder: at eps {budget:g} {seen}. "
                "Take --attack auto, or more steps: --attack auto-400"
            )
    note_synthetic(found.synthetic, photos=True)


def _render(out: Console, result: dict[str, Any]) -> None:
    from recsec.metrics import SUCCESS_AT
    from recsec.stats import Estimate

    for found in result.get("budgets", [result]):
        title = (
            f"{result['attack']}, eps {found['eps']:g} (in 8 bits {found['effective_eps']:.4f}): "
            "share of pairs that reach rank r; lower is safer"
        )
        table = plain_table(title, ["r", "unchanged", "random noise", "attack"])
        for r in SUCCESS_AT:
            cells = (found["clean"], found["noise"], found)
            table.add_row(str(r), *(interval(Estimate(**one[f"success@{r}"])) for one in cells))
        out.print(table)
        out.print(
            f"median rank {found['rank_before']:,.0f} -> {found['rank_after']:,.0f}; cosine "
            f"{found['cosine_before']:.3f} -> {found['cosine_after']:.3f}; L-inf "
            f"{found['linf']:.4f}; PSNR {found['psnr']:.1f} dB; SSIM {found['ssim']:.4f}; "
            f"{found['backwards']:.1f} gradients and {found['queries']:.0f} queries a pair"
        )
    if "min_eps" in result:
        least = result["min_eps"]
        table = plain_table(f"smallest budget for rank {least['rank']}", ["", "eps"])
        table.add_row("median", interval(Estimate(**least["median"])))
        failed = f"share of pairs that fail at {least['largest']:g}"
        table.add_row(failed, interval(Estimate(**least["failed"])))
        out.print(table)
    out.print(result["protocol"])
    out.print(f"pairs: {result['pairs_file']}", soft_wrap=True)
