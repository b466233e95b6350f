"""What a report shows besides numbers: one pair seen on two models, and a map of the catalog."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.attacks.evasion import Evaded, Scene, evade, open_attack, png_bytes
from recsec.audit.evasion.evidence.rows import Measured, best_ranks, ranks_of
from recsec.audit.evasion.plan import AttackPlan
from recsec.audit.evasion.scene import (
    Catalog,
    open_catalog,
    open_scene,
    pixels,
    read_features,
)
from recsec.audit.evasion.tasks import Mapping, Showing
from recsec.reports import CatalogMap, ExampleItem, Frame, Journey, Neighbor, Place
from recsec.rng import Streams
from recsec.runs import atomic_write_bytes
from recsec.types import FloatArray, IntArray, Progress

__all__ = ["Show", "chosen_show", "show_map", "show_pair"]

R = 10
LISTED = 5
TILES, TILE, SIDE = 350, 40, 1000
AMPLIFIED = 10
FOLDER = "pictures"


@dataclass(frozen=True)
class Show:
    """What is going to be shown.

    Attributes:
        models: the first model, and the one that resists best, if there is another.
        attack: among those run at the most budgets, the one with the most success on the first.
        budgets: at which that attack was run, ascending.
        eps: budget of the lists.
        pair: its number.
    """

    models: tuple[str, ...]
    attack: AttackPlan
    budgets: tuple[float, ...]
    eps: float
    pair: int


def chosen_show(measured: Sequence[Measured], models: Sequence[str], eps: float) -> Show | None:
    """Choose attack and pair by what was found: a pair that the first model loses and the other
    keeps, if there is one; among several, the one that gets nearest to the top of the list.

    Args:
        measured: all cells.
        models: names in the order of the plan.
        eps: the largest budget that the gate counts.
    """
    rows = [
        found
        for found in measured
        if found.access == "gradients"
        and found.cell.survivors_of is None
        and found.cell.size is None
        and found.cell.project
        and len(found.table)
    ]
    mine = [found for found in rows if found.cell.model == models[0]]
    budgets = [found.cell.eps for found in mine if found.cell.eps <= eps]
    if not budgets:
        return None
    at = max(budgets)
    run_at = {
        label: sorted({found.cell.eps for found in mine if found.cell.label == label})
        for label in {found.cell.label for found in mine}
    }
    best = max(
        (found for found in mine if found.cell.eps == at),
        key=lambda found: (
            len(run_at[found.cell.label]),
            float((ranks_of(found.table) <= R).mean()),
            len(found.table),
        ),
    )
    label = best.cell.label
    others = [
        (_lost(best_ranks(measured, name, at)), place)
        for place, name in enumerate(models)
        if place and _ran(rows, name, label, at)
    ]
    shown = (models[0], *((models[min(others)[1]],) if others else ()))
    ranks = dict(zip(best.table["pair"].to_list(), ranks_of(best.table).tolist(), strict=True))
    kept = best_ranks(measured, shown[-1], at) if others else {}
    pair = min(ranks, key=lambda one: (ranks[one] > R or kept.get(one, 0) <= R, ranks[one], one))
    return Show(shown, best.cell.attack, tuple(run_at[label]), at, pair)


def _lost(ranks: dict[int, int]) -> float:
    return sum(rank <= R for rank in ranks.values()) / max(1, len(ranks))


def _ran(rows: Sequence[Measured], model: str, label: str, eps: float) -> bool:
    return any((f.cell.model, f.cell.label, f.cell.eps) == (model, label, eps) for f in rows)


def _keep(run: Path, name: str, content: bytes) -> str:
    atomic_write_bytes(run / FOLDER / name, content)
    return f"{FOLDER}/{name}"


def _photo(run: Path, catalog: Catalog, place: int, size: int) -> str:
    """The thumbnail of an item; every model shows the same file."""
    photo = pixels(catalog, np.array([place]), size)[0]
    return _keep(run, f"item-{place}.png", png_bytes(photo))


def _item(catalog: Catalog, place: int) -> ExampleItem:
    name, title = catalog.item(place)
    return ExampleItem(id=name, title=title)


def _attacked(told: Showing, scene: Scene, eps: float) -> Evaded:
    """The same attack as in the table, image by image the same."""
    attack = open_attack(told.attack, told.settings)
    return evade(
        attack,
        scene,
        eps=eps,
        rng=Streams(told.seed).child(told.attack),
        keys=[told.number],
    )


def show_pair(told: Showing, progress: Progress) -> Journey:
    """One pair at every budget: photos, ranks, and the target's list before and after."""
    run, catalog = Path(told.run), open_catalog(told.data)
    scene = open_scene(told, np.array([told.number]))
    attacker, target = int(scene.pairs.attackers[0]), int(scene.pairs.targets[0])
    clean = scene.attackers[0]
    size = clean.shape[-1]
    stem = f"{told.id}-p{told.number}"
    frames: list[Frame] = []
    changed = clean
    for eps in told.budgets:
        found = _attacked(told, scene, eps)
        row = found.table.row(0, named=True)
        image = torch.from_numpy(found.images[0])
        if not frames:
            frames.append(
                Frame(
                    eps=0.0,
                    rank=row["rank_before"],
                    cosine=row["cosine_before"],
                    picture=_photo(run, catalog, attacker, size),
                )
            )
        difference = png_bytes(_change(clean, image))
        frames.append(
            Frame(
                eps=eps,
                rank=row["rank_after"],
                cosine=row["cosine_after"],
                picture=_keep(run, f"{stem}-e{eps:g}.png", png_bytes(image)),
                difference=_keep(run, f"{stem}-e{eps:g}-d.png", difference),
            )
        )
        if eps == told.eps:
            changed = image
    after = scene.embedder(changed[None].to(scene.device).float().div(255)).detach()
    picture = next(frame.picture for frame in frames if frame.eps == told.eps)
    return Journey(
        model=told.shown,
        attack=told.label,
        item=_item(catalog, attacker),
        target=_item(catalog, target),
        target_picture=_photo(run, catalog, target, size),
        eps=told.eps,
        frames=tuple(frames),
        before=_list(run, catalog, scene, None, None),
        after=_list(run, catalog, scene, after, picture),
    )


