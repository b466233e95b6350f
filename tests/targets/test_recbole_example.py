"""The example of RecBole, on a stand-in for the library: RecBole takes minutes to install.

With ``RECSEC_RECBOLE``, a Python that has it, the real library is trained and asked.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from recsec.cli.main import main

FILE = Path(__file__).parents[2] / "examples" / "libraries" / "sasrec_of_recbole.py"


class Model:
    """What the example asks of a sequential model: scores of all items, padding first."""

    ITEM_SEQ, ITEM_SEQ_LEN, max_seq_length = "item_id_list", "item_length", 3

    def full_sort_predict(self, told: dict[str, torch.Tensor]) -> torch.Tensor:
        """An item scores by how close it stands behind the newest one."""
        assert told[self.ITEM_SEQ].shape[1] == self.max_seq_length
        newest = told[self.ITEM_SEQ].gather(1, told[self.ITEM_SEQ_LEN][:, None] - 1)
        return -((torch.arange(6)[None] - newest) % 6).float()


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example, with the names that it takes from RecBole."""
    names = {
        "recbole": (), "recbole.config": ("Config",), "recbole.utils": ("get_model", "get_trainer",
        "init_seed"), "recbole.data": ("create_dataset", "data_preparation"),
        "recbole.data.interaction": ("Interaction",),
    }  # fmt: skip
    for module, held in names.items():
        found = ModuleType(module)
        for name in held:
            setattr(found, name, dict)
        monkeypatch.setitem(sys.modules, module, found)
    for name in ("float_", "complex_", "unicode_"):  # the example gives them to numpy
        monkeypatch.setattr(np, name, None, raising=False)
    spec = importlib.util.spec_from_file_location("sasrec_of_recbole", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    place = {"[PAD]": 0, "10": 1, "20": 2, "30": 3, "40": 4, "50": 5}
    dataset = SimpleNamespace(iid_field="item_id", field2token_id={"item_id": place})
    monkeypatch.setattr(module, "opened", lambda: (Model(), dataset))
    return module


def test_scores_stand_in_the_order_of_the_items(example: Any) -> None:
    histories = [[10, 20], [], [50, 40, 30, 20, 10], [77]]
    found = example.scores(histories, [50, 10, 99, 30])
    assert found.shape == (4, 4)
    assert found[0].tolist() == [-3, -5, np.float32(-1e9), -1]  # 30 follows 20
    assert found[2].tolist() == [-4, 0, np.float32(-1e9), -2]  # the newest three of five
    assert (found[[1, 3]] == np.float32(-1e9)).all()


@pytest.mark.skipif("RECSEC_RECBOLE" not in os.environ, reason="needs a Python with RecBole")
def test_the_real_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    python = os.environ["RECSEC_RECBOLE"]
    shutil.copy(FILE, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECBOLE_MODEL", "shop.pth")
    (tmp_path / "data" / "shop").mkdir(parents=True)
    rows = [f"{u}\t{(u * 7 + t) % 40 + 1}\t{t}" for u in range(60) for t in range(8)]
    head = "user_id:token\titem_id:token\ttimestamp:float"
    (tmp_path / "data" / "shop" / "shop.inter").write_text("\n".join([head, *rows]) + "\n")
    train = [python, "-W", "ignore", FILE.name, "data/shop", "shop.pth"]
    subprocess.run(train, check=True, capture_output=True)
    words = f"--model python:{python}:scores:sasrec_of_recbole:scores --data data/shop/shop.inter"
    assert main(["evaluate", *words.split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hr@10"]["value"] > 0.5
