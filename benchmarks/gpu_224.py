"""Real networks on one GPU: what attacks reach, what hardening costs, which property resists.

    RECSEC_MIRROR=... python benchmarks/gpu_224.py JOB --work DIR --out DIR/JOB.jsonl --seconds 360

``benchmarks/gpu_224.sh`` runs all jobs beside each other within seven minutes and writes the table.

  undefended   the public MobileNetV2 at 224 px as it is, and tuned to the categories: our attacks
               and the thesis'
  target, adversarial, curriculum
               the same network hardened from the public weights, as many epochs as fit; attacks
  resnet       the conventional ResNet at 64 px, three seeds, each hardened; 1,000 pairs
  panel        a ViT, and our encoder by its own recipe, hardened
  factors      networks between ours and the ResNet, one property at a time; 300 pairs
  recipes      the same two networks, one property of the recipe at a time; 128 px

A line of the file is a row: quality of an encoder, or an attack on test pairs with the rank of
each pair's file. A job does its work in order and stops where its time ends.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attack_panel import vit_folder
from torch.nn import functional as F  # noqa: N812

from recsec.attacks.evasion import Scene, catalog_scene, evade, open_attack, sample_pairs
from recsec.attacks.evasion.harness.sweep import pick
from recsec.data import load_photos, split_photos
from recsec.data.photos.split import PhotoSplit
from recsec.evaluation import evaluate_encoder
from recsec.hardening import hardening_class
from recsec.metrics import success_rate
from recsec.models import Encoder, EncoderConfig, Training, frozen_copy
from recsec.models.trainer import fit, resolve_precision
from recsec.models.visual.body import ResidualBody
from recsec.models.visual.embedding import embed
from recsec.models.visual.resnet import ResnetConfig
from recsec.models.visual.training import PhotoObjective
from recsec.rng import Streams

OURS = {"widths": (64, 128, 192), "kernel": 4, "keeps": False, "averaged": True}
RESNET = {"widths": (32, 64, 128, 256), "kernel": 3, "keeps": True, "averaged": False}
FACTORS: dict[str, dict[str, Any]] = {
    "ours": OURS,
    "resnet": RESNET,
    "ours, stem 3x3": OURS | {"kernel": 3},
    "ours, strided shortcuts": OURS | {"averaged": False},
    "ours, a block at 32x32": OURS | {"widths": (32, 64, 128, 192), "keeps": True},
    "ours, 256 wide": OURS | {"widths": (64, 128, 256)},
    "resnet, no block at 32x32": RESNET | {"widths": (64, 128, 256), "keeps": False},
    "resnet, averaged shortcuts": RESNET | {"averaged": True},
    "resnet, stem 4x4": RESNET | {"kernel": 4},
    "resnet, 192 wide": RESNET | {"widths": (32, 64, 128, 192)},
    "ours, stem 3x3, strided": OURS | {"kernel": 3, "averaged": False},
}
RECIPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ours, shift 2": (OURS, {"shift": 2}),
    "resnet, shift 2": (RESNET, {"shift": 2}),
    "ours, attributes": (OURS, {"attribute_weight": 0.03}),
    "ours, no label smoothing": (OURS, {"label_smoothing": 0.0}),
    "ours, weight decay 0.05": (OURS, {"weight_decay": 0.05}),
    "ours, batch 32, lr 4e-3": (OURS, {"batch_size": 32, "lr": 4e-3}),
    "resnet, 30 % warm-up": (RESNET, {"warmup": 0.3}),
    "resnet, 20 epochs": (RESNET, {"epochs": 20}),
    "ours, 128 px": (OURS, {"size": 128}),
    "resnet, 128 px": (RESNET, {"size": 128}),
}
APGD: tuple[dict[str, Any], ...] = (
    {"momentum": 0.0},
    {"momentum": 0.0, "step_size": 2.0},
    {"momentum": 0.0, "step_size": 2.0, "schedule": "linear"},
    {"step_size": 2.0},
    {"momentum": 0.0, "step_size": 2.0, "inertia": 0.0},
    {},
    {"momentum": 0.0, "schedule": "linear"},
    {"momentum": 0.0, "inertia": 0.0},
    {"momentum": 0.0, "step_size": 0.2},
    {"momentum": 0.0, "step_size": 1.0},
)
"""What differs from APGD-100: one factor, at our first step and at its authors'."""
THESIS = ("thesis-fgsm", "thesis-pgd-128")
EPS = (0.05, 0.03, 0.01)


