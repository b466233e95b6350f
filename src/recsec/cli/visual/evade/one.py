"""The part of ``recsec evade`` that attacks one photo and shows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from recsec.cli.shared.output import emit, note, note_synthetic, progress
from recsec.cli.visual.evade.shared import warn_of_masking
from recsec.cli.visual.opening import tell_of
from recsec.library.evade import NATIVE, fitting, judged
from recsec.library.photos import encoder_source, open_photos, place_encoder

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from recsec.attacks.evasion import EvasionAttack, Scene
    from recsec.data import Photos
    from recsec.models import PhotoEncoder

__all__ = ["evade_one"]

LISTED = 7
"""Neighbors in the picture."""
SHOWN = 224


def evade_one(
    model: str,
    data: str,
    out: Path,
    item: str,
    target_item: str,
    tool: EvasionAttack,
    eps: float,
    *,
    pixels: str,
    stop_rank: int,
    seed: int,
    device: str,
    json: bool,
    chosen: dict[str, Any],
    options: dict[str, Any],
) -> None:
    """Attack one photo; write the four pictures into ``out`` and say the ranks.

    ``chosen`` is what the user asked for beside, ``options`` what ``evade`` takes of it.

    Raises:
        ConfigError: the target is the item itself, or ``eps`` is not in [0, 1].
        DataError: an id is not in the catalog.
    """
    import numpy as np
    import torch

    from recsec.attacks.evasion import (
        Pairs,
        Reference,
        Transfer,
        catalog_scene,
        effective_eps,
        embed_pixels,
        evade,
        has_control,
        knowledge,
        levels,
        min_levels,
        png_bytes,
    )
    from recsec.metrics import SUCCESS_AT
    from recsec.models import encoder_fingerprint
    from recsec.reports.figures.evasion_panel import amplified
    from recsec.rng import Streams
    from recsec.runs import RunDirectory, atomic_write_bytes

    source = encoder_source(model)
    encoder, tool = source.encoder, fitting(tool, source)
    place_encoder(encoder, device)
    if isinstance(tool, Transfer):
        options["surrogate"] = tool.ensemble(encoder.device)
    with progress() as report:
        photos = open_photos(data, report)
        ids = [photos.parse_id(item), photos.parse_id(target_item)]
        rows = photos.rows(ids)
        pair = Pairs(rows[:1], rows[1:], "one pair")
        tell_of(source, photos)
        plan = {
            "model": model, "data": data, "item": item, "target": target_item, "attack": tool.name,
            "settings": tool.config.model_dump(mode="json"), "eps": eps, "pixels": pixels,
            "stop_rank": stop_rank, "seed": seed, "weights": encoder_fingerprint(encoder),
            **chosen,
        }  # fmt: skip
        with RunDirectory.create_or_resume(out, "evade", plan) as directory:
            features = source.features(photos, progress=report)
            scene = catalog_scene(
                encoder, photos, np.arange(len(photos)), pair, features,
                size=NATIVE if pixels == "native" else None,
            )  # fmt: skip
            streams = Streams(seed).child("evade")
            found = evade(tool, scene, eps=eps, rng=streams, stop_rank=stop_rank, **options)
            original, adversarial = scene.attackers[0].numpy(), found.images[0]
            pictures = {
                "original": original,
                "adversarial": adversarial,
                "difference": amplified(original, adversarial),
            }
            for name, picture in pictures.items():
                atomic_write_bytes(out / f"{name}.png", png_bytes(torch.from_numpy(picture)))
            line = found.table.drop("attacker", "target").row(0, named=True)
            arrived = torch.from_numpy(np.stack([original, adversarial]))
            if options["ingest"] is not None:
                arrived = options["ingest"](arrived)
            target = photos.pixels(rows[1:], SHOWN)[0]
            seen = predictions(encoder, [*arrived.numpy(), target])
            result: dict[str, Any] = {
                "run": str(out),
                "item": ids[0],
                "target_item": ids[1],
                "attack": tool.name,
                "settings": plan["settings"],
                "goal": chosen["goal"],
                "knowledge": knowledge(tool),
                "eps": eps,
                "effective_eps": effective_eps(eps),
                "levels": levels(eps),
                **line,
                **{f"success@{r}": line["rank_after"] <= r for r in SUCCESS_AT},
                "predictions": dict(zip(("original", "adversarial", "target"), seen, strict=True)),
                "synthetic": photos.synthetic,
                "protocol": judged(plan, len(photos)),
            }
            if has_control(tool) and not found.reached(stop_rank)[0]:
                plain = evade(
                    Reference(Reference.config_class()), scene,
                    eps=eps, rng=streams, stop_rank=stop_rank, **options,
                )  # fmt: skip
                result["reference_rank"] = int(plain.table["rank_after"][0])
            if chosen["min_eps"]:
                least = min_levels(tool, scene, [found], rng=streams, rank=stop_rank, **options)
                result["min_eps"] = float(least[0]) / 255 if least[0] >= 0 else None
            vectors = embed_pixels(encoder, arrived, scene.device)
            panel = _panel(photos, scene, pictures | {"target": target}, vectors, result, rows)
            atomic_write_bytes(out / "panel.png", panel)
            directory.write_json("result.json", result)
    emit(result, lambda console: _render(console, result, out), json=json)
    warn_of_masking(line["dead"], line["backwards"])
    if "reference_rank" in result and plain.reached(stop_rank)[0]:
        note(
            f"warning: {tool.name} is weak on this encoder: the plain reference attack gets the "
            f"item to rank {result['reference_rank']}. Take --attack reference, or more steps"
        )
    note_synthetic(photos.synthetic, photos=True)


def predictions(encoder: PhotoEncoder, images: list[np.ndarray]) -> list[dict[str, Any]]:
    """What the heads of an encoder say about photos ``(3, H, W)`` uint8, each of any size.

    An encoder of others has no heads, and says nothing.
    """
    import torch

    from recsec.models import Encoder

    said: list[dict[str, Any]] = []
    if not isinstance(encoder, Encoder):
        return [{} for _ in images]
    for image in images:
        pixels = torch.from_numpy(image).to(encoder.device).float().div(255)[None]
        with torch.no_grad():
            heads = encoder.classify(pixels)
        best = {
            name: encoder.attributes[name][int(logits[0].argmax())]
            for name, logits in heads.attributes.items()
            if logits.shape[1]
        }
        said.append({"category": encoder.categories[int(heads.category[0].argmax())], **best})
    return said


def _panel(
    photos: Photos,
    scene: Scene,
    pictures: dict[str, np.ndarray],
    vectors: Tensor,
    result: dict[str, Any],
    rows: np.ndarray,
) -> bytes:
    """The picture of the attack; ``vectors`` are those of the original and adversarial photo."""
    import torch

    from recsec.reports.figures.evasion_panel import PanelTile, evasion_panel

    titles, of_photo = photos.titles, result["goal"] == "query"
    wanted = scene.index.vectors[rows[1:]]
    left_out = torch.from_numpy(rows)[None].to(scene.device)

    def listed(own: Tensor, picture: np.ndarray) -> list[PanelTile]:
        others, cosines = scene.index.neighbors(
            own if of_photo else wanted, LISTED, exclude=left_out
        )
        mine = float((own * wanted).sum())
        place = int((cosines[0] >= mine).sum())
        known = others[0][others[0] >= 0].tolist()
        shown = list(photos.pixels(known, SHOWN))
        tiles = [
            PanelTile(image, "", (titles[row], f"{cosine:.3f}"))
            for row, image, cosine in zip(known, shown, cosines[0].tolist(), strict=False)
        ]
        moved = (pictures["target"], "target") if of_photo else (picture, "attacker")
        tiles.insert(place, PanelTile(moved[0], "", (moved[1], f"{mine:.3f}"), framed=True))
        return [
            PanelTile(tile.pixels, str(rank), tile.lines, tile.framed)
            for rank, tile in enumerate(tiles[:LISTED], start=1)
        ]

    words = {
        name: tuple(str(value) for value in said.values())[:3]
        for name, said in result["predictions"].items()
    }
    top = [
        PanelTile(pictures["original"], "original", words["original"], framed=True),
        PanelTile(pictures["adversarial"], "adversarial", words["adversarial"], framed=True),
        PanelTile(
            pictures["difference"], "difference, amplified", (f"L-inf {result['linf']:.4f}",)
        ),
        PanelTile(pictures["target"], "target", words["target"]),
    ]
    return evasion_panel(
        top,
        listed(vectors[:1], pictures["original"]),
        listed(vectors[1:], pictures["adversarial"]),
        said=f"{_place(result, 'into')}: rank {result['rank_before']:,} before, "
        f"{result['rank_after']:,} after ({result['attack']}, eps {result['eps']:g})",
        names=("list before", "list after"),
    )


def _place(result: dict[str, Any], word: str) -> str:
    """Which item is ranked in whose list."""
    if result["goal"] == "query":
        return f"{result['target_item']} {word} the answer to the photo of {result['item']}"
    return f"{result['item']} {word} the list of {result['target_item']}"


def _render(out: Console, result: dict[str, Any], folder: Path) -> None:
    out.print(
        f"item {_place(result, 'in')}: rank {result['rank_before']:,} -> "
        f"{result['rank_after']:,}, cosine {result['cosine_before']:.4f} -> "
        f"{result['cosine_after']:.4f}",
    )
    out.print(
        f"eps {result['eps']:g} ({result['levels']} of 255 gray levels); L-inf of the file "
        f"{result['linf']:.4f}, PSNR {result['psnr']:.1f} dB, SSIM {result['ssim']:.4f}; "
        f"{result['backwards']} gradients, {result['queries']} queries"
    )
    if "min_eps" in result:
        least = result["min_eps"]
        out.print("smallest budget: " + ("more than that" if least is None else f"{least:.4f}"))
    for name, said in result["predictions"].items():
        if not said:
            continue
        out.print(f"{name}: {', '.join(str(value) for value in said.values())}")
    out.print(result["protocol"])
    out.print(f"panel: {folder / 'panel.png'}", soft_wrap=True)
