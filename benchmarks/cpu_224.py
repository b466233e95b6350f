"""A MobileNetV2 at 224 px on one core: what hardening costs and what attacks reach, in small.

    RECSEC_MIRROR=... OMP_NUM_THREADS=1 python benchmarks/cpu_224.py --work DIR --seconds 4600 \\
        --out OUT

The public network as it is, tuned without attack, and hardened from the public weights, all with
64 steps of 16 photos; then attacks on held-out pairs, among a part of the catalog. The large sister
is ``gpu_224.py``. What a core takes for a photo at 224 px (Xeon with AMX, bfloat16): embedding
10 ms (float32 19), a gradient by the photo 27 to 36 (float32 40), a training pass 56. So 64
steps take

  tuned        16 x 56 ms                    60 s
  target       16 x (10 + 2 x 30 + 2 x 56)  190 s
  adversarial  16 x (8 x 30 + 56)           300 s
  curriculum   16 x (0..4 x 30 + 56)    60..180 s, with an attack of 32 photos after every stage

the part of the catalog 20 s for each network, ``auto`` 0.5 s a pair where it succeeds at once and
8 s where it never does, ``thesis-pgd-128`` 5 s, ``thesis-cw-1000`` 45 s. Rounds go from the
cheap and important to the dear; rows and networks that are there are not made again, so the same
command goes on after a kill or with more time. Seconds are processor seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from recsec.attacks.evasion import Scene, catalog_scene, evade, open_attack, sample_pairs
from recsec.attacks.evasion.harness.sweep import pick
from recsec.data import load_photos, split_photos
from recsec.data.photos.split import PhotoSplit
from recsec.evaluation import evaluate_encoder
from recsec.hardening import harden, hardening_class
from recsec.hardening.visual.robust import RobustObjective
from recsec.metrics import success_rate
from recsec.models import (
    Encoder,
    EncoderConfig,
    Training,
    frozen_copy,
    train_encoder,
)
from recsec.models.visual.embedding import embed
from recsec.models.visual.training import PhotoObjective
from recsec.rng import Streams
from recsec.runs import environment

TRAIN, CHECK, TEST, OTHERS = 1024, 32, 500, 512
"""Photos that are learned, that a curriculum looks at after a stage, that are asked about, and
those of the learned ones that are in the catalog."""
RECIPE: dict[str, Any] = {"lr": 5e-4, "batch_size": 16, "warmup": 0.1, "patience": 1000}
STAGES = {"epochs": 16, "share": 1 / 16}
"""A curriculum's "epoch" is 4 steps: 16 of them are the 64 steps."""
NETWORKS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "public": (None, {"epochs": 0}),
    "tuned": (None, {"epochs": 1}),
    "target": ("target", {"epochs": 1}),
    "adversarial": ("adversarial", {"epochs": 1}),
    "curriculum": ("curriculum", {**STAGES, "stage_patience": 1}),
    "curriculum-thesis": ("curriculum-thesis", {**STAGES, "stage_patience": 2}),
}
"""Patience as a share of the schedule is about that of the defaults: 3 of 45, and 10 of 100."""
FIRST, SECOND = ("public", "tuned", "target"), ("adversarial", "curriculum", "curriculum-thesis")
PUBLISHED = {
    "public": "undefended",
    "adversarial": "adversarial training",
    "curriculum-thesis": "curriculum training",
}
EPS = (0.05, 0.03, 0.01)
ROUNDS: tuple[tuple[str, tuple[float, ...], int, tuple[str, ...]], ...] = (
    ("auto", (0.05,), 25, FIRST),
    ("thesis-fgsm", EPS, 25, FIRST),
    ("auto", (0.05,), 25, SECOND),
    ("auto", EPS, 25, FIRST + SECOND),
    ("auto", (0.05, 0.03), 100, FIRST + SECOND),
    ("thesis-fgsm", EPS, 100, FIRST + SECOND),
    ("thesis-pgd-128", (0.01,), 10, FIRST + SECOND),
    ("thesis-cw-1000", EPS, 5, tuple(PUBLISHED)),
    ("auto", (0.01,), 100, FIRST + SECOND),
    ("thesis-pgd-128", EPS, 10, FIRST + SECOND),
    ("thesis-cw-1000", EPS, 5, FIRST + SECOND),
    ("thesis-pgd-128", EPS, 100, FIRST + SECOND),
)
"""Attack, budgets, the first so many pairs, networks."""


def last_epoch_wins(self: PhotoObjective) -> dict[str, float]:
    """In place of validation, which costs more than an epoch here: nothing is chosen."""
    return {"time": time.monotonic()}


class Part(PhotoSplit):
    """Some photos of a split; attributes and their values stay those of all."""

    def attribute_targets(self) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
        """As of the whole split."""
        return split_photos(self.photos).attribute_targets()


