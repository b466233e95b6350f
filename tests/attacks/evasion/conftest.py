"""Two toy embedders: a random residual network, and a linear map with a known optimum."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from recsec.attacks.evasion import Pairs, Scene, to_bytes
from recsec.models import ExactIndex


class Toy(nn.Module):
    """A small network with batch normalization, dropout and a skip connection."""

    def __init__(self, width: int = 8, dim: int = 12) -> None:
        super().__init__()
        self.size = 12
        self.stem = nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(width, dim)

    def features(self, images: Tensor) -> Tensor:
        """Before normalization."""
        x = F.relu(self.norm1(self.stem((images - 0.5) / 0.25)))
        x = F.relu(x + self.norm2(self.conv(x)))
        return self.head(self.drop(x.mean(dim=(2, 3))))

    def forward(self, images: Tensor) -> Tensor:
        """Unit vectors."""
        return F.normalize(self.features(images), dim=1)


def eight_bit(n: int, seed: int, size: int = 12) -> Tensor:
    """Random 8-bit images: large patches of color with some noise."""
    rng = torch.Generator().manual_seed(seed)
    patches = torch.randint(0, 240, (n, 3, 3, 3), generator=rng).float()
    noise = torch.randint(0, 16, (n, 3, size, size), generator=rng)
    return (F.interpolate(patches, size) + noise) / 255


def make_toy(seed: int = 0) -> Toy:
    """A toy with random weights and random running statistics, in training mode."""
    rng = torch.Generator().manual_seed(seed)
    toy = Toy()
    with torch.no_grad():
        for name, tensor in [*toy.named_parameters(), *toy.named_buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=rng) * 0.4)
                if name.endswith(("running_var", "norm1.weight", "norm2.weight")):
                    tensor.abs_().add_(0.5)
    return toy


@pytest.fixture
def toy() -> Toy:
    """The random network."""
    return make_toy()


@pytest.fixture
def photos() -> Tensor:
    """Twenty-four 8-bit images ``(24, 3, 12, 12)``."""
    return eight_bit(24, seed=1)


def make_scene(items: int = 60, pairs: int = 16, seed: int = 0) -> Scene:
    """A catalog of ``items`` photos in the eyes of the toy; pair i is photo i against the last."""
    toy, photos = make_toy(seed).eval(), eight_bit(items, seed + 1)
    with torch.no_grad():
        index = ExactIndex(toy(photos))
    rows = np.arange(pairs, dtype=np.int64)
    chosen = Pairs(rows, items - 1 - rows, "toy")
    pixels = to_bytes(photos)
    return Scene(toy, index, chosen, pixels[:pairs], pixels.flip(0)[:pairs])


@pytest.fixture
def scene() -> Scene:
    """Sixteen pairs among sixty photos."""
    return make_scene()


@pytest.fixture
def make_network() -> Callable[[int], Toy]:
    """Toys by seed, in evaluation mode."""
    return lambda seed: make_toy(seed).eval()
