"""Where is the frontier between retrieval and robustness? Hardenings on the fashion photos.

    RECSEC_MIRROR=... python benchmarks/fashion_hardening.py --model ENCODER --out DIR
    RECSEC_MIRROR=... python benchmarks/fashion_hardening.py --model ENCODER --out DIR --test NAME

Without ``--test`` each configuration is trained into ``DIR/NAME`` (a finished one is kept) and
measured on validation photos: precision@10, accuracy, and success@3 of APGD-50 on 300 validation
pairs at eps 0.05 and 0.1. That is how defaults were chosen. ``--test`` then measures the named
ones once on 1,000 pairs of test photos, per pair the worst of several attacks. Every row goes to
``benchmarks/results/fashion_hardening.json`` and the table to ``fashion_hardening.txt``.

The cost is in epochs of ordinary training of the same encoder, measured in the same process.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recsec.attacks.evasion import (
    Apgd,
    Evaded,
    MomentumPgd,
    Scene,
    evade,
    sample_pairs,
)
from recsec.attacks.evasion.harness.sweep import choose, merge, pick
from recsec.data import load_photos, split_photos
from recsec.data.photos.split import PhotoSplit
from recsec.evaluation import evaluate_encoder
from recsec.hardening import Clock, clean_epoch_seconds, harden, hardening_class
from recsec.models import (
    Encoder,
    ExactIndex,
    Training,
    encoder_fingerprint,
    load_encoder,
)
from recsec.models.visual.embedding import embed
from recsec.rng import Streams
from recsec.runs import atomic_write_text, environment
from recsec.stats import wilson

RESULTS = Path(__file__).parent / "results"
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "trades-embedding": ("trades-embedding", {}),
    "adversarial": ("adversarial", {}),
    "curriculum": ("curriculum", {}),
    "fast": ("fast", {}),
    "fare": ("fare", {}),
    "target": ("target", {}),
    "target-eps0.03": ("target", {"eps": 0.03}),
    "target-eps0.04": ("target", {"eps": 0.04}),
    "target-no-margin": ("target", {"margin_weight": 0.0}),
    "target-8-epochs": ("target", {"epochs": 8}),
    "trades-eps0.05": ("trades-embedding", {"eps": 0.05, "steps": 2}),
}
"""Name of the folder, method, and what differs from its defaults."""
SEED = 0
PROBE_PAIRS, TEST_PAIRS = 300, 1000
CLOSEST = 200
"""Pairs that APGD-400 with five restarts is spent on: those nearest to success."""


class Catalog:
    """An encoder's catalog and the pairs drawn from one part of the split."""

    def __init__(self, encoder: Encoder, split: PhotoSplit) -> None:
        self.encoder, self.split = encoder.eval(), split
        self.index = ExactIndex(embed(encoder, split.photos, split.catalog))

    def scene(self, rows: np.ndarray, n: int) -> Scene:
        """``n`` random cross-category pairs among ``rows`` of the photos."""
        split = self.split
        at = np.searchsorted(split.catalog, rows)
        labels = split.labels[split.catalog]
        pairs = sample_pairs("cross-category", at, labels, n, rng=Streams(SEED))
        pixels = [
            torch.from_numpy(split.photos.pixels(split.catalog[part], self.encoder.size))
            for part in (pairs.attackers, pairs.targets)
        ]
        return Scene(self.encoder, self.index, pairs, *pixels)


def success(found: Evaded, r: int) -> dict[str, Any]:
    """Share of pairs of rank r or better, in budget, with Wilson's interval."""
    won = (found.table["rank_after"] <= r) & found.table["in_budget"]
    return wilson(int(won.sum()), len(won)).to_json()


def quality(encoder: Encoder, split: PhotoSplit, queries: np.ndarray) -> dict[str, float]:
    """Mean precision@10, accuracy and precision@1 of attributes."""
    found = evaluate_encoder(encoder, split, queries=queries).columns
    shown = {"precision@1", "precision@10", "map@r", "accuracy"}
    return {
        name: float(np.nanmean(values))
        for name, values in found.items()
        if name in shown or name.startswith("attribute")
    }


