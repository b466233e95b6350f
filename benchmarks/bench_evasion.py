"""Evasion against its bars, its own network's speed, and ART on the same pairs.

Pairs are cross-category pairs of held-out photos; success is that of the judge (8-bit PNG, decoded,
embedded in float32, exact rank). ART 1.20.1 runs in an environment of its own, made under a
temporary folder, on the same network, pairs and eps. Times are processor seconds of one thread.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recsec.attacks.evasion import (
    Scene,
    catalog_scene,
    confirm,
    effective_eps,
    evade,
    open_attack,
    sample_pairs,
)
from recsec.data import load_photos, split_photos
from recsec.metrics import success_rate
from recsec.models import catalog_features, load_encoder
from recsec.rng import Streams
from recsec.runs import environment

ART = "adversarial-robustness-toolbox==1.20.1"


def seconds_of(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of a call, and what it returned."""
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def machine() -> str:
    """Processor, cores, load and versions."""
    name = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else ():
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
            break
    versions = ", ".join(f"{key} {value}" for key, value in environment()["versions"].items())
    load = os.getloadavg()[0]
    return f"machine   {name}, {os.cpu_count()} cores, load {load:.1f}\nversions  {versions}"


def art_environment(folder: Path) -> Path:
    """A Python with ART beside the packages of this one, so that both use the same torch."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "parent.pth").write_text("\n".join(path for path in sys.path if path) + "\n")
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-deps", ART, "six", "tqdm", "setuptools"],
        check=True,
    )
    return python


def bare_rate(scene: Scene, batch: int, repeats: int) -> float:
    """Images per second of forward and backward alone, in the network the attack searches with."""
    ready = scene.prepared().ready
    images = scene.floats(torch.arange(batch)).contiguous(memory_format=torch.channels_last)
    targets = scene.index.vectors[scene.rows("targets", torch.arange(batch))]

    def once() -> None:
        point = images.detach().requires_grad_(True)
        torch.autograd.grad((ready.find(point) * targets).sum(), point)

    once()
    return batch / min(seconds_of(once)[0] for _ in range(repeats))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="checkpoint of an encoder")
    parser.add_argument("--data", default="fashion")
    parser.add_argument("--pairs", type=int, default=1000, help="of the bars")
    parser.add_argument("--speed-pairs", type=int, default=100, help="of the comparison with ART")
    parser.add_argument("--stage", choices=("test", "validation"), default="test")
    parser.add_argument("--no-art", action="store_true")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)

    encoder = load_encoder(options.model)
    split = split_photos(load_photos(options.data))
    features = catalog_features(encoder, split.photos, options.model)
    rows = getattr(split, options.stage)
    pairs = sample_pairs(
        "cross-category", rows, split.labels, options.pairs, rng=Streams(0).child("evade")
    )
    scene = catalog_scene(encoder, split.photos, split.catalog, pairs, features).prepared()
    few = catalog_scene(
        encoder, split.photos, split.catalog, pairs.first(options.speed_pairs), features
    ).prepared()
    lines: list[str] = []

    def say(text: str) -> None:
        print(text, flush=True)
        lines.append(text)

    say(machine())
    say(
        f"setting   {options.model.name} on {options.data}, {len(scene.index):,} photos, "
        f"{options.stage} pairs, one thread, processor seconds"
    )
    say("")

    def attacked(name: str, where: Scene, eps: float, stop: int | None, **settings: Any) -> Any:
        tool = open_attack(name, settings)
        seconds, found = seconds_of(
            lambda: evade(tool, where, eps=eps, rng=Streams(1), stop_rank=stop)
        )
        ranks = found.table["rank_after"].to_numpy()
        rate = success_rate(ranks, 3)
        steps = float(found.table["backwards"].mean())
        say(
            f"  {name:14} eps {eps:<5} success@1/3/10 "
            f"{success_rate(ranks, 1).value:6.1%} {rate.value:6.1%} [{rate.low:.1%}, "
            f"{rate.high:.1%}] {success_rate(ranks, 10).value:6.1%}  steps a pair {steps:5.1f}  "
            f"{seconds:6.1f} s"
        )
        return rate.value, steps, seconds

    say(f"success, n = {len(scene)}, a pair is done at rank 3")
    strong, steps, _ = attacked("mi-100", scene, 0.05, 3)
    equal, _, _ = attacked("mi-30", scene, 0.03, 3)
    attacked("thesis-pgd-32", scene, 0.03, 3)
    attacked("noise", scene, 0.05, 3)
    say(f"bar >= 99.5 % at eps 0.05 with <= 40 steps: {verdict(strong >= 0.995 and steps <= 40)}")
    say(f"bar >= 90 % at eps 0.03 with 30 steps:      {verdict(equal >= 0.9)}")
    say("")

    say(f"speed, {len(few)} pairs, eps 0.05")
    bare = max(bare_rate(few, min(64, len(few)), 5) for _ in range(3))
    tool = open_attack("mi-30")
    part = torch.arange(min(64, len(few)))
    objective = few.objective("cosine", part, None)
    ours = 0.0
    for _ in range(3):
        seconds, _ = seconds_of(
            lambda: tool.perturb(few.ready, few.floats(part), objective, eps=0.05, rng=Streams(1))
        )
        ours = max(ours, len(part) * 30 / seconds)
    say(f"  bare forward and backward  {bare:8.0f} images/s")
    say(f"  mi-30                      {ours:8.0f} pair-steps/s, {ours / bare:.0%} of bare")
    say(f"bar >= 85 % of bare: {verdict(ours >= 0.85 * bare)}")
    ladder = [attacked(f"mi-{count}", few, 0.05, 3) for count in (10, 15, 20, 30, 100)]
    if not options.no_art:
        art_rate, best = art(options.model, few, say)
        say(f"  pair-steps/s of ours over ART's: {ours / art_rate:.1f}")
        say(f"bar >= 5 x ART's pair-steps/s: {verdict(ours >= 5 * art_rate)}")
        reached = next((one for one in ladder if one[0] >= best[0]), ladder[-1])
        ratio = best[1] / reached[2]
        say(
            f"  ART's best {best[0]:.1%} in {best[1]:.1f} s, ours {reached[0]:.1%} in "
            f"{reached[2]:.1f} s with the judging: {ratio:.1f} x"
        )
        faster = reached[0] >= best[0] and ratio >= 20
        say(f"bar its best success in >= 20 x less time: {verdict(faster)}")
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n")


def art(model: Path, scene: Scene, say: Callable[[str], None]) -> tuple[float, tuple[float, float]]:
    """ART on the pairs of a scene: its best pair-steps/s, and its best success@3 with its time."""
    everything = torch.arange(len(scene))
    counts = (30, 100)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        python = art_environment(Path(folder) / "venv")
        np.savez(
            Path(folder) / "pairs.npz",
            source=scene.floats(everything).numpy(),
            guide=scene.photos(everything).numpy(),
        )
        worker = Path(__file__).with_name("art_feature_adversaries.py")
        words = [str(model.resolve()), folder, str(effective_eps(0.05)), *map(str, counts)]
        subprocess.run(
            [python, worker, *words], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        for count in counts:
            found = np.load(Path(folder) / f"art-{count}.npz")
            judged = confirm(
                scene.embedder, scene.index, torch.from_numpy(found["images"]), scene.attackers,
                attackers=scene.rows("attackers", everything),
                targets=scene.rows("targets", everything), eps=0.05,
            )  # fmt: skip
            seconds, rate = float(found["seconds"]), success_rate(judged.ranks, 3).value
            speed = len(scene) * count / seconds
            results.append((speed, rate, seconds))
            say(
                f"  ART, {count} steps: success@3 {rate:.1%}, {seconds:.1f} s, "
                f"{speed:.0f} pair-steps/s"
            )
    best = max((rate, -seconds) for _, rate, seconds in results)
    return max(speed for speed, _, _ in results), (best[0], -best[1])


def verdict(met: bool) -> str:
    """Word for a bar."""
    return "met" if met else "MISSED"


if __name__ == "__main__":
    main()
