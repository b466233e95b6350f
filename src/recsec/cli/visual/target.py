"""The part of ``recsec target check`` that is about encoders of photos and visual searches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from recsec.cli.shared.common import dialect_of_tables
from recsec.cli.shared.output import emit, progress
from recsec.cli.shared.tables import show_commands
from recsec.library.photos import open_photos
from recsec.sources import CAPABILITIES, SAID

if TYPE_CHECKING:
    from recsec.library.checking import CheckedEncoder

__all__ = ["check_encoder"]


def check_encoder(spec: str, data: str, *, authorised: bool, json: bool) -> None:
    """Ask an encoder or a visual search about a few photos, and show what it answered.

    Raises:
        TargetError: it cannot be audited.
    """
    from recsec.library.checking import check_photos

    with progress() as report:
        photos = open_photos(data, report, dialect=dialect_of_tables())
        found = check_photos(spec, photos, authorised=authorised)
    result: dict[str, Any] = {
        "model": spec,
        "data": data,
        "kind": found.kind,
        "gives": [one for one in CAPABILITIES if one in found.gives],
        "shown": found.shown,
        "questions": [vars(one) for one in found.questions],
        "repeats": found.repeats,
        "opaque": found.opaque or None,
        "commands": found.lacks,
    }
    emit(result, lambda out: _render(out, found), json=json)


def _render(out: Console, found: CheckedEncoder) -> None:
    said = ", ".join(SAID[one] for one in CAPABILITIES if one in found.gives)
    lines = [f"{found.kind}: gives {said}", found.shown]
    if found.opaque:
        lines.append(f"no gradients: {found.opaque}")
    for one in found.questions:
        got = ", ".join(map(str, one.answered))
        what = "items" if "embeddings" not in found.gives else "numbers"
        lines.append(
            f"sent the photo of {one.item} as {one.sent} -> [{got}, ...], {one.size} {what}, "
            f"{one.seconds * 1000:.1f} ms"
        )
    for line in [*lines, found.repeats]:
        out.print(line, soft_wrap=True, highlight=False, markup=False)
    show_commands(out, found.lacks)