def _change(before: Tensor, after: Tensor) -> Tensor:
    """The change around gray, amplified."""
    gap = after.to(torch.int16) - before.to(torch.int16)
    return (128 + AMPLIFIED * gap).clamp(0, 255).to(torch.uint8)


def _list(
    run: Path, catalog: Catalog, scene: Scene, changed: Tensor | None, picture: str | None
) -> tuple[Neighbor, ...]:
    """The first neighbors of the target, with the changed photo in place of the clean one."""
    attacker, target = int(scene.pairs.attackers[0]), int(scene.pairs.targets[0])
    vector = scene.index.vectors[target][None]
    left_out = [target] if changed is None else [target, attacker]
    rows, cosines = scene.index.neighbors(
        vector, LISTED, exclude=torch.tensor([left_out]).to(vector.device)
    )
    found = [(float(c), int(row)) for row, c in zip(rows[0], cosines[0], strict=True) if row >= 0]
    if changed is not None:
        found.append((float((changed[0] * vector[0]).sum()), attacker))
    found.sort(key=lambda pair: (-pair[0], pair[1] == attacker))
    size = scene.attackers.shape[-1]
    return tuple(
        Neighbor(
            item=_item(catalog, row),
            cosine=cosine,
            attacker=row == attacker,
            picture=picture
            if row == attacker and picture is not None
            else _photo(run, catalog, row, size),
        )
        for cosine, row in found[:LISTED]
    )


def show_map(told: Mapping, progress: Progress) -> CatalogMap:
    """Held-out photos in two dimensions (t-SNE), and the way of the attacked photo among them.

    Source: van der Maaten & Hinton, JMLR 9 (2008). Distances between far groups mean little.
    """
    run, catalog = Path(told.run), open_catalog(told.data)
    scene = open_scene(told, np.array([told.number]))
    attacker, target = int(scene.pairs.attackers[0]), int(scene.pairs.targets[0])
    ways = [scene.index.vectors[attacker].cpu()]
    for eps in told.budgets:
        image = torch.from_numpy(_attacked(told, scene, eps).images)
        with torch.no_grad():
            ways.append(scene.embedder(image.to(scene.device).float().div(255))[0].cpu())
    held = catalog.held_out(told.split)
    rng = Streams(told.seed).numpy("map")
    shown = np.unique(np.append(rng.permutation(held)[:TILES], [target]))
    shown = shown[shown != attacker]
    features = read_features(Path(told.features))
    vectors = torch.cat([F.normalize(features[torch.from_numpy(shown)], dim=1), torch.stack(ways)])
    places = _layout(vectors.numpy(), int(rng.integers(2**31)))
    picture = _tiles(catalog, shown, places[: len(shown)])
    path = tuple(Place(x=float(x), y=float(y)) for x, y in places[len(shown) :])
    x, y = places[int(np.flatnonzero(shown == target)[0])]
    return CatalogMap(
        model=told.shown,
        photos=len(shown),
        picture=_keep(run, "map.jpg", picture),
        path=path,
        target=Place(x=float(x), y=float(y)),
    )


def _layout(vectors: FloatArray, seed: int) -> FloatArray:
    """``(M, 2)`` places between 0 and 1, with room for a tile at the border."""
    from sklearn.manifold import TSNE

    perplexity = max(2.0, min(30.0, (len(vectors) - 1) / 4))
    plane = TSNE(
        metric="cosine", init="random", perplexity=perplexity, random_state=seed
    ).fit_transform(vectors)
    low, high = plane.min(axis=0), plane.max(axis=0)
    room = TILE / SIDE
    found: FloatArray = room + (1 - 2 * room) * (plane - low) / np.maximum(high - low, 1e-9)
    return found.astype(np.float64)


def _tiles(catalog: Catalog, shown: IntArray, places: FloatArray) -> bytes:
    """The photos at their places, as one JPEG."""
    sheet = Image.new("RGB", (SIDE, SIDE), "white")
    photos = catalog.photos.pixels(catalog.rows[shown], TILE)
    for photo, (x, y) in zip(photos, places, strict=True):
        tile = Image.fromarray(np.ascontiguousarray(photo.transpose(1, 2, 0)))
        sheet.paste(tile, (round(x * SIDE) - TILE // 2, round(y * SIDE) - TILE // 2))
    buffer = io.BytesIO()
    sheet.save(buffer, format="JPEG", quality=72)
    return buffer.getvalue()