class Bench:
    """The photos, the clock and the file of one job."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.small = options, options.small
        self.device, self.out = options.device, options.out
        self.end = options.start + options.seconds
        self.split = split_photos(load_photos("fashion"))
        if self.small:
            few = {"train": self.split.train[:130], "validation": self.split.validation[:40]}
            self.split = PhotoSplit(**{**vars(self.split), **few})
        mirror = Path(os.environ.get("RECSEC_MIRROR", "."))
        self.mobilenet = f"hf:{(mirror / 'encoders' / 'mobilenet-v2-224').resolve()}"
        self.scenes: dict[str, Scene] = {}
        self.won: dict[tuple[str, float], np.ndarray] = {}

    @property
    def left(self) -> float:
        """Seconds until this job has to end."""
        return self.end - time.time()

    def write(self, row: dict[str, Any]) -> None:
        """One row, at once."""
        with self.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        shown = {key: value for key, value in row.items() if key != "ranks"}
        print(f"{self.left:5.0f} s left", json.dumps(shown), flush=True)

    def encoder(self, config: EncoderConfig, *, seed: int = 0, body: Any = None) -> Encoder:
        """Drawn weights; a pretrained body keeps its own."""
        targets = self.split.attribute_targets().items()
        names = {name: tuple(values) for name, (values, _) in targets}
        encoder = Encoder(config, tuple(self.split.categories), names, body=body)
        encoder.initialize(Streams(seed, ("encoder",)).torch("initialization"))
        return encoder

    def trained(self, encoder: Encoder, *, seed: int = 0) -> tuple[Encoder, dict[str, Any]]:
        """The encoder trained by its own recipe, and what that took."""
        start = time.perf_counter()
        config = encoder.config.model_copy(update={"epochs": 1} if self.small else {})
        fit(
            PhotoObjective(encoder, self.split),
            config,
            streams=Streams(seed, ("encoder",)),
            training=Training(device=self.device),
        )
        facts = {"epochs": config.epochs, "seconds": time.perf_counter() - start}
        return encoder.to(self.device), facts

    def hardened(
        self, encoder: Encoder, method: str, settings: dict[str, Any], *, seed: int = 0,
        seconds: float | None = None,
    ) -> tuple[Encoder, dict[str, Any]]:  # fmt: skip
        """The encoder hardened; with ``seconds`` in as many epochs as they hold."""
        kind = hardening_class(method, hardens=Encoder.name)
        config = kind.config_class.model_validate(settings)
        unit = self.epoch_seconds(encoder, kind, config)
        if seconds is not None:
            epochs = int(max(1, min(config.epochs, seconds / unit)))
            config = config.model_copy(update={"epochs": epochs})
        if self.small:
            config = config.model_copy(update={"epochs": 1})
        start = time.perf_counter()
        objective = kind.objective_class(copy.deepcopy(encoder), self.split, config)
        history = fit(
            objective,
            config,
            streams=Streams(seed, ("hardening", method)),
            training=Training(device=self.device),
        )
        facts = {"epochs": config.epochs, "seconds": time.perf_counter() - start}
        said = {"method": method, "settings": config.model_dump(mode="json")}
        return objective.encoder.to(self.device), {**facts, **said, "history": history[-1]}

    def epoch_seconds(self, encoder: Encoder, kind: Any, config: Any) -> float:
        """What an epoch of a hardening takes, from a few batches and one validation."""
        objective = kind.objective_class(copy.deepcopy(encoder), self.split, config)
        objective = objective.to(self.device).train()
        if hasattr(objective, "stage"):
            objective.stage.fill_(config.steps // 2)
        dtype = resolve_precision("auto", torch.device(self.device))
        batches = objective.epoch(Streams(0).numpy("try"))
        spent = []
        for batch in list(batches)[: 2 if self.small else 8]:
            start = time.perf_counter()
            with torch.autocast(self.device, dtype, enabled=dtype != torch.float32):
                loss = objective(batch)
            loss.backward()
            float(loss.detach())
            spent.append(time.perf_counter() - start)
        start = time.perf_counter()
        objective.eval().validate()
        return float(np.median(spent)) * len(batches) + time.perf_counter() - start

    def clean_epoch(self, encoder: Encoder) -> float:
        """Seconds of one ordinary epoch of the encoder: the unit of cost."""
        start = time.perf_counter()
        fit(
            PhotoObjective(copy.deepcopy(encoder), self.split),
            encoder.config.model_copy(update={"epochs": 1}),
            streams=Streams(0, ("clean",)),
            training=Training(device=self.device),
        )
        return time.perf_counter() - start

    def open(self, name: str, encoder: Encoder, facts: dict[str, Any], *, pairs: int) -> None:
        """Embed the catalog, note the quality, draw pairs."""
        encoder = encoder.to(self.device).eval()
        rows = np.arange(len(self.split.photos))
        if self.small:
            rows = rows[:300]
        features = torch.ones(len(self.split.photos), encoder.dim)
        frozen = frozen_copy(encoder)
        features[torch.from_numpy(rows)] = embed(frozen, self.split.photos, rows, normalize=False)
        found = evaluate_encoder(encoder, self.split, features=features)
        known = found.estimates(Streams(0).numpy("metrics"))
        wanted = ("precision@10", "accuracy")
        quality = {one: known[one].to_json() for one in wanted}
        weights = sum(one.numel() for one in encoder.parameters())
        self.write({"encoder": name, "quality": quality, "weights": weights, **facts})
        drawn = sample_pairs(
            "cross-category", self.split.test, self.split.labels, 4 if self.small else pairs,
            rng=Streams(0).child("evade"),
        )  # fmt: skip
        features = F.normalize(features, dim=1)
        scene = catalog_scene(encoder, self.split.photos, self.split.catalog, drawn, features)
        self.scenes[name] = scene.prepared()

    def attack(
        self, name: str, attack: str, eps: float, *, n: int | None = None, need: float = 0,
        only_left: bool = False, settings: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """One row; only on pairs that were not reached before, if wanted."""
        if self.left < need or name not in self.scenes:
            return
        scene = self.scenes[name]
        rows = np.arange(min(len(scene), n or len(scene)))
        before = self.won.get((name, eps), np.full(len(scene), 10**9))
        if only_left:
            rows = rows[before[rows] > 3]
        if len(rows) == 0:
            return
        if self.small:
            attack = {"auto": "auto-4", "reference": "reference-4"}.get(attack, attack)
            attack = attack.replace("1000", "4").replace("00", "").replace("128", "8")
        start = time.perf_counter()
        tool = open_attack(attack, settings)
        batch = 1024 if scene.attackers.shape[-1] <= 64 else 64
        found = evade(
            tool, pick(scene, rows), eps=eps, rng=Streams(1), stop_rank=3, batch=batch,
            keys=rows.tolist(),
        )  # fmt: skip
        spent = time.perf_counter() - start
        ranks = found.table["rank_after"].to_numpy().copy()
        ranks[~found.table["in_budget"].to_numpy()] = 10**9
        best = before.copy()
        best[rows] = np.minimum(best[rows], ranks)
        self.won[name, eps] = best
        self.write({
            "encoder": name, "attack": attack, "settings": settings or {}, "eps": eps,
            "only_left": only_left, "numbers": rows.tolist() if only_left else None,
            "success@3": success_rate(ranks, 3).to_json(),
            "worst": success_rate(best, 3).to_json(),
            "steps": float(found.table["backwards"].mean()),
            "queries": float(found.table["queries"].mean()),
            "dead": int(found.table["dead"].sum()),
            "seconds": spent, "ranks": ranks.tolist(),
        })  # fmt: skip


def headline(bench: Bench, name: str, *, n: int | None = None) -> None:
    """The ensemble at three budgets."""
    for eps in EPS:
        bench.attack(name, "auto", eps, n=n, need=10)


def thesis(bench: Bench, name: str, n: int, carlini: int) -> None:
    """The thesis' attacks at three budgets, the dear one last and on fewer pairs."""
    for attack in THESIS:
        for eps in EPS:
            bench.attack(name, attack, eps, n=n, need=15)
    for eps in EPS:
        bench.attack(name, "thesis-cw-1000", eps, n=carlini, need=25 + carlini)


