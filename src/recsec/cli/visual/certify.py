"""``recsec certify``: how near to other items no perturbation can bring a photo, with proof."""

from __future__ import annotations

import math
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
from recsec.cli.visual.opening import open_embedded
from recsec.library.photos import encoder_source
from recsec.sources import refuse_source

if TYPE_CHECKING:
    from recsec.attacks.evasion import Pairs
    from recsec.data import PhotoSplit

__all__ = ["run"]

ERROR = 0.001


def run(
    model: EncoderOption,
    data: PhotosOption,
    sigma: Annotated[
        float, typer.Option("--sigma", min=1e-6, help="Deviation of the noise, of pixel range.")
    ] = 0.1,
    draws: Annotated[int, typer.Option("--draws", min=2, help="Noisy copies per photo.")] = 1000,
    pairs: Annotated[
        int, typer.Option("--pairs", min=1, help="Random cross-category pairs to certify.")
    ] = 20,
    rank: Annotated[int, typer.Option("--rank", min=1, help="A success is this rank.")] = 3,
    seed: SeedOption = 0,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Certify that photos cannot reach other items' lists (randomized smoothing).

    The certificate is about L2 radii and about a recommender that ranks an upload by its mean
    cosine over many noisy copies, not by the plain cosine. It is useful at small budgets and small
    photos only: an L-infinity ball of radius eps lies in an L2 ball of radius eps times the root of
    the number of pixel values.
    """
    import numpy as np
    import torch

    from recsec.attacks.evasion import sample_pairs
    from recsec.hardening import safe_radius, smooth
    from recsec.models import ExactIndex, frozen_copy
    from recsec.rng import Streams

    refuse_source("certify", model)
    source = encoder_source(model)
    encoder = frozen_copy(source.encoder)
    streams = Streams(seed).child("certify")
    found = []
    with progress() as report:
        split, features = open_embedded(source, data, report)
        index = ExactIndex(torch.nn.functional.normalize(features[torch.from_numpy(split.catalog)]))
        chosen = _pairs(sample_pairs, split, pairs, streams)
        attackers, targets = torch.from_numpy(chosen.attackers), torch.from_numpy(chosen.targets)
        limits = index.thresholds(targets, rank, attackers)
        for at, row in enumerate(split.catalog[chosen.attackers]):
            pixels = split.photos.pixels(np.array([row]), encoder.size)
            image = torch.from_numpy(pixels)[0].float().div(255)
            bound = smooth(
                encoder, image, index.vectors[targets[at : at + 1]], sigma=sigma, draws=draws,
                rng=streams.torch(f"noise-{at}"), alpha=ERROR,
            )  # fmt: skip
            radius = safe_radius(bound.upper, limits[at : at + 1], sigma)
            found.append((float(bound.mean[0]), float(bound.upper[0]), float(radius[0])))
            report("certifying", at + 1, len(chosen))
    values = 3 * encoder.size**2
    rows = [
        {
            "item": split.photos.ids[split.catalog[a]],
            "target": split.photos.ids[split.catalog[t]],
            "similarity": mean,
            "upper_bound": upper,
            "threshold": float(limit),
            "l2_radius": radius,
            "linf_radius": radius / math.sqrt(values),
        }
        for a, t, limit, (mean, upper, radius) in zip(
            chosen.attackers, chosen.targets, limits, found, strict=True
        )
    ]
    radii = np.array([radius for _, _, radius in found])
    result: dict[str, Any] = {
        "model": model,
        "data": data,
        "synthetic": split.photos.synthetic,
        "sigma": sigma,
        "draws": draws,
        "alpha": ERROR,
        "rank": rank,
        "pairs": rows,
        "certified": {
            f"{level}/255": float((radii >= level / 255 * math.sqrt(values)).mean())
            for level in (0.25, 0.5, 1, 2, 8)
        },
        "median_l2_radius": float(np.median(radii)),
        "pixel_values": values,
    }
    emit(result, lambda console: _render(console, result), json=json)
    note(
        "the certificate is for ranking by the smoothed cosine; the plain recommender is not "
        "covered by it"
    )


def _pairs(sample: Any, split: PhotoSplit, count: int, streams: Any) -> Pairs:
    """Pairs of rows of the index, among held-out photos."""
    import numpy as np

    at = np.searchsorted(split.catalog, split.test)
    found: Pairs = sample("cross-category", at, split.labels[split.catalog], count, rng=streams)
    return found


def _render(console: Console, result: dict[str, Any]) -> None:
    table = plain_table(
        f"smoothing with sigma {result['sigma']:g}, {result['draws']:,} draws",
        ["item", "target", "similarity", "bound", "limit", "L2", "L-inf x 255"],
    )
    for row in result["pairs"]:
        table.add_row(
            str(row["item"]),
            str(row["target"]),
            *(f"{row[key]:.3f}" for key in ("similarity", "upper_bound", "threshold", "l2_radius")),
            f"{255 * row['linf_radius']:.2f}",
        )
    console.print(table)
    console.print(f"median L2 radius: {result['median_l2_radius']:.3f}")
    for eps, share in result["certified"].items():
        console.print(
            f"no photo within L-infinity {eps} reaches rank {result['rank']}: "
            f"certified for {100 * share:.0f} % of {len(result['pairs'])} pairs"
        )
