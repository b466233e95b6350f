"""A history of no items gets what is popular, whatever answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from liar import Liar

import recsec
from recsec.data import Catalog, load
from recsec.library.opening import open_target_to_serve
from recsec.models import MeanPool, MeanPoolConfig, Training, remember, save_checkpoint, train
from recsec.targets import LocalTarget, open_target

DATA = "synthetic:users=60,items=40,length=8,seed=2"
ASKED = np.array([[0, 0], [3, 4], [0, 0]])


@pytest.fixture(scope="module")
def popular() -> list[int]:
    counts = load(DATA).split().train.counts
    return (np.argsort(-counts[1:], kind="stable")[:5] + 1).tolist()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "newest_shop.py").write_text(
        "def recommend(histories, k):\n"
        "    return [[i for i in range(1 + h[-1] % 40, 41) if i not in h][:k] for h in histories]\n"
        "def score(histories, items):\n"
        "    return [[-((i - h[-1]) % 41) for i in items] for h in histories]\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(lists: np.ndarray, popular: list[int]) -> None:
    assert lists[0].tolist() == lists[2].tolist() == popular
    assert lists[1].tolist() != popular


@pytest.mark.parametrize("spec", ["callable:newest_shop:recommend", "scores:newest_shop:score"])
def test_a_function_is_not_asked_about_it(shop: Path, spec: str, popular: list[int]) -> None:
    data = load(DATA)
    counts = data.split().train.counts
    check(open_target(spec, data.catalog, counts=counts).query("a", ASKED, 5), popular)
    check(open_target_to_serve(spec, data, authorised=False).query("a", ASKED, 5), popular)
    opened = recsec.open_recommender(spec, data)
    ids = data.catalog.external(np.array(popular))
    assert opened.recommend([[]], k=5) == [ids]


def test_an_api_is_not_asked_about_it(shop: Path, popular: list[int]) -> None:
    data = load(DATA)
    with Liar() as server:
        found = open_target(server.url, data.catalog, counts=data.split().train.counts)
        assert found.query("a", ASKED[:1], 5)[0].tolist() == popular
        assert server.seen == []


def test_a_checkpoint_that_knows_no_order_for_it(tmp_path: Path, popular: list[int]) -> None:
    """A neural network scores all items alike: without counts it is any order."""
    data = load(DATA)
    model = MeanPool(data.catalog, MeanPoolConfig(embedding_dim=8))
    save_checkpoint(model, tmp_path / "model", {})
    bare = open_target(str(tmp_path / "model"), data.catalog)
    assert bare.query("a", ASKED[:1], 5)[0].tolist() != popular
    served = open_target_to_serve(str(tmp_path / "model"), data, authorised=False)
    check(served.query("a", ASKED, 5), popular)


def test_guards_work_on_it(tmp_path: Path, popular: list[int]) -> None:
    data = load(DATA)
    train("markov", data.split(), seed=0, training=Training(out=tmp_path / "m", device="cpu"))
    remember(tmp_path / "m", data)
    (tmp_path / "t.toml").write_text(
        f'checkpoint = "{tmp_path / "m"}"\n[[guards]]\nname = "truncate"\nlength = 3\n'
    )
    counts = data.split().train.counts
    found = open_target(str(tmp_path / "t.toml"), data.catalog, counts=counts)
    assert found.query("a", ASKED[:1], 5)[0].tolist() == [*popular[:3], 0, 0]


def test_growing_histories_begin_with_none() -> None:
    catalog = Catalog.from_ids(list(range(1, 6)))
    target = LocalTarget(MeanPool(catalog, MeanPoolConfig(embedding_dim=4)), counts=np.arange(6))
    assert target.query("a", np.zeros((2, 0), dtype=np.int64), 3).tolist() == [[5, 4, 3]] * 2
    assert (target.query("a", np.array([[1], [0]]), 3)[1] == [5, 4, 3]).all()