def mobilenet(bench: Bench, **settings: Any) -> Encoder:
    """The public network with heads for the categories."""
    size = 64 if bench.small else 224
    config = EncoderConfig.model_validate(
        {"backbone": bench.mobilenet, "size": size, "epochs": 0, "batch_size": 64, **settings}
    )
    return bench.encoder(config)


def undefended(bench: Bench) -> None:
    """As it is; then tuned, which is what the hardened ones are to be compared with."""
    bench.open("mobilenet", mobilenet(bench), {"epochs": 0}, pairs=400)
    headline(bench, "mobilenet")
    thesis(bench, "mobilenet", 128, 64)
    singles(bench, "mobilenet", (0.01,), 128)
    tuned, facts = bench.trained(mobilenet(bench, epochs=4, lr=1e-3))
    bench.open("mobilenet-tuned", tuned, facts, pairs=200)
    headline(bench, "mobilenet-tuned")
    singles(bench, "mobilenet", (0.03, 0.05), 128)
    variants(bench, "mobilenet", 0.01, n=128)


def singles(bench: Bench, name: str, budgets: tuple[float, ...], n: int) -> None:
    """Members of the ensemble alone, the plain attack, and APGD with its authors' first step."""
    for eps in budgets:
        for attack in ("mi-100", "apgd-100", "mi", "reference"):
            bench.attack(name, attack, eps, n=n, need=25)
        bench.attack(name, "apgd-100", eps, n=n, need=25, settings=APGD[1])


