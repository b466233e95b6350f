"""GRO: the closed form against autograd, what swapping does to a student, joint training."""

import numpy as np
import pytest
import torch

from recsec.data.catalog import Catalog
from recsec.data.sequences import Sequences, leave_one_out
from recsec.hardening.sequential.copies import harden_recommender
from recsec.hardening.sequential.gro import Gro, GroConfig, student_loss, swap_loss, swapped
from recsec.models import Training, load, train
from recsec.registry import registry

MARGINS = {"rank_margin": 0.5, "negative_margin": 0.5}


def drawn(rows, k, items, seed=0):
    rng = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, items + 1, generator=rng)
    order = torch.rand(rows, items, generator=rng).argsort(dim=1) + 1
    return scores, order[:, :k], order[:, k : 2 * k]


def test_the_closed_form_equals_autograd_on_2000_rows():
    """A row of A' is where the gradient by A is largest: take the gradient and look."""
    rows, k, items = 200, 10, 40
    scores, lists, outside = drawn(rows, k, items)
    placing = torch.nn.functional.one_hot(lists, items + 1).float().requires_grad_()
    placed = torch.einsum("tkn,tn->tk", placing, scores)
    student_loss(placed, scores.gather(1, outside), **MARGINS).sum().backward()
    gradient = placing.grad[:, :, 1:]
    expected = torch.where((gradient != 0).any(dim=2), 1 + gradient.argmax(dim=2), 0)
    found = swapped(scores.index_fill(1, torch.tensor([0]), -torch.inf), lists, outside, **MARGINS)
    assert found.numel() == 2000
    assert torch.equal(found, expected)
    kinds = {
        "best": found == 1 + scores[:, 1:].argmax(dim=1, keepdim=True),
        "worst": found == 1 + scores[:, 1:].argmin(dim=1, keepdim=True),
        "none": found == 0,
    }
    assert all(kind.any() for kind in kinds.values())
    assert torch.stack(list(kinds.values())).any(dim=0).all()


def test_swapping_never_helps_the_student():
    """The loss is convex in the scores of the list, and each swap goes up its slope."""
    scores, lists, outside = drawn(300, 8, 50, seed=1)
    wanted = swapped(scores.index_fill(1, torch.tensor([0]), -torch.inf), lists, outside, **MARGINS)
    other = scores.gather(1, outside)
    before = student_loss(scores.gather(1, lists), other, **MARGINS)
    after = student_loss(scores.gather(1, torch.where(wanted > 0, wanted, lists)), other, **MARGINS)
    assert (after >= before - 1e-5).all()
    assert float((after - before).mean()) > 1


def test_the_swap_loss_in_fractions_and_only_for_places_that_want_something():
    scores = torch.tensor([[0.0, 4.0, 1.0, 2.0]], requires_grad=True)
    loss = swap_loss(scores, torch.tensor([[1, 3]]), torch.tensor([[2, 0]]), margin=0.5)
    assert loss.item() == pytest.approx((4 - 1 + 0.5) / 2)
    loss.backward()
    assert scores.grad.tolist() == [[0, 0.5, -0.5, 0]]


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    rows = [((rng.integers(30) + np.arange(9)) % 30 + 1).tolist() for _ in range(80)]
    return leave_one_out(Sequences.from_lists(Catalog.from_ids(list(range(30))), rows))


SIZES = {"embedding_dim": 8, "hidden_dim": 8, "blocks": 1, "heads": 1, "max_length": 10}


def small(name, split, **changes):
    kind = registry("models").get(name)
    wanted = {**SIZES, "epochs": 1, "batch_size": 16, **changes}
    fields = kind.config_class.model_fields
    config = kind.config_class(**{key: value for key, value in wanted.items() if key in fields})
    return train(name, split, config, training=Training(device="cpu"))


@pytest.mark.parametrize("name", ["bert4rec", "meanpool", "narm", "sasrec"])
@pytest.mark.parametrize("scratch", [False, True])
def test_every_model_of_sequences_can_be_hardened(split, name, scratch):
    model = small(name, split)
    before = {key: tensor.clone() for key, tensor in model.state().items()}
    config = GroConfig(k=5, tokens=64, epochs=1, scratch=scratch)
    hardened = Gro(config).fit(model, split, seed=0, training=Training(device="cpu"))
    assert type(hardened) is type(model)
    assert not torch.equal(hardened.items.weight, model.items.weight)
    assert all(torch.equal(model.state()[key], tensor) for key, tensor in before.items())


def test_a_strong_swap_moves_the_lists_and_none_leaves_the_task_alone(split):
    model = small("sasrec", split, epochs=6, lr=1e-2)
    batch = next(split.batches("test"))
    shared = {}
    for strength in (0.0, 30.0):
        config = GroConfig(k=5, tokens=64, epochs=2, strength=strength)
        hardened = Gro(config).fit(model, split, seed=0, training=Training(device="cpu"))
        lists, clean = hardened.top_k(batch.histories, 5), model.top_k(batch.histories, 5)
        shared[strength] = (lists[:, :, None] == clean[:, None]).any(axis=2).mean()
    assert shared[30.0] < shared[0.0]


class KilledError(Exception):
    pass


def test_a_killed_hardening_ends_with_the_same_bits(split, tmp_path):
    model = small("sasrec", split)
    config = GroConfig(k=5, tokens=64, epochs=3)

    def run(out, stop=None):
        def progress(what, done, total):
            if stop is not None and done > stop * total:
                raise KilledError

        training = Training(out=out, device="cpu", progress=progress)
        return harden_recommender(Gro(config), model, split, training=training)

    whole = run(tmp_path / "whole")
    with pytest.raises(KilledError):
        run(tmp_path / "broken", stop=0.5)
    resumed = run(tmp_path / "broken")
    assert all(torch.equal(tensor, resumed.state()[key]) for key, tensor in whole.state().items())
    assert load(tmp_path / "broken").name == "sasrec"