class Bench:
    """The photos, the rows so far, and the time that is left."""

    def __init__(self, work: Path, seconds: float) -> None:
        self.work, self.end = work, time.process_time() + seconds
        self.path = work / "rows.jsonl"
        self.rows = rows_of(self.path)
        whole = split_photos(load_photos("fashion"))
        draw = Streams(0, ("cpu 224",))
        parts = (whole.train, TRAIN, "train"), (whole.validation, CHECK, "check"), \
            (whole.test, TEST, "test")  # fmt: skip
        train, check, test = (
            np.sort(draw.numpy(name).permutation(rows)[:n]) for rows, n, name in parts
        )
        where = whole.photos, whole.categories
        self.learned = Part(*where, train, check, test, whole.protocol)
        self.split = Part(*where, train[:: TRAIN // OTHERS], check, test, whole.protocol)
        mirror = Path(os.environ.get("RECSEC_MIRROR", "."))
        self.backbone = f"hf:{(mirror / 'encoders' / 'mobilenet-v2-224').resolve()}"
        self.scenes: dict[str, Scene] = {}

    def write(self, row: dict[str, Any]) -> None:
        """One row, at once."""
        self.rows.append(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        shown = {key: value for key, value in row.items() if key not in ("ranks", "pairs")}
        print(f"{self.end - time.process_time():5.0f} s left", json.dumps(shown), flush=True)

    def made(self, name: str) -> Encoder:
        """The network ``name``; made into ``work/name`` unless it is there."""
        folder = self.work / name
        method, settings = NETWORKS[name]
        how = Training(out=folder, device="cpu")
        config = EncoderConfig.model_validate(
            {**RECIPE, "backbone": self.backbone, "size": 224, "epochs": 0}
            | ({} if method else settings)
        )
        if method is None:
            return train_encoder(self.learned, config, training=how).eval()
        kind = hardening_class(method, hardens=Encoder.name)
        chosen = kind.config_class.model_validate({**RECIPE, **settings})
        base = self.made("public")
        return harden(method, base, self.learned, chosen, training=how).eval()

    def scene(self, name: str) -> Scene:
        """Pairs on a network; its quality is a row."""
        if name in self.scenes:
            return self.scenes[name]
        start = time.process_time()
        encoder = self.made(name)
        spent = time.process_time() - start
        features = features_of(encoder, self.split, self.work / name)
        if not any(row["network"] == name and "quality" in row for row in self.rows):
            found = evaluate_encoder(encoder, self.split, features=features)
            known = found.estimates(Streams(0).numpy("metrics"))
            history = self.work / name / "history.json"
            last = json.loads(history.read_text())[-1] if history.exists() else {}
            self.write({
                "network": name, "seconds": spent, "stage": last.get("valid", {}).get("stage"),
                "quality": {one: known[one].to_json() for one in ("precision@10", "accuracy")},
            })  # fmt: skip
        drawn = sample_pairs(
            "cross-category", self.split.test, self.split.labels, 100, rng=Streams(0).child("evade")
        )
        vectors = F.normalize(features, dim=1)
        rows = self.split.catalog
        self.scenes[name] = catalog_scene(
            encoder, self.split.photos, rows, drawn, vectors
        ).prepared()
        return self.scenes[name]

    def attack(self, name: str, attack: str, eps: float, pairs: int) -> None:
        """The attack on those of the first pairs that have no row yet, unless time is up."""
        done = ranks_of(self.rows, name, attack, eps)
        todo = np.array([one for one in range(pairs) if one not in done], dtype=np.int64)
        if len(todo) == 0 or time.process_time() > self.end:
            return
        skipped = todo[:0]
        if attack == "auto" and eps < 0.05:  # the larger ball holds the smaller
            large = ranks_of(self.rows, name, attack, 0.05)
            todo = np.array([one for one in todo if one in large], dtype=np.int64)
            beaten = np.array([large[one] <= 3 for one in todo], dtype=bool)
            todo, skipped = todo[beaten], todo[~beaten]
        scene = self.scene(name)
        start = time.process_time()
        ranks, steps = np.zeros(0, dtype=np.int64), 0.0
        if len(todo):
            found = evade(
                open_attack(attack), pick(scene, todo), eps=eps, rng=Streams(1), stop_rank=3,
                batch=25, keys=todo.tolist(),
            )  # fmt: skip
            ranks = found.table["rank_after"].to_numpy().copy()
            ranks[~found.table["in_budget"].to_numpy()] = 10**9
            steps = float(found.table["backwards"].mean())
        self.write({
            "network": name, "attack": attack, "eps": eps, "steps": steps,
            "seconds": time.process_time() - start, "skipped": skipped.tolist(),
            "pairs": todo.tolist(), "ranks": ranks.tolist(),
        })  # fmt: skip


def features_of(encoder: Encoder, split: PhotoSplit, folder: Path) -> torch.Tensor:
    """Features of the part of the catalog, at their rows in the whole one; kept in ``folder``."""
    path = folder / "part.npy"
    if not path.exists():
        found = embed(frozen_copy(encoder), split.photos, split.catalog, normalize=False)
        np.save(path, found.numpy())
    whole = torch.ones(len(split.photos), encoder.dim)
    whole[torch.from_numpy(split.catalog)] = torch.from_numpy(np.load(path))
    return whole


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, where there is one."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def ranks_of(rows: list[dict[str, Any]], name: str, attack: str, eps: float) -> dict[int, int]:
    """Rank by pair, of all rows of an attack; what was skipped ranks last."""
    found: dict[int, int] = {}
    for row in rows:
        if (row["network"], row.get("attack"), row.get("eps")) == (name, attack, eps):
            found |= dict.fromkeys(row["skipped"], 10**9)
            found |= dict(zip(row["pairs"], row["ranks"], strict=True))
    return found


def worst_of(rows: list[dict[str, Any]], name: str, eps: float) -> dict[int, int]:
    """The best rank of each pair that ``auto`` met: of all attacks, in this ball or smaller."""
    found = ranks_of(rows, name, "auto", eps)
    for attack in dict.fromkeys(one[0] for one in ROUNDS):
        for budget in EPS:
            if budget <= eps:
                more = ranks_of(rows, name, attack, budget)
                found = {pair: min(rank, more.get(pair, rank)) for pair, rank in found.items()}
    return found


def published(name: str, attack: str, eps: float) -> str:
    """What the thesis has, marked as not ours."""
    key = attack.removeprefix("thesis-").upper()
    text = files("recsec.reports").joinpath("published.toml").read_text(encoding="utf-8")
    for row in tomllib.loads(text)["evasion"]:
        known = row["attack"] == key and row["model"] == PUBLISHED.get(name)
        if known and row["data"] == "DeepFashion" and eps in row["eps"]:
            rate = row["success"]["success@3"][row["eps"].index(eps)]
            return f"   << thesis: {rate:.1%} of {row['n']:,} >>"
    return ""


def said(ranks: dict[int, int]) -> str:
    """n and the rate with its interval."""
    rate = success_rate(np.array(list(ranks.values())), 3)
    return f"n {len(ranks):3}  success@3 {rate.value:6.1%} [{rate.low:.1%}, {rate.high:.1%}]"


def table(rows: list[dict[str, Any]]) -> str:
    """All rows as text, a network at a time."""
    lines: list[str] = []
    for row in (row for row in rows if "quality" in row):
        name = row["network"]
        told = "  ".join(
            f"{one} {value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
            for one, value in row["quality"].items()
        )
        stage = "" if row["stage"] is None else f", ends at stage {row['stage']:.0f} of 8"
        lines += ["", f"{name}: {told}; made in {row['seconds']:.0f} s{stage}"]
        for eps in EPS:
            for attack in dict.fromkeys(one[0] for one in ROUNDS):
                ranks = ranks_of(rows, name, attack, eps)
                if not ranks:
                    continue
                same = [
                    one for one in rows
                    if (one["network"], one.get("attack"), one.get("eps")) == (name, attack, eps)
                ]  # fmt: skip
                skipped = sum(len(one["skipped"]) for one in same)
                spent = sum(one["seconds"] for one in same)
                left = f", {skipped} of them beyond reach at 0.05" if skipped else ""
                lines.append(
                    f"  eps {eps:.2f}  {attack:14} {said(ranks)}  {spent:4.0f} s"
                    f"{published(name, attack, eps)}{left}"
                )
            worst = worst_of(rows, name, eps)
            if worst:
                lines.append(f"  eps {eps:.2f}  {'worst case':14} {said(worst)}")
    return "\n".join(lines) + "\n"


HEAD = f"""{{versions}}
benchmarks/cpu_224.py: a public MobileNetV2 at 224 px, one processor core, processor seconds.
Each network but "public" comes from the public weights by 64 steps of 16 photos ({TRAIN:,}
photos, lr 5e-4); nothing is chosen on validation. {TEST:,} held-out photos ask; the catalog is
{{catalog:,}} of 9,209 photos, so precision@10 and ranks are not those of the whole catalog.
Attacks are on the first n cross-category pairs of them; saved as PNG, read back, exact rank. At
eps below 0.05 auto meets the pairs that it reached at 0.05; others count as not reached. "worst
case" is the best of all rows of a pair, in this ball or a smaller one. << >> is not ours: Normann,
master thesis 2020, MobileNetV2 on DeepFashion, approximate index, files not rounded to 8 bits, no
interval; its CW may leave the ball, ours is put back into it.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="networks, embeddings, rows")
    parser.add_argument("--seconds", type=float, default=4500.0, help="of the processor; 0: table")
    parser.add_argument("--out", type=Path, help="all rows go to OUT.json and OUT.txt")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    RobustObjective.validate = last_epoch_wins  # type: ignore[method-assign]
    PhotoObjective.validate = last_epoch_wins  # type: ignore[method-assign]
    bench = Bench(options.work, options.seconds)
    for attack, budgets, pairs, names in ROUNDS:
        for name in names:
            for eps in budgets:
                bench.attack(name, attack, eps, pairs)
    text = HEAD.format(
        versions=json.dumps(environment()["versions"]), catalog=len(bench.split.catalog)
    ) + table(bench.rows)
    print(text)
    if options.out is not None:
        facts = {"environment": environment(), "rows": bench.rows}
        options.out.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
        options.out.with_suffix(".txt").write_text(text)


if __name__ == "__main__":
    main()