def variants(bench: Bench, name: str, eps: float, *, n: int | None = None) -> None:
    """APGD, one factor at a time."""
    for settings in APGD:
        bench.attack(name, "apgd-100", eps, n=n, need=30, settings=settings)


def panel(bench: Bench) -> None:
    """A small ViT of drawn weights; then our own encoder by its own recipe, and hardened."""
    recipe = {"lr": 1e-3, "epochs": 20, "batch_size": 64, "warmup": 0.1}
    backbone = f"hf:{vit_folder(bench.options.work)}"
    encoder, facts = bench.trained(
        bench.encoder(EncoderConfig.model_validate({"backbone": backbone, **recipe}))
    )
    bench.open("vit", encoder, facts, pairs=200)
    headline(bench, "vit")
    singles(bench, "vit", EPS, 200)
    hard, facts = bench.hardened(encoder, "target", {}, seconds=60)
    bench.open("vit-target", hard, facts, pairs=200)
    pair_of(bench, "vit-target")
    ours, facts = bench.trained(bench.encoder(EncoderConfig.model_validate({})))
    bench.open("encoder", ours, facts, pairs=1000)
    pair_of(bench, "encoder")
    singles(bench, "encoder", EPS, 200)
    if bench.left > 60:
        hard, facts = bench.hardened(ours, "target", {}, seconds=bench.left - 30)
        bench.open("encoder-target", hard, facts, pairs=1000)
        pair_of(bench, "encoder-target")
        singles(bench, "encoder-target", (0.05,), 200)