def say(what: str, done: int, total: int) -> None:
    """Progress on stderr, now and then."""
    if done == total or done % max(1, total // 5) == 0:
        print(f"{what}: {done}/{total}", file=sys.stderr, flush=True)


def probed(encoder: Encoder, split: PhotoSplit) -> dict[str, Any]:
    """What chooses: validation photos only."""
    scene = Catalog(encoder, split).scene(split.validation, PROBE_PAIRS)
    row: dict[str, Any] = {"validation": quality(encoder, split, split.validation)}
    for eps in (0.05, 0.1):
        attack = Apgd(Apgd.config_class(steps=50))
        found = evade(attack, scene, eps=eps, rng=Streams(SEED), stop_rank=3)
        row[f"eps {eps}"] = {f"success@{r}": success(found, r) for r in (3, 10)}
        row[f"eps {eps}"]["cosine"] = float(found.table["cosine_after"].mean())
    return row


def run(name: str, given: Encoder, split: PhotoSplit, out: Path, data: dict[str, Any]) -> dict:
    """Train one configuration, measure it on validation photos, tell its cost."""
    method, settings = RUNS[name]
    config = hardening_class(method, hardens=Encoder.name).config_class(**settings)
    clock = Clock(say)
    how = Training(out=out / name, device="cpu", progress=clock)
    hardened = harden(method, given, split, config, seed=SEED, training=how, data=data)
    row = {"method": method, "settings": settings, "config": config.model_dump(mode="json")}
    if (seconds := clock.total()) is not None:
        unit = clean_epoch_seconds(given, split, training=Training(device="cpu"))
        row["clean_epoch_seconds"] = unit
        row["clean_epochs"] = seconds / unit
        row["clean_trainings"] = seconds / unit / given.config.epochs
    row["history"] = json.loads((out / name / "history.json").read_text())
    return {**row, **probed(hardened, split)}


def tested(encoder: Encoder, split: PhotoSplit, eps: float) -> dict[str, Any]:
    """The worst of the attacks per pair, on test photos, each attack on what is left."""
    scene = Catalog(encoder, split).scene(split.test, TEST_PAIRS).prepared()
    row: dict[str, Any] = {"n": len(scene), "eps": eps}
    worst: Evaded | None = None
    for label, attack, goal in (
        ("MI-30", MomentumPgd(MomentumPgd.config_class()), "cosine"),
        ("APGD-100", Apgd(Apgd.config_class()), "cosine"),
        ("APGD-100 of features", Apgd(Apgd.config_class()), "features"),
    ):
        found = evade(attack, scene, eps=eps, rng=Streams(SEED).child(label), stop_rank=1,
                      goal=goal, progress=say)  # fmt: skip
        worst = found if worst is None else found.better_of(worst)
        row[label] = {f"success@{r}": success(found, r) for r in (1, 3, 10)}
        row[f"worst so far, after {label}"] = success(worst, 3)
    rows = torch.arange(len(scene))
    limits = scene.index.thresholds(scene.rows("targets", rows), 3, scene.rows("attackers", rows))
    gap = limits.cpu().numpy() - worst.table["cosine_after"].to_numpy()
    left = np.flatnonzero(worst.table["rank_after"].to_numpy() > 3)
    near = left[np.argsort(gap[left])][:CLOSEST]
    attack = Apgd(Apgd.config_class(steps=400, restarts=5))
    again = evade(attack, pick(scene, near), eps=eps, rng=Streams(SEED), stop_rank=3,
                  keys=near.tolist(), progress=say)  # fmt: skip
    worst = merge(worst, near, again.better_of(choose(worst, near)))
    row["APGD-400 x 5 on"] = len(near)
    row["gap of the first pair left out"] = float(np.sort(gap[left])[min(CLOSEST, len(left) - 1)])
    row["largest gain of APGD-400 x 5"] = float(
        (again.table["cosine_after"].to_numpy() + gap[near] - limits.cpu().numpy()[near]).max()
    )
    row["worst"] = {f"success@{r}": success(worst, r) for r in (1, 3, 10, 100)}
    row["cosine before"] = float(worst.table["cosine_before"].mean())
    row["cosine after"] = float(worst.table["cosine_after"].mean())
    return row


class Notes:
    """The results so far, as JSON and as a table."""

    def __init__(self, split: PhotoSplit, given: Encoder) -> None:
        self.path = RESULTS / "fashion_hardening.json"
        self.found = json.loads(self.path.read_text()) if self.path.exists() else {}
        if self.found.get("encoder") != encoder_fingerprint(given):
            self.found = {"encoder": encoder_fingerprint(given)}  # of another encoder: begin anew
        self.found["machine"] = {"machine": platform.machine(), **environment()}
        self.found["protocol"] = (
            f"{len(split.catalog):,} photos of {len(split.categories)} categories; "
            f"{len(split.validation)} validation and {len(split.test):,} test photos; random "
            "cross-category pairs; 8-bit PNG, exact rank"
        )
        self.rows: dict[str, Any] = self.found.setdefault("rows", {})

    def keep(self, name: str, row: dict[str, Any]) -> None:
        """Add to a row and write both files."""
        self.rows[name] = {**self.rows.get(name, {}), **row}
        atomic_write_text(self.path, json.dumps(self.found, indent=1) + "\n")
        atomic_write_text(self.path.with_suffix(".txt"), self.table())

    def table(self) -> str:
        """For reading."""
        lines = [
            "Hardenings of the fashion encoder. Written by benchmarks/fashion_hardening.py.",
            self.found["protocol"],
            "",
            "Chosen on validation photos: APGD-50, success@3 in % of 300 pairs; cost in clean",
            "epochs (and in clean trainings of the same encoder), measured in the same process.",
            "",
            f"{'configuration':<22}{'p@10':>7}{'acc':>7}{'eps .05':>9}{'eps .1':>8}"
            f"{'cos .05':>9}{'epochs':>8}{'trainings':>11}  settings",
        ]
        for name, row in self.rows.items():
            if "validation" not in row:
                continue
            cost = [row.get(key) for key in ("clean_epochs", "clean_trainings")]
            lines.append(
                f"{name:<22}{row['validation']['precision@10']:>7.3f}"
                f"{row['validation']['accuracy']:>7.3f}"
                f"{100 * row['eps 0.05']['success@3']['value']:>9.1f}"
                f"{100 * row['eps 0.1']['success@3']['value']:>8.1f}"
                f"{row['eps 0.05']['cosine']:>9.3f}"
                + (f"{cost[0]:>8.1f}{cost[1]:>11.2f}" if cost[0] else f"{'-':>8}{'-':>11}")
                + f"  {settings_of(row)}"
            )
        for name, row in self.rows.items():
            if "test" in row:
                lines += ["", f"{name} on test photos", *test_lines(row["test"])]
        return "\n".join(lines) + "\n"


def settings_of(row: dict[str, Any]) -> str:
    """What differs from the defaults of the method."""
    given = row.get("settings", {})
    return " ".join([row.get("method", ""), *(f"{k}={v}" for k, v in given.items())])


def test_lines(test: dict[str, Any]) -> list[str]:
    """The measurements on test photos, one per line."""
    lines = [f"  {key} {value:.4f}" for key, value in test["quality"].items()]
    for eps, found in test["attacked"].items():
        for label, value in found.items():
            if isinstance(value, dict) and "success@3" in value:
                three = value["success@3"]
                lines.append(
                    f"  eps {eps}, {label}: success@3 {100 * three['value']:.2f} % "
                    f"[{100 * three['low']:.2f}, {100 * three['high']:.2f}], n = {three['n']}; "
                    f"@1 {100 * value['success@1']['value']:.2f} %, "
                    f"@10 {100 * value['success@10']['value']:.2f} %"
                )
        for label in ("APGD-400 x 5 on", "gap of the first pair left out",
                      "largest gain of APGD-400 x 5", "cosine before", "cosine after"):  # fmt: skip
            lines.append(f"  eps {eps}, {label}: {found[label]:.4g}")
    return lines


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="the undefended encoder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=RUNS, default=list(RUNS))
    parser.add_argument("--test", nargs="*", choices=["undefended", *RUNS])
    parser.add_argument("--eps", nargs="*", type=float, default=[0.05])
    arguments = parser.parse_args()
    photos = load_photos("fashion")
    split = split_photos(photos)
    given = load_encoder(arguments.model)
    notes = Notes(split, given)
    for name in arguments.test or []:
        encoder = given if name == "undefended" else load_encoder(arguments.out / name)
        found = notes.rows.get(name, {}).get("test", {"attacked": {}})
        found["quality"] = quality(encoder, split, split.test)
        for eps in arguments.eps:
            found["attacked"][str(eps)] = tested(encoder, split, eps)
            notes.keep(name, {"test": found})
    if arguments.test is None:
        if "validation" not in notes.rows.get("undefended", {}):
            notes.keep("undefended", probed(given, split))
        data = {"name": photos.name, "fingerprint": photos.fingerprint}
        for name in arguments.only:
            if "validation" not in notes.rows.get(name, {}):
                notes.keep(name, run(name, given, split, arguments.out, data))
    print(notes.table())


if __name__ == "__main__":
    main()
