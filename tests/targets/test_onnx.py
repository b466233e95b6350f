"""ONNX files as recommenders: the same lists as the checkpoint, and what does not fit is named."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recsec.data.catalog import Catalog
from recsec.errors import ConfigError, DataError, TargetError
from recsec.models import SasRec, SasRecConfig
from recsec.targets import CONTRACT, LocalTarget, capabilities_of, open_target, target_digests
from recsec.types import IntArray

ITEMS = 30
LENGTH = 6
BATCH = {0: "B"}
GROWING = {0: "B", 1: "L"}


class Last(nn.Module):
    """The scores after a window filled on the right."""

    def __init__(self, model: SasRec) -> None:
        super().__init__()
        self.model = model

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        hidden = self.model.hidden(item_seq)
        at = (item_seq_len - 1)[:, None, None].expand(-1, 1, hidden.shape[2])
        return hidden.gather(1, at)[:, 0] @ self.model.item_table().T


class Each(nn.Module):
    """The scores after each item, and what nobody asks for."""

    def __init__(self, model: SasRec) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.model.hidden(input_ids)
        return hidden @ self.model.item_table().T, hidden.sum((1, 2))


class Fixed(Each):
    """Remembers how many histories it was shown when it was exported."""

    def forward(self, input_ids: Tensor) -> Tensor:
        hidden = self.model.hidden(input_ids)
        return hidden[torch.arange(len(input_ids)), -1] @ self.model.item_table().T


class Places(nn.Module):
    """Tells each place of a window from the others; ``width`` scores, from any whole numbers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.rand(40, width, generator=torch.Generator().manual_seed(3)))

    def forward(self, items: Tensor, attention_mask: Tensor) -> Tensor:
        place = torch.arange(1, LENGTH + 1) * attention_mask
        return (self.table[items] * place[:, :, None]).sum(1)


def export(module: nn.Module, file: Path, *args: Tensor, axes: dict[str, Any]) -> None:
    names = list(axes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), args, str(file), dynamo=False, dynamic_axes=axes,
            input_names=names[: len(args)], output_names=names[len(args) :],
        )  # fmt: skip


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.from_ids(range(100, 100 + ITEMS))


@pytest.fixture(scope="module")
def model(catalog: Catalog) -> SasRec:
    made = SasRec(catalog, SasRecConfig(embedding_dim=8, heads=1, blocks=1, max_length=LENGTH))
    made.initialize(torch.Generator().manual_seed(2))
    return made.eval()


