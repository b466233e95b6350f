"""Photos that enter many lists: against a plain count, and a hub that provably enters all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.attacks.evasion import HubScene, Lists, Scene, attack_hub, levels, open_attack
from recsec.errors import ConfigError
from recsec.models import ExactIndex
from recsec.rng import Streams


def entered_plainly(vectors: np.ndarray, photo: np.ndarray, attacker: int, r: int) -> list[int]:
    """The rows whose list of r has the photo in it, ties against it."""
    inside = []
    for item in range(len(vectors)):
        if item == attacker:
            continue
        others = np.setdiff1d(np.arange(len(vectors)), [item, attacker])
        if (vectors[others] @ vectors[item] >= photo @ vectors[item]).sum() < r:
            inside.append(item)
    return inside


@pytest.mark.parametrize("r", [1, 3, 30])
def test_lists_are_those_of_a_plain_count(r: int) -> None:
    rng = torch.Generator().manual_seed(0)
    catalog = F.normalize(torch.randn(24, 4, generator=rng), dim=1)
    catalog[8:10] = catalog[7]  # item 7 is there three times
    photos = torch.cat([catalog[:8], F.normalize(torch.randn(4, 4, generator=rng), dim=1)])
    attackers = torch.arange(12)
    found = Lists(ExactIndex(catalog), r).entered(photos, attackers)
    vectors = catalog.double().numpy()
    for row, photo in enumerate(photos.double().numpy()):
        assert found[row].nonzero()[:, 0].tolist() == entered_plainly(vectors, photo, row, r)


def plus(images: Tensor) -> Tensor:
    """An encoder of three numbers: the mean of each color, as a direction."""
    return F.normalize(images.mean(dim=(2, 3)), dim=1)


def test_a_hub_enters_every_list() -> None:
    # six targets around gray: no more than two others are nearer to any of them than gray is
    around = torch.tensor(
        [[2, 1, 1], [1, 2, 1], [1, 1, 2], [1, 2, 2], [2, 1, 2], [2, 2, 1]], dtype=torch.float32
    )
    catalog = F.normalize(torch.cat([torch.tensor([[1.0, 0.0, 0.0]]), around]), dim=1)
    photo = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    photo[:, 0] = 120
    photo[:, 1:] = 60
    catalog[0] = plus(photo.float() / 255)[0]
    gray = np.ones(3) / np.sqrt(3)
    assert entered_plainly(catalog.double().numpy(), gray, 0, 3) == [1, 2, 3, 4, 5, 6]
    scene = HubScene(plus, Lists(ExactIndex(catalog), 3), np.array([0]), np.arange(1, 7), photo)
    tool = open_attack("mi-30", {"precision": "float32"})
    (found,) = attack_hub(tool, scene, eps=[60 / 255], rng=Streams(0))
    assert found.table["lists_before"].item() < 6
    assert found.table["lists_after"].item() == found.table["exposure_after"].item() == 6


def hub_scene(scene: Scene) -> HubScene:
    return HubScene(
        scene.embedder, Lists(scene.index, 5), np.arange(8), np.arange(40, 60), scene.attackers[:8]
    )


def test_files_are_counted_and_more_budget_enters_no_fewer(scene: Scene) -> None:
    tool = open_attack("mi-20", {"precision": "float32"})
    found = attack_hub(tool, hub_scene(scene), eps=[0.1, 0.02], rng=Streams(0))
    assert [one.eps for one in found] == [0.02, 0.1]
    vectors = scene.index.vectors.double().numpy()
    for one in found:
        with torch.no_grad():
            embedded = scene.embedder(torch.from_numpy(one.images).float() / 255).double().numpy()
        for row, photo in enumerate(embedded):
            inside = np.array(entered_plainly(vectors, photo, row, 5))
            assert one.table["exposure_after"][row] == len(inside)
            assert one.table["lists_after"][row] == (inside >= 40).sum()
            clean = np.array(entered_plainly(vectors, vectors[row], row, 5))
            assert one.table["exposure_before"][row] == len(clean)
        change = np.abs(one.images.astype(int) - scene.attackers[:8].numpy())
        assert change.max() <= levels(one.eps)
        assert one.table["in_budget"].all()
    low, high = (one.table["lists_after"].to_numpy() for one in found)
    assert (high >= low).all()
    assert high.sum() > found[0].table["lists_before"].sum() + 8


def test_a_photo_is_no_target(scene: Scene) -> None:
    with pytest.raises(ConfigError, match="row 3 is both"):
        HubScene(
            scene.embedder,
            Lists(scene.index, 5),
            np.arange(4),
            np.arange(3, 9),
            scene.attackers[:4],
        )
