"""What each screen sees, by hand."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from recsec.registry import registry
from recsec.screening import (
    Catalog,
    Consistency,
    ConsistencyConfig,
    Hubs,
    HubsConfig,
    Neighbors,
    NeighborsConfig,
    Relisting,
    RelistingConfig,
    Uploads,
)
from recsec.screening.base import entry_cosines, in_degrees
from recsec.screening.hubs import robust_z
from recsec.screening.squeezers import SQUEEZERS, few_levels, jpeg, median


def unit(*angles: float) -> torch.Tensor:
    """Unit vectors of the plane."""
    turned = torch.tensor(angles)
    return torch.stack([turned.cos(), turned.sin()], dim=1)


def uploads(looks: torch.Tensor, listings: list[int], change: float = 0.0) -> Uploads:
    images = torch.full((len(looks), 3, 4, 4), 0.5)
    return Uploads(images + change, looks, torch.tensor(listings), images)


def catalog(*angles: float, labels: list[int]) -> Catalog:
    return Catalog.of(unit(*angles), torch.tensor(labels))


def test_consistency_is_the_largest_move_of_a_squeezed_copy():
    looks = unit(0.0, 0.0, 0.1, 0.5, 0.2).view(1, 5, 2)
    found = Consistency(ConsistencyConfig()).score(uploads(looks, [0]), None)
    assert float(found) == pytest.approx(1 - np.cos(0.5), abs=1e-6)


def test_relisting_speaks_only_of_photos_that_look_the_same():
    shop = catalog(0.0, 1.0, 2.0, labels=[0, 0, 1])
    looks = unit(0.7).view(1, 1, 2)
    screen = Relisting(RelistingConfig(same=0.1))
    near = screen.score(uploads(looks, [0], change=0.05), shop)
    assert float(near) == pytest.approx(1 - np.cos(0.7), abs=1e-6)
    assert float(screen.score(uploads(looks, [0], change=0.2), shop)) == 0


def test_neighbors_compare_the_declared_category_with_the_others():
    shop = catalog(0.0, 0.1, 1.0, 1.1, labels=[0, 0, 1, 1])
    screen = Neighbors(NeighborsConfig(k=1))
    at_home, moved = unit(0.05).view(1, 1, 2), unit(1.05).view(1, 1, 2)
    expected = np.cos(0.95) - np.cos(0.05)  # row 0 is its own listing and does not count
    assert float(screen.score(uploads(at_home, [0]), shop)) == pytest.approx(expected, abs=1e-6)
    assert float(screen.score(uploads(moved, [0]), shop)) == pytest.approx(-expected, abs=1e-6)
    nameless = catalog(0.0, 0.1, 1.0, 1.1, labels=[-1, 0, 1, 1])
    assert float(screen.score(uploads(moved, [0]), nameless)) == -2


def test_in_degrees_by_hand():
    vectors = unit(0.0, 0.1, 0.3, 0.7)
    entry = entry_cosines(vectors, 1)
    assert torch.allclose(entry, torch.cos(torch.tensor([0.1, 0.1, 0.2, 0.4])), atol=1e-6)
    assert in_degrees(vectors, entry).tolist() == [1, 2, 1, 0]


def test_robust_z_by_hand():
    reference = torch.tensor([1.0, 2.0, 3.0, 4.0, 100.0])
    assert float(robust_z(torch.tensor([6.0]), reference)) == pytest.approx(3 / 1.4826)
    constant = torch.full((5,), 7.0)
    assert float(robust_z(torch.tensor([9.0]), constant)) == 2, "a spread of zero counts as one"


def test_a_photo_amid_everything_is_a_hub_and_an_ordinary_one_is_not():
    rng = torch.Generator().manual_seed(0)
    scattered = torch.randn((60, 30), generator=rng)
    vectors = torch.nn.functional.normalize(scattered + 0.7, dim=1)
    shop = Catalog.of(vectors, torch.zeros(60, dtype=torch.int64))
    center = torch.nn.functional.normalize(vectors.mean(0, keepdim=True), dim=1)
    looks = torch.stack([center[0], vectors[0]])[:, None]
    found = Hubs(HubsConfig()).score(uploads(looks, [1, 0]), shop)
    assert float(found[0]) > 5
    assert abs(float(found[1])) < 5


def test_squeezers_keep_shape_range_and_a_gradient():
    images = torch.rand((2, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    for name, squeeze in SQUEEZERS.items():
        inputs = images.clone().requires_grad_(True)
        out = squeeze(inputs)
        assert out.shape == images.shape, name
        low, high = float(out.detach().min()), float(out.detach().max())
        assert 0 <= low <= high <= 1, name
        (gradient,) = torch.autograd.grad(out.sum(), inputs)
        assert float(gradient.abs().sum()) > 0, name


def test_squeezers_by_hand():
    ramp = torch.linspace(0, 1, 256).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert len(few_levels(ramp).unique()) == 16
    dot = torch.zeros(1, 3, 5, 5)
    dot[..., 2, 2] = 1
    assert float(median(dot).abs().sum()) == 0
    flat = torch.full((1, 3, 16, 16), 100 / 255)
    assert float((jpeg(flat) - flat).abs().max()) <= 1 / 255
    pixels = (ramp[0] * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=75)
    expected = np.asarray(Image.open(file)).transpose(2, 0, 1) / 255
    assert np.allclose(jpeg(ramp)[0].numpy(), expected, atol=1e-6)


def test_screens_are_registered_and_score_each_row_alone(fitted, catalog):
    _, clean = fitted
    few = Uploads(clean.images[:6], clean.looks[:6], clean.listings[:6], clean.previous[:6])
    one = Uploads(clean.images[3:4], clean.looks[3:4], clean.listings[3:4], clean.previous[3:4])
    names = registry("screens").keys()
    assert names == ["consistency", "hubs", "neighbors", "relisting"]
    for name in names:
        kind = registry("screens").get(name)
        screen = kind(kind.config_class())
        assert screen.name == name
        scores = screen.score(few, catalog)
        assert scores.shape == (6,)
        assert torch.allclose(scores[3:4], screen.score(one, catalog), atol=1e-5)
