"""``recsec similar``: the neighbors of one photo, as a table and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from recsec.cli.shared.common import EncoderOption, JsonOption, PhotosOption, QuietOption
from recsec.cli.shared.output import emit, note, progress
from recsec.cli.shared.tables import plain_table
from recsec.errors import UsageError
from recsec.sources import refuse_source

if TYPE_CHECKING:
    from recsec.data import Photos

__all__ = ["run"]

SHOWN_SIZE = 224


def run(
    model: EncoderOption,
    data: PhotosOption,
    item: Annotated[str, typer.Option("--item", metavar="ID", help="Whose neighbors.")],
    out: Annotated[Path, typer.Option("--out", metavar="PNG", help="The contact sheet to write.")],
    k: Annotated[int, typer.Option("--k", min=1, max=60, help="How many neighbors.")] = 10,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show the items whose photos are nearest to that of an item.

    The whole catalog is ranked by the cosine of embeddings, exactly; the item itself is left out.
    Embeddings of the catalog are kept beside the checkpoint.
    """
    from recsec.library.photos import open_encoder
    from recsec.reports.figures.contact_sheet import Tile, contact_sheet
    from recsec.runs import atomic_write_bytes

    if out.suffix.lower() != ".png":
        raise UsageError(f"--out {out}: expected a file that ends in .png")
    refuse_source("similar", model)
    with progress() as report:
        opened = open_encoder(model, data, progress=report)
        photos = opened.photos
        own = photos.parse_id(item)
        row = int(photos.rows([own])[0])
        neighbors = opened.neighbors(own, k).to_dicts()
    query = _described(photos, row)
    rows = photos.rows([entry["id"] for entry in neighbors]).tolist()
    pixels = photos.pixels([row, *rows], SHOWN_SIZE)
    tiles = [
        Tile(image, f"{entry['title']}\n{entry['category']}{_cosine(entry)}")
        for image, entry in zip(pixels, [query, *neighbors], strict=True)
    ]
    atomic_write_bytes(out, contact_sheet(tiles[0], tiles[1:]))
    result = {
        "protocol": f"catalog of {len(photos):,} photos minus the query; cosine, exact",
        "model": model,
        "data": data,
        "query": query,
        "neighbors": neighbors,
        "figure": str(out),
    }
    emit(result, lambda console: _render(console, result), json=json)
    note(f"figure: {out}")


def _described(photos: Photos, row: int) -> dict[str, Any]:
    """Id, title and category of a photo."""
    entry: dict[str, Any] = photos.table.select("id", "title", "category").row(row, named=True)
    return entry


def _cosine(entry: dict[str, Any]) -> str:
    return f", {entry['cosine']:.3f}" if "cosine" in entry else ""


def _render(out: Console, result: dict[str, Any]) -> None:
    query = result["query"]
    table = plain_table("", ["", "id", "title", "category", "cosine"], left=4)
    for column in table.columns:
        column.no_wrap, column.overflow = True, "ellipsis"
    table.columns[2].max_width = 40
    for entry in result["neighbors"]:
        words = (Text(str(entry[key] or "")) for key in ("id", "title", "category"))
        table.add_row(str(entry["place"]), *words, f"{entry['cosine']:.3f}")
    out.print(f"Nearest to {query['id']}, {query['title']} ({query['category']})")
    out.print(table)
    out.print(result["protocol"])
