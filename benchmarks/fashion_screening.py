"""Do the screens catch the attack, and the attacker who knows them? Fashion photos.

    RECSEC_MIRROR=... python benchmarks/fashion_screening.py --model undefended=DIR --model best=DIR

Thresholds are fitted on half of the held-out photos (re-encoded) and measured on the other half.
Pairs are cross-category; the attack is APGD-50 on the cosine minus a weight times how far the panel
is over its threshold at 1 % false alarms. Weight 0 does not know the panel. The last row takes per
pair whichever weight succeeds unseen: the attacker may try them all. Writes
``benchmarks/results/fashion_screening.txt`` and ``.json``.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recsec.attacks.evasion import Apgd, sample_pairs
from recsec.data import PhotoSplit, load_photos, split_photos
from recsec.models import Encoder, embed, frozen_copy, load_encoder
from recsec.models.trainer import resolve_precision
from recsec.registry import registry
from recsec.rng import Streams
from recsec.runs import atomic_write_text, environment
from recsec.screening import RATES, Catalog, Panel, catalog_of, fit_panel, silent_attack
from recsec.stats import Estimate, wilson

RESULTS = Path(__file__).parent / "results"
WEIGHTS = (0.0, 0.03, 0.1, 0.3)
PAIRS, STEPS, SUCCESS = 100, 50, 3
SEED = 0


def shown(estimate: Estimate) -> str:
    """In percent with the interval."""
    low, high = 100 * (estimate.low or 0), 100 * (estimate.high or 0)
    return f"{100 * estimate.value:6.2f} [{low:5.2f}, {high:5.2f}]"


def share(flags: np.ndarray) -> Estimate:
    """A rate with Wilson's interval."""
    return wilson(int(flags.sum()), len(flags))


def attacked(
    encoder: Encoder, split: PhotoSplit, panel: Panel, catalog: Catalog, eps: float
) -> dict[str, Any]:
    """Success and silence for each weight, and for the attacker who tries them all."""
    search = frozen_copy(encoder, dtype=resolve_precision("auto", encoder.device))
    pairs = sample_pairs("cross-category", split.test, split.labels, PAIRS, rng=Streams(SEED))
    images = torch.from_numpy(split.photos.pixels(pairs.attackers, encoder.size)).float() / 255
    rows: dict[str, Any] = {}
    unseen_by_any = {rate: np.zeros(PAIRS, dtype=bool) for rate in RATES}
    won_by_any = np.zeros(PAIRS, dtype=bool)
    for weight in WEIGHTS:
        found = silent_attack(
            Apgd(Apgd.config_class(steps=STEPS)), encoder, search, panel, catalog, images,
            pairs.attackers, pairs.targets, eps=eps, rate=0.01, weight=weight,
            rng=Streams(SEED).child(str(weight)),
        )  # fmt: skip
        won = found.ranks <= SUCCESS
        won_by_any |= won
        row: dict[str, Any] = {"success": share(won), "cosine": float(found.cosines.mean())}
        for rate in RATES:
            silent = found.undetected(panel, rate)
            unseen_by_any[rate] |= won & silent
            row[f"detected at {rate:g}"] = share(~silent)
            row[f"success and undetected at {rate:g}"] = share(won & silent)
            limits = panel.limits[rate].cpu().numpy()
            row[f"screens at {rate:g}"] = {
                name: float((found.scores[:, at] > limits[at]).mean())
                for at, name in enumerate(panel.names)
            }
        rows[f"weight {weight:g}"] = row
    rows["best of all weights"] = {
        "success": share(won_by_any),
        **{f"success and undetected at {rate:g}": share(unseen_by_any[rate]) for rate in RATES},
    }
    return rows


def measured(folder: Path, split: PhotoSplit, budgets: list[float]) -> dict[str, Any]:
    """Everything about one encoder."""
    encoder = frozen_copy(load_encoder(folder))
    features = embed(encoder, split.photos, np.arange(len(split.photos)), normalize=False)
    catalog = catalog_of(encoder, split, features)
    screens = [kind(kind.config_class()) for kind in registry("screens").items().values()]
    panel, other = fit_panel(encoder, split, catalog, screens, rng=Streams(SEED).child("screen"))
    return {
        "fitted on": panel.fitted_on,
        "false alarms": {str(k): v for k, v in panel.false_alarms(other, catalog).items()},
        "attacks": {str(eps): attacked(encoder, split, panel, catalog, eps) for eps in budgets},
    }


def table(name: str, found: dict[str, Any]) -> list[str]:
    """For reading."""
    lines = [f"{name}: thresholds from {found['fitted on']} clean uploads"]
    for rate, columns in found["false alarms"].items():
        for screen, value in columns.items():
            lines.append(f"  false alarms at {100 * float(rate):g} %, {screen:<12} {shown(value)}")
    for eps, rows in found["attacks"].items():
        for label, row in rows.items():
            lines.append(f"  eps {eps}, {label}: success@{SUCCESS} {shown(row['success'])}")
            for rate in RATES:
                joint = row[f"success and undetected at {rate:g}"]
                text = f"    at {100 * rate:g} %: success and undetected {shown(joint)}"
                if f"detected at {rate:g}" in row:
                    text += f"; detected {shown(row[f'detected at {rate:g}'])}: " + ", ".join(
                        f"{screen} {100 * value:.0f}"
                        for screen, value in row[f"screens at {rate:g}"].items()
                    )
                lines.append(text)
    return lines


def main() -> None:
    """Measure each model and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="append", required=True, metavar="NAME=DIR")
    parser.add_argument("--eps", nargs="*", type=float, default=[0.05])
    arguments = parser.parse_args()
    split = split_photos(load_photos("fashion"))
    lines = [
        "Screens on the fashion photos, percent with 95 % intervals. "
        f"Written by benchmarks/fashion_screening.py. {PAIRS} pairs, APGD-{STEPS}.",
        "",
    ]
    found = {}
    for word in arguments.model:
        name, _, folder = word.partition("=")
        found[name] = measured(Path(folder), split, arguments.eps)
        lines += [*table(name, found[name]), ""]
    machine = {"machine": platform.machine(), **environment()}
    text = json.dumps({"machine": machine, "results": found}, indent=1, default=Estimate.to_json)
    RESULTS.mkdir(exist_ok=True)
    atomic_write_text(RESULTS / "fashion_screening.json", text + "\n")
    atomic_write_text(RESULTS / "fashion_screening.txt", "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