def hardened(bench: Bench, method: str, settings: dict[str, Any], seconds: float) -> None:
    """MobileNetV2 hardened, and all attacks on it."""
    base = mobilenet(bench)
    unit = bench.clean_epoch(base)
    encoder, facts = bench.hardened(base, method, settings, seconds=seconds)
    name = f"mobilenet-{method}"
    bench.open(name, encoder, {**facts, "clean_epoch_seconds": unit}, pairs=200)
    headline(bench, name)
    if method == "target":
        bench.attack(name, "apgd-400", 0.05, only_left=True, need=60)
        singles(bench, name, (0.05,), 200)
    thesis(bench, name, 128, 64)
    singles(bench, name, EPS, 128)


def resnet(bench: Bench) -> None:
    """Three seeds; the cheap method on all of them first."""
    bases = {}
    for seed in range(3):
        if bench.left < 60:
            return
        base, facts = bench.trained(bench.encoder(resnet_config(), seed=seed), seed=seed)
        bases[seed] = base
        bench.open(f"resnet {seed}", base, {**facts, "seed": seed}, pairs=1000)
        pair_of(bench, f"resnet {seed}", apgd=False)
        resnet_hardened(bench, base, "target", seed, apgd=seed == 0)
        if seed == 0:
            singles(bench, "resnet 0", EPS, 200)
            singles(bench, "resnet 0, target", (0.05,), 200)
    resnet_hardened(bench, bases[0], "target", 0, apgd=False, epochs=12)
    for method in ("adversarial", "curriculum"):
        for seed, base in bases.items():
            resnet_hardened(bench, base, method, seed, apgd=False)


def resnet_config(**settings: Any) -> EncoderConfig:
    """The recipe of ``recsec train resnet``."""
    return ResnetConfig.model_validate(settings)


def resnet_hardened(
    bench: Bench, base: Encoder, method: str, seed: int, *, apgd: bool, **settings: Any
) -> None:
    """One hardening of one seed."""
    if bench.left < 70:
        return
    encoder, facts = bench.hardened(base, method, settings, seed=seed, seconds=bench.left - 30)
    name = ", ".join([f"resnet {seed}", method, *(f"{key} {settings[key]}" for key in settings)])
    bench.open(name, encoder, {**facts, "seed": seed}, pairs=1000)
    pair_of(bench, name, apgd=apgd)


def pair_of(bench: Bench, name: str, *, apgd: bool = True) -> None:
    """The ensemble at three budgets, and a long attack on what is left at 0.05."""
    headline(bench, name)
    if apgd:
        bench.attack(
            name, "apgd-400", 0.05, only_left=True, need=60, settings={"restarts": 5}
        )  # fmt: skip


def network(bench: Bench, name: str, shape: dict[str, Any], settings: dict[str, Any]) -> None:
    """A network between ours and the ResNet, trained for 8 epochs unless said otherwise."""
    if bench.left < 45:
        return
    config = resnet_config(**settings)
    widths = shape["widths"]
    rest = {key: value for key, value in shape.items() if key != "widths"}
    body = ResidualBody(config.stem, widths, config.blocks, **rest)
    encoder, facts = bench.trained(bench.encoder(config, body=body))
    bench.open(name, encoder, {**facts, "shape": shape, "settings": settings}, pairs=300)
    bench.attack(name, "auto", 0.05)
    bench.attack(name, "auto", 0.03)


def long_attack(bench: Bench, names: list[str]) -> None:
    """APGD-400 with five restarts on what is left, the two ends first."""
    for name in names:
        bench.attack(name, "apgd-400", 0.05, only_left=True, need=45, settings={"restarts": 5})


def factors(bench: Bench) -> None:
    """One property of the network at a time."""
    for name, shape in FACTORS.items():
        network(bench, name, shape, {})
        if name == "resnet":
            long_attack(bench, ["ours"])
    long_attack(bench, list(FACTORS)[1:])


def recipes(bench: Bench) -> None:
    """One property of the recipe at a time."""
    for name, (shape, settings) in RECIPES.items():
        network(bench, name, shape, settings)


