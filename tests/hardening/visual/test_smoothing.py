"""The certificate of smoothing: exact where the answer is known, never broken by an attack."""

import math

import pytest
import torch

from recsec.errors import ConfigError
from recsec.hardening import largest_similarity, safe_radius, smooth, upper_bound

SIGMA = 0.25


def half_space(images: torch.Tensor) -> torch.Tensor:
    """(1, 0) where the mean pixel is above a half, else (-1, 0): the worst case of the bound."""
    side = torch.where(images.mean(dim=(1, 2, 3)) > 0.5, 1.0, -1.0)
    return torch.stack([side, torch.zeros_like(side)], dim=1)


def exact(image: torch.Tensor) -> float:
    """The smoothed similarity of ``half_space`` to (1, 0), in closed form."""
    deviation = SIGMA / math.sqrt(image.numel())
    return float(torch.special.ndtr((image.double().mean() - 0.5) / deviation) * 2 - 1)


@pytest.fixture
def image() -> torch.Tensor:
    return torch.full((3, 4, 4), 0.48)


TARGET = torch.tensor([[1.0, 0.0]])


def test_the_estimate_agrees_with_the_closed_form(image):
    draws = torch.Generator().manual_seed(0)
    found = smooth(half_space, image, TARGET, sigma=SIGMA, draws=4000, rng=draws)
    assert float(found.mean) == pytest.approx(exact(image), abs=0.05)
    assert exact(image) < float(found.upper) < exact(image) + 0.2


def test_the_bound_is_reached_by_a_half_space_and_by_nothing_more(image):
    for radius in (0.05, 0.2, 0.5):
        moved = image + radius / math.sqrt(image.numel())  # all of the radius, in one direction
        bound = largest_similarity(torch.tensor([exact(image)]).double(), radius, SIGMA)
        assert float(bound) == pytest.approx(exact(moved), abs=1e-5)


def test_no_attack_within_the_radius_exceeds_the_certificate(encoder, split):
    """Gradient ascent on the smoothed similarity itself, with the noise that judges it."""
    frozen = encoder.requires_grad_(False)
    pixels = torch.from_numpy(split.photos.pixels(split.test[:2], encoder.size)).float() / 255
    with torch.no_grad():
        target = frozen(pixels[1:])
    image, radius = pixels[0], 0.3
    draws = torch.Generator().manual_seed(0)
    found = smooth(frozen, image, target, sigma=SIGMA, draws=2000, rng=draws)
    bound = float(largest_similarity(found.upper, radius, SIGMA))
    noise = SIGMA * torch.randn((500, *image.shape), generator=draws)
    moved = image.clone()
    for _ in range(15):
        moved.requires_grad_(True)
        value = (frozen(moved + noise) @ target.T).mean()
        (gradient,) = torch.autograd.grad(value, moved)
        change = moved.detach() + 0.1 * gradient / gradient.norm() - image
        moved = image + change * min(1.0, radius / float(change.norm()))
    reached = float((frozen(moved + noise) @ target.T).mean())
    assert reached > float(found.mean) + 0.02, "the attack achieved nothing"
    assert reached <= bound
    frozen.requires_grad_(True)


def test_the_radius_is_the_inverse_of_the_bound():
    upper = torch.tensor([-0.3, 0.2, 0.5]).double()
    radius = safe_radius(upper, torch.full((3,), 0.8), SIGMA)
    reached = torch.stack(
        [largest_similarity(upper[at : at + 1], float(radius[at]), SIGMA)[0] for at in range(3)]
    )
    assert torch.allclose(reached, torch.full((3,), 0.8).double(), atol=1e-6)
    assert float(safe_radius(torch.tensor([0.9]).double(), torch.tensor([0.8]), SIGMA)) == 0


def test_the_upper_bound_holds_as_often_as_it_says():
    """Two-valued draws with mean 0.6; at alpha = 0.2 at most a fifth of the bounds may fail."""
    rng = torch.Generator().manual_seed(0)
    values = (torch.rand((400, 100), generator=rng) < 0.8).double() * 2 - 1
    bounds = upper_bound(values.mean(1), values.var(1), 100, 0.2)
    assert float((bounds < 0.6).double().mean()) <= 0.2
    quiet = upper_bound(torch.tensor([0.1]), torch.tensor([0.0]), 10_000, 0.001)
    assert float(quiet) - 0.1 < 0.01, "without variance the bound shrinks with 1 / n"
    noisy = upper_bound(torch.tensor([0.1]), torch.tensor([1.0]), 100, 0.001)
    assert float(noisy) == pytest.approx(0.1 + 2 * math.sqrt(math.log(2000) / 200))


@pytest.mark.parametrize("wrong", [{"sigma": 0.0}, {"draws": 1}, {"alpha": 0.0}])
def test_settings_without_a_bound_are_refused(image, wrong):
    settings = {"sigma": SIGMA, "draws": 10, "alpha": 0.001, **wrong}
    with pytest.raises(ConfigError, match="expected sigma"):
        smooth(half_space, image, TARGET, rng=torch.Generator(), **settings)
