"""Strided depthwise convolutions compute in float32 and stay what they were."""

from __future__ import annotations

import torch
from torch import nn

from recsec.models.visual.float32 import StridedDepthwise, strided_in_float32


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(8, 8, 3, groups=8),
            nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8),
        )  # fmt: skip


def test_only_the_strided_depthwise_one_changes_and_names_stay() -> None:
    changed = network()
    strided_in_float32(changed)
    assert [type(one) is StridedDepthwise for one in changed] == [False, False, True]
    assert changed.state_dict().keys() == network().state_dict().keys()


def test_in_bfloat16_it_answers_the_rounded_float32() -> None:
    conv = network()[2].to(torch.bfloat16)
    whole = nn.Sequential(network()[2].to(torch.bfloat16))
    strided_in_float32(whole)
    images = torch.linspace(-1, 1, 2 * 8 * 16 * 16).view(2, 8, 16, 16).to(torch.bfloat16)
    exact = conv.float()(images.float())
    found = whole(images)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, exact.to(torch.bfloat16))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(whole.float()(images.float()), exact)


def test_the_gradient_is_that_of_the_plain_one() -> None:
    plain, whole = network(), network()
    strided_in_float32(whole)
    images = torch.linspace(0, 1, 3 * 32 * 32).view(1, 3, 32, 32).requires_grad_()
    wanted, found = (
        torch.autograd.grad(one(images).square().sum(), images)[0] for one in (plain, whole)
    )
    assert torch.allclose(wanted, found, atol=1e-6)