def layouts(options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of a pass and its gradient: of 64 photos by precision and layout; of a few in a
    size of batch that is new, and again.
    """
    bench = Bench(options)
    images = torch.rand(4 if bench.small else 64, 3, *[mobilenet(bench).size] * 2)
    images = images.to(bench.device)
    body: Any = frozen_copy(mobilenet(bench).to(bench.device)).body.model
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        for layout in (torch.contiguous_format, torch.channels_last):
            model = copy.deepcopy(body).to(dtype).to(memory_format=layout)
            spent = []
            for _ in range(6):
                x = images.to(dtype).clone(memory_format=layout).requires_grad_()
                start = time.perf_counter()
                model(x).pooler_output.sum().backward()
                float(x.grad.sum())
                spent.append(1e3 * (time.perf_counter() - start))
            found[f"{dtype} {layout}"] = float(np.median(spent))
    spent = []
    for size in [5, 6, 7] * 2:
        x = images[:size].clone(memory_format=torch.channels_last).requires_grad_()
        start = time.perf_counter()
        body(x).pooler_output.sum().backward()
        float(x.grad.sum())
        spent.append(1e3 * (time.perf_counter() - start))
    found["a new size of batch"] = float(np.median(spent[:3]))
    return found | {"a known one": float(np.median(spent[3:]))}


JOBS = {
    "undefended": undefended,
    "target": lambda bench: hardened(bench, "target", {"epochs": 8}, 150),
    "adversarial": lambda bench: hardened(bench, "adversarial", {"epochs": 8, "lr": 2e-4}, 150),
    "curriculum": lambda bench: hardened(
        bench, "curriculum", {"epochs": 32, "share": 1 / 4, "stage_patience": 1, "lr": 3e-4}, 150
    ),
    "resnet": resnet,
    "panel": panel,
    "factors": factors,
    "recipes": recipes,
}


def table(rows: list[dict[str, Any]]) -> str:
    """All rows as text, an encoder at a time."""
    lines: list[str] = []
    for name in dict.fromkeys(row["encoder"] for row in rows):
        mine = [row for row in rows if row["encoder"] == name]
        for row in mine:
            if "quality" in row:
                told = "  ".join(
                    f"{one} {value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
                    for one, value in row["quality"].items()
                )
                lines.append(
                    f"{name}: {told}; {row['weights'] / 1e6:.2f} M weights, "
                    f"{row['epochs']} epochs, {row.get('seconds', 0):.0f} s"
                )
        for row in sorted((row for row in mine if "attack" in row), key=lambda row: -row["eps"]):
            rate, worst = row["success@3"], row["worst"]
            said = " ".join(f"{key}={value}" for key, value in row["settings"].items())
            where = "left" if row["only_left"] else ""
            lines.append(
                f"  eps {row['eps']:.2f}  {row['attack'] + ' ' + said:26} {where:5}n "
                f"{len(row['ranks']):4}  success@3 {rate['value']:6.1%} [{rate['low']:.1%}, "
                f"{rate['high']:.1%}]  worst so far {worst['value']:.1%} [{worst['low']:.1%}, "
                f"{worst['high']:.1%}]  steps {row['steps']:.0f}  {row['seconds']:.0f} s"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("job", choices=[*JOBS, "warm", "table"])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="rows; table: the folder of them")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--start", type=float, default=time.time(), help="seconds since 1970")
    parser.add_argument("--seconds", type=float, default=360.0)
    parser.add_argument("--small", action="store_true", help="a rehearsal")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.job == "table":
        rows = [
            json.loads(line)
            for path in sorted(options.out.glob("*.jsonl"))
            for line in path.read_text().splitlines()
        ]
        (options.out / "gpu_224.txt").write_text(table(rows))
        return
    if options.job == "warm":
        photos = load_photos("fashion")
        for size in (64,) if options.small else (64, 224):
            photos.pixels(np.arange(len(photos)), size)
        vit_folder(options.work)
        (options.out / "layouts.json").write_text(json.dumps(layouts(options)) + "\n")
        return
    JOBS[options.job](Bench(options))


if __name__ == "__main__":
    main()