@pytest.fixture(scope="module")
def files(model: SasRec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    window = torch.ones(2, LENGTH, dtype=torch.int64)
    axes = {"item_seq": BATCH, "item_seq_len": BATCH, "scores": BATCH}
    export(Last(model), folder / "last.onnx", window, torch.tensor([6, 3]), axes=axes)
    axes = {"input_ids": GROWING, "logits": GROWING, "sums": BATCH}
    export(Each(model), folder / "each.onnx", window[:, :3], axes=axes)
    axes = {"items": BATCH, "attention_mask": BATCH, "scores": BATCH}
    export(Places(31), folder / "places.onnx", window, window.float(), axes=axes)
    export(Last(model), folder / "one.onnx", window[:1], torch.tensor([6]), axes={
        "item_seq": {}, "item_seq_len": {}, "scores": {}
    })  # fmt: skip
    return folder


def histories(longest: int) -> IntArray:
    rng = np.random.default_rng(4)
    rows = rng.permuted(np.tile(np.arange(1, ITEMS + 1), (40, 1)), axis=1)[:, :longest]
    return rows * (np.arange(longest) < rng.integers(1, longest + 1, 40)[:, None])


def written(file: Path, text: str) -> str:
    file.write_text(f"[onnx]\n{text}\n")
    return str(file)


@pytest.mark.parametrize(("name", "longest"), [("last", 9), ("one", 9), ("each", LENGTH)])
def test_the_lists_are_those_of_the_checkpoint(files, model, catalog, name, longest) -> None:
    """Longer than its window, one at a time, and of any length without filling."""
    found = open_target(f"onnx:{files / name}.onnx", catalog)
    assert capabilities_of(found) == {"ids", "scores", "all-scores"}
    asked = histories(longest)
    wanted = LocalTarget(model).query("a", asked, ITEMS - longest)
    assert (found.query("a", asked, ITEMS - longest) == wanted).all()
    scores = found.recommender.scores(asked)
    assert torch.allclose(scores, model.scores(asked), atol=1e-6)
    assert scores[:, 0].isneginf().all()
    for check in CONTRACT:
        check(found, asked[:5])


def test_a_window_may_be_said(files, model, catalog, tmp_path) -> None:
    spec = written(
        tmp_path / "each.toml", f'file = "{files}/each.onnx"\nlength = 4\nside = "right"'
    )
    asked = histories(8)
    newest = np.zeros((len(asked), 4), np.int64)
    for row, history in enumerate(asked):
        kept = history[history > 0][-4:]
        newest[row, : len(kept)] = kept
    found = open_target(spec, catalog).recommender.scores(asked)
    assert torch.allclose(found, model.scores(newest), atol=1e-6)


def test_histories_are_filled_as_the_file_says(files, catalog, tmp_path) -> None:
    """Numbers from a table, in another order than columns; the filling number and side said."""
    numbers = 5 + np.random.default_rng(1).permutation(ITEMS)
    lines = [f"{item},{number}" for item, number in zip(catalog.ids, numbers, strict=True)]
    (tmp_path / "numbers.csv").write_text("\n".join(["item,number", *lines, "9999,3"]) + "\n")
    text = f'file = "{files}/places.onnx"\nitems = "{tmp_path}/numbers.csv"\npad = 1\nfirst = 4\n'
    table = Places(31).table.detach()
    for side in ("left", "right"):
        spec = written(tmp_path / f"{side}.toml", f'{text}side = "{side}"')
        found = open_target(spec, catalog).recommender
        scores = found.scores(np.array([[7, 8, 0], [9, 0, 0]]))
        at = slice(LENGTH - 2, LENGTH) if side == "left" else slice(0, 2)
        place = torch.arange(1.0, LENGTH + 1)[at]
        wanted = place @ table[numbers[[6, 7]]]
        assert torch.allclose(scores[0, 1:], wanted[numbers - 4])
        assert f"the newest 6 items, filled on the {side} with 1" in found.words
        assert "attention_mask takes 1 where an item is" in found.words
    assert set(target_digests(spec)) == {
        spec, f"{files}/places.onnx", f"{tmp_path}/numbers.csv"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ('file = "FILES/last.onnx"\nlength = 5', ConfigError, "takes histories of 6 items"),
        ('file = "FILES/each.onnx"\nside = "left"', ConfigError, "nothing is filled on the left"),
        ('file = "FILES/last.onnx"\nfirst = 1', ConfigError, "gives 31 scores; numbers 1 to 30"),
        ('file = "FILES/last.onnx"\nhistory = "items"', ConfigError, "named are items"),
        ('file = "FILES/last.onnx"\nlengths = "item_seq"', ConfigError, "expected the numbers of"),
        ('file = "FILES/last.onnx"\nscores = "logits"', ConfigError, "expected the scores of all"),
        ('file = "FILES/each.onnx"\nlength = 99\nside = "left"', TargetError, "does not take hist"),
        ('file = "FILES/each.onnx"\npad = 77\nlength = 6', TargetError, "does not take hist"),
        ('file = "FILES/absent.onnx"', ConfigError, "no file"),
        ('file = "FILES/last.onnx"\nitems = "FILES/absent.csv"', DataError, "absent.csv"),
        ('file = "FILES/last.onnx"\nitems = "FILES/few.csv"', ConfigError, "no number for 29 of"),
        ('file = "FILES/last.onnx"\nitems = "FILES/twice.csv"', ConfigError, "to two items"),
        ('file = "FILES/last.onnx"\nwindow = 3', ConfigError, "window"),
        ('length = 3', ConfigError, "file"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_before_anything_is_asked(
    files, catalog, tmp_path, text, error, said
) -> None:
    (files / "few.csv").write_text("item,number\n100,1\n")
    rows = "".join(f"{item},{max(item - 99, 2)}\n" for item in catalog.ids)
    (files / "twice.csv").write_text("item,number\n" + rows)
    spec = written(tmp_path / "file.toml", text.replace("FILES", str(files)))
    with pytest.raises(error, match=said):
        open_target(spec, catalog)


def test_a_batch_that_cannot_vary_is_noticed(files, model, catalog, tmp_path) -> None:
    """Two histories were shown when it was exported, and two it takes ever after."""
    window = torch.ones(2, LENGTH, dtype=torch.int64)
    for axes in (BATCH, {}):
        export(Fixed(model), tmp_path / "two.onnx", window, axes={"ids": axes, "out": axes})
        with pytest.raises((TargetError, ConfigError)) as caught:
            open_target(f"onnx:{tmp_path}/two.onnx", catalog)
        assert "batch axis that may vary" in str(caught.value.hint)


def test_another_catalog_is_refused(files) -> None:
    with pytest.raises(ConfigError, match="gives 31 scores") as caught:
        open_target(f"onnx:{files}/last.onnx", Catalog.from_ids(range(20)))
    assert "item,number" in str(caught.value.hint)


def test_weights_elsewhere_are_refused(files, catalog, tmp_path) -> None:
    import onnx

    model = onnx.load(str(files / "last.onnx"))
    onnx.save_model(
        model, str(tmp_path / "m.onnx"), save_as_external_data=True, location="w.bin",
        size_threshold=0,
    )  # fmt: skip
    spec = f"onnx:{tmp_path}/m.onnx"
    assert open_target(spec, catalog).query("a", histories(3), 5).all()
    assert set(target_digests(spec)) == {f"{tmp_path}/m.onnx", f"{tmp_path}/w.bin"}
    (tmp_path / "inner").mkdir()
    (tmp_path / "m.onnx").rename(tmp_path / "inner" / "m.onnx")
    (tmp_path / "inner" / "w.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(ConfigError, match="outside of its folder"):
        open_target(f"onnx:{tmp_path}/inner/m.onnx", catalog)
