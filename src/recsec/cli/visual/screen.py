"""``recsec screen``: is this photo, uploaded for a listing, made to deceive the recommender?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from recsec.cli.shared.common import (
    EncoderOption,
    JsonOption,
    PhotosOption,
    QuietOption,
    SeedOption,
)
from recsec.cli.shared.output import emit, note, progress
from recsec.cli.shared.tables import plain_table
from recsec.cli.visual.opening import tell_of
from recsec.errors import DataError
from recsec.library.photos import encoder_source, open_split
from recsec.sources import refuse_source

if TYPE_CHECKING:
    from recsec.screening import Screen

__all__ = ["run"]


def run(
    image: Annotated[
        Path, typer.Argument(metavar="IMAGE", help="The uploaded photo.", show_default=False)
    ],
    listing: Annotated[
        str, typer.Option("--listing", metavar="ID", help="The item whose photo it replaces.")
    ],
    model: EncoderOption,
    data: PhotosOption,
    seed: SeedOption = 0,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check an uploaded photo before it is served.

    Four screens: has the embedding moved though the photo looks the same, does it survive
    squeezing, does its category fit its neighbors, would it be in unusually many lists. Thresholds
    at false-positive rates of 1 % and 0.1 % are fitted on half of the held-out photos, re-encoded
    as honest sellers might, and measured on the other half. Exits 0 also when something was found.
    """
    import numpy as np

    from recsec.data import read_photo, resize
    from recsec.models import frozen_copy
    from recsec.registry import registry
    from recsec.rng import Streams
    from recsec.screening import catalog_of, fit_panel, uploads_of

    refuse_source("screen", model)
    source = encoder_source(model)
    encoder = frozen_copy(source.encoder)
    try:
        content = image.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {image}: {error.strerror}") from error
    photo = read_photo(content, name=str(image))
    screens: list[Screen] = [
        kind(kind.config_class()) for kind in registry("screens").items().values()
    ]
    with progress() as report:
        split = open_split(data, report)
        tell_of(source, split.photos)
        row = split.photos.rows([split.photos.parse_id(listing)])
        features = source.features(split.photos, rows=split.catalog, progress=report)
        catalog = catalog_of(encoder, split, features)
        panel, other = fit_panel(
            encoder, split, catalog, screens, rng=Streams(seed).child("screen")
        )
    pixels = np.array(resize(photo, encoder.size, split.photos.rule))[np.newaxis]
    uploads = uploads_of(encoder, split, pixels, row)
    scores = panel.scores(uploads, catalog)[0]
    alarms = panel.false_alarms(other, catalog)
    columns: list[dict[str, Any]] = [
        {
            "screen": name,
            "score": float(score),
            "at": {
                f"{rate:g}": {
                    "threshold": float(panel.limits[rate][place]),
                    "flagged": bool(score > panel.limits[rate][place]),
                    "false_positive_rate": alarms[rate][name],
                }
                for rate in panel.limits
            },
        }
        for place, (name, score) in enumerate(zip(panel.names, scores, strict=True))
    ]
    neighbors = catalog.vectors @ uploads.embeddings[0]
    nearest = [at for at in neighbors.argsort(descending=True).tolist() if at != int(row[0])][:5]
    table = split.photos.table
    result: dict[str, Any] = {
        "image": str(image),
        "listing": listing,
        "category": table["category"][int(row[0])],
        "model": model,
        "data": data,
        "synthetic": split.photos.synthetic,
        "flagged": {rate: found["flagged"] for rate, found in columns[-1]["at"].items()},
        "screens": columns[:-1],
        "panel": columns[-1],
        "neighbors": [
            {"id": table["id"][at], "title": table["title"][at], "category": table["category"][at]}
            for at in nearest
        ],
        "fitted_on": panel.fitted_on,
        "measured_on": len(other.listings),
        "assumed": "clean uploads are re-encoded copies: light and contrast +-5 %, JPEG 80 to 95",
    }
    emit(result, lambda console: _render(console, result), json=json)
    _warn(panel.fitted_on)


def _warn(fitted_on: int) -> None:
    """Say what rates so few clean uploads cannot vouch for."""
    from recsec.screening import RATES, needed

    for rate in RATES:
        if fitted_on < needed(rate):
            note(
                f"warning: {fitted_on:,} clean uploads cannot vouch for a false-positive rate of "
                f"{100 * rate:g} %: that takes {needed(rate):,} without any alarm"
            )


def _render(console: Console, result: dict[str, Any]) -> None:
    rates = list(result["flagged"])
    titles = [f"limit at {100 * float(rate):g} %" for rate in rates]
    table = plain_table(f"listing {result['listing']}", ["", "score", *titles, "flagged"])
    for entry in [*result["screens"], result["panel"]]:
        limits = [f"{entry['at'][rate]['threshold']:.4f}" for rate in rates]
        flagged = [f"{100 * float(rate):g} %" for rate in rates if entry["at"][rate]["flagged"]]
        table.add_row(entry["screen"], f"{entry['score']:.4f}", *limits, ", ".join(flagged) or "-")
    console.print(table)
    said = [f"{100 * float(rate):g} %" for rate in rates if result["flagged"][rate]]
    console.print(f"the panel flags this photo at {', '.join(said)}" if said else "not flagged")
    for rate in rates:
        found = result["panel"]["at"][rate]["false_positive_rate"]
        console.print(
            f"false alarms of the panel at {100 * float(rate):g} %: measured "
            f"{100 * found.value:.2f} % [{100 * found.low:.2f}, {100 * found.high:.2f}], "
            f"n = {found.n:,}"
        )
    console.print(f"declared category: {result['category']}; nearest photos:")
    for entry in result["neighbors"]:
        console.print(f"  {entry['id']}  {entry['category']}  {entry['title']}")
