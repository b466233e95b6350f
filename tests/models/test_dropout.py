import pytest
import torch

from recsec.models.dropout import Dropout


def test_rate_scale_and_independence():
    layer = Dropout(0.25)
    layer.generator = torch.Generator().manual_seed(0)
    out = layer(torch.ones(400, 1000))
    torch.testing.assert_close(out.unique(), torch.tensor([0.0, 4 / 3]))
    dropped = (out == 0).float()
    assert dropped.mean().item() == pytest.approx(0.25, abs=0.003)
    by_byte = dropped.view(-1, 8).mean(dim=0)
    assert by_byte.max() - by_byte.min() < 0.01, "one of the eight elements of a draw is special"
    pairs = torch.corrcoef(dropped.view(-1, 8).T)
    assert (pairs - torch.eye(8)).abs().max() < 0.02


def test_same_generator_same_mask_and_none_when_evaluating():
    layer, x = Dropout(0.5), torch.randn(7, 13)
    layer.generator = torch.Generator().manual_seed(5)
    first = layer(x)
    layer.generator = torch.Generator().manual_seed(5)
    assert torch.equal(first, layer(x))
    assert layer.eval()(x) is x
    assert Dropout(0.0)(x) is x
