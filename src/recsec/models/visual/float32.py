"""Where float32 is kept: it is exact for ranks, and on a CPU sometimes the faster one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

__all__ = ["StridedDepthwise", "strided_in_float32", "whole_float32"]


def whole_float32() -> None:
    """Let convolutions in float32 keep all bits, in this process: exact ranks hang on them.

    A GPU's convolutions otherwise round their inputs to ten bits (TF32). PyTorch's default for
    products of matrices is that already. On the CPU nothing changes.
    """
    torch.backends.cudnn.allow_tf32 = False


class StridedDepthwise(nn.Conv2d):
    """A convolution that computes in float32 on the CPU, and answers in the type of its input.

    Its gradient by the input has no fast bfloat16 kernel there: the four of a MobileNetV2 at 224
    pixels take 15 of 36 ms of a pass and its gradient, in float32 3.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        found: Tensor
        if input.device.type != "cpu":
            found = super()._conv_forward(input, weight, bias)
            return found
        with torch.autocast("cpu", enabled=False):
            found = F.conv2d(
                input.float(), weight.float(), None if bias is None else bias.float(),
                self.stride, self.padding, self.dilation, self.groups,
            )  # fmt: skip
        return found.to(input.dtype)


def strided_in_float32(model: nn.Module) -> None:
    """Let all strided depthwise convolutions of a network compute so; weights and names stay."""
    for module in model.modules():
        if type(module) is not nn.Conv2d or module.padding_mode != "zeros":
            continue
        if module.groups == module.in_channels > 1 and max(module.stride) > 1:
            module.__class__ = StridedDepthwise
