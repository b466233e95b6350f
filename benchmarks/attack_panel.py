"""Attacks against encoders that they were not made on: a panel, and a table of it.

    RECSEC_MIRROR=... python benchmarks/attack_panel.py --work DIR --encoders resnet mobilenet \\
        --attacks mi apgd --pairs 25 --eps 0.05 --stage validation

Encoders are made once into ``DIR/NAME``, each on the fashion photos:

  ours       recsec train encoder --set epochs=12: a 4x4 stem, averaged shortcuts, 64 px
  resnet     recsec train resnet: a conventional small ResNet, 64 px
  mobilenet  the public MobileNetV2 of ``encoders/mobilenet-v2-224`` as it is, 224 px
  vit        a ViT of transformers, 4 layers of 128 and patches of 8, drawn and trained here, 64 px

and ``NAME-target`` is what ``recsec harden --method target`` makes of one. A pair is done when
its 8-bit file ranks third or better; every row is judged as in ``recsec evade``. Rows that were
measured before are kept in ``DIR/rows.jsonl``, so the same command goes on after a kill. Settings
are chosen on validation pairs; headline rows are of test pairs. Seconds are of one processor. A
name such as ``mi-30 m0.6 2 cosine`` gives momentum, first step as a share of eps, and schedule.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import torch

from recsec.attacks.evasion import Scene, catalog_scene, evade, open_attack, sample_pairs
from recsec.data import load_photos, split_photos
from recsec.data.photos.split import PhotoSplit
from recsec.hardening import harden
from recsec.metrics import success_rate
from recsec.models import Encoder, Training, catalog_features, load_encoder, train_encoder
from recsec.registry import registry
from recsec.rng import Streams
from recsec.runs import environment
from recsec.stats import wilson

RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "ours": ("encoder", {"epochs": 12}),
    "resnet": ("resnet", {}),
    "mobilenet": ("encoder", {"backbone": "hf:{mobilenet}", "size": 224, "epochs": 0}),
    "vit": (
        "encoder",
        {"backbone": "hf:{vit}", "lr": 1e-3, "epochs": 20, "batch_size": 64, "warmup": 0.1},
    ),
}
HARDENING: dict[str, dict[str, Any]] = {"mobilenet": {"epochs": 1}}
"""Settings that differ from those of the method."""

ATTACKS: dict[str, tuple[str, dict[str, Any]]] = {
    f"{key} m{momentum:g} {size:g} {schedule}": (
        key,
        {"momentum": momentum, "step_size": size, "schedule": schedule},
    )
    for key in ("mi-30", "mi-100")
    for momentum in (0.0, 0.6, 0.9, 1.0)
    for size in (0.1, 0.2, 0.5, 1.0, 2.0)
    for schedule in ("constant", "linear", "cosine")
} | {
    f"apgd-100 {size:g} i{inertia:g}": ("apgd-100", {"step_size": size, "inertia": inertia})
    for size in (0.1, 0.2, 0.5, 1.0, 2.0)
    for inertia in (0.0, 0.25)
}
"""Attacks with settings of their own; any other name is an attack with its defaults."""


def vit_folder(work: Path) -> Path:
    """A small ViT with drawn weights, in the layout of transformers."""
    folder = work / "vit-drawn"
    if not folder.exists():
        from transformers import ViTConfig, ViTModel

        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = ViTModel(
                ViTConfig(
                    hidden_size=128, num_hidden_layers=4, num_attention_heads=4,
                    intermediate_size=256, image_size=64, patch_size=8,
                    hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
                ),
                add_pooling_layer=False,
            )  # fmt: skip
        model.save_pretrained(folder)
    return folder


def made(name: str, split: PhotoSplit, work: Path, mobilenet: Path) -> Encoder:
    """The encoder ``name``, trained or hardened into ``work`` unless it is there."""
    folder = work / name
    if (folder / "model.safetensors").exists():
        return load_encoder(folder)
    how = Training(out=folder, device="cpu", progress=say)
    data = {"name": split.photos.name, "fingerprint": split.photos.fingerprint}
    start = time.process_time()
    if name.endswith("-target"):
        base = made(name.removesuffix("-target"), split, work, mobilenet)
        from recsec.hardening import hardening_class

        kind = hardening_class("target", hardens=Encoder.name)
        config = kind.config_class.model_validate(HARDENING.get(name.removesuffix("-target"), {}))
        encoder = harden("target", base, split, config, training=how, data=data)
    else:
        recipe, settings = RECIPES[name]
        folders = {"mobilenet": mobilenet, "vit": work / "vit-drawn"}
        if name == "vit":
            vit_folder(work)
        settings = {
            key: value.format(**folders) if isinstance(value, str) else value
            for key, value in settings.items()
        }
        kind = registry("encoders").get(recipe)
        encoder = train_encoder(
            split, kind.config_class.model_validate(settings), training=how, data=data
        )
    (folder / "seconds.json").write_text(json.dumps(time.process_time() - start))
    return encoder.eval()


def say(what: str, done: int, total: int) -> None:
    """Progress, now and then."""
    if done == total or done % max(1, total // 10) == 0:
        print(f"  {what} {done}/{total}", flush=True)


def scene_of(
    name: str, split: PhotoSplit, work: Path, mobilenet: Path, stage: str, pairs: int
) -> Scene:
    """Pairs of the stage on the encoder."""
    encoder = made(name, split, work, mobilenet)
    features = catalog_features(encoder, split.photos, work / name, progress=say)
    drawn = sample_pairs(
        "cross-category", getattr(split, stage), split.labels, pairs, rng=Streams(0).child("evade")
    )
    return catalog_scene(encoder, split.photos, split.catalog, drawn, features).prepared()


def measure(scene: Scene, attack: str, eps: float) -> dict[str, Any]:
    """One row: an attack on the pairs of a scene."""
    key, settings = ATTACKS.get(attack, (attack, {}))
    start = time.process_time()
    found = evade(open_attack(key, settings), scene, eps=eps, rng=Streams(1), stop_rank=3)
    spent = time.process_time() - start
    ranks = found.table["rank_after"].to_numpy()
    return {
        "ranks": ranks.tolist(),
        "success@3": success_rate(ranks, 3).to_json(),
        "steps": float(found.table["backwards"].mean()),
        "queries": float(found.table["queries"].mean()),
        "seconds": spent / len(scene),
    }


def label(row: dict[str, Any]) -> str:
    """The attack; where only its name was given, with the defaults that it was measured with."""
    name, (_, settings) = row["key"][1:3]
    if name not in ATTACKS and "schedule" in settings:
        wanted = ("momentum", "step_size", "schedule")
        name = "{} (m{:g} {:g} {})".format(name, *(settings[key] for key in wanted))
    return str(name)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text; ``all`` is the best of the measured attacks for each pair."""
    lines = []
    groups = sorted({(row["stage"], row["encoder"], -row["eps"]) for row in rows})
    for stage, encoder, minus in groups:
        here = [row for row in rows if (row["stage"], row["encoder"], -row["eps"]) ==
                (stage, encoder, minus)]  # fmt: skip
        lines.append(f"{encoder}, eps {-minus}, {stage} pairs")
        for n in sorted({len(row["ranks"]) for row in here}):
            same = sorted(
                (row for row in here if len(row["ranks"]) == n),
                key=lambda row: -row["success@3"]["value"],
            )
            for row in same:
                rate = row["success@3"]
                lines.append(
                    f"  {label(row):32} n {n:4}  success@3 {rate['value']:6.1%} "
                    f"[{rate['low']:.1%}, {rate['high']:.1%}]  steps {row['steps']:6.1f}  "
                    f"queries {row['queries']:6.0f}  {row['seconds']:6.2f} s a pair"
                )
            reached = sum(
                min(ranks) <= 3 for ranks in zip(*(r["ranks"] for r in same), strict=True)
            )
            rate = wilson(reached, n)
            lines.append(f"  {'all':32} n {n:4}  success@3 {rate.value:6.1%} "
                         f"[{rate.low:.1%}, {rate.high:.1%}]")  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="encoders, embeddings, rows")
    parser.add_argument("--encoders", nargs="+", default=["mobilenet", "resnet", "ours", "vit"])
    parser.add_argument("--attacks", nargs="+", default=["mi", "apgd", "pgd"])
    parser.add_argument("--eps", nargs="+", type=float, default=[0.05, 0.03, 0.01])
    parser.add_argument("--pairs", type=int, default=25)
    parser.add_argument("--stage", choices=("test", "validation"), default="test")
    parser.add_argument("--mobilenet", type=Path, help="by default in RECSEC_MIRROR")
    parser.add_argument("--out", type=Path, help="all rows of DIR go to OUT.json and OUT.txt")
    options = parser.parse_args()
    torch.set_num_threads(1)
    mirror = Path(os.environ.get("RECSEC_MIRROR", "."))
    mobilenet = (options.mobilenet or mirror / "encoders" / "mobilenet-v2-224").resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    path = options.work / "rows.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    known = {json.dumps(row["key"]): row for row in map(json.loads, lines)}
    split = split_photos(load_photos("fashion"))
    rows = []
    for name in options.encoders:
        scene = None
        for eps in options.eps:
            for attack in options.attacks:
                settings = list(ATTACKS[attack] if attack in ATTACKS else open_defaults(attack))
                key = [name, attack, settings, eps, options.pairs, options.stage]
                row = known.get(json.dumps(key))
                if row is None:
                    if scene is None:
                        scene = scene_of(
                            name, split, options.work, mobilenet, options.stage, options.pairs
                        )
                    row = {
                        "key": key, "encoder": name, "attack": attack, "eps": eps,
                        "stage": options.stage, **measure(scene, attack, eps),
                    }  # fmt: skip
                    with path.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                    print(table([row]), end="", flush=True)
                rows.append(row)
    text = table(rows)
    print(text)
    if options.out is not None:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        text = table(rows)
        facts = {"environment": environment(), "rows": rows}
        options.out.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
        versions = environment()["versions"]
        options.out.with_suffix(".txt").write_text(f"{json.dumps(versions)}\n\n{text}")


def open_defaults(attack: str) -> tuple[str, dict[str, Any]]:
    """An attack with all its settings: a row belongs to the defaults it was measured with."""
    tool = open_attack(attack)
    return tool.name, tool.config.model_dump(mode="json")


if __name__ == "__main__":
    main()
