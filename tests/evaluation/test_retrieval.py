"""Retrieval on planted embeddings with a known answer, and the protocol of an encoder."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch.nn import functional as F  # noqa: N812

from recsec.data import load_photos, split_photos
from recsec.errors import DataError
from recsec.evaluation import classification, embed, evaluate_encoder
from recsec.evaluation.retrieval import retrieval
from recsec.models import Encoder, EncoderConfig, Heads, catalog_features, new_encoder
from recsec.models.visual import embedding
from recsec.rng import Streams

CONFIG = EncoderConfig(size=16, stem=4, widths=(8, 8))


@pytest.fixture(scope="module")
def split():
    return split_photos(load_photos("photos:items=90,categories=3,seed=2"))


@pytest.fixture(scope="module")
def encoder(split) -> Encoder:
    return new_encoder(split, CONFIG, Streams(0)).eval()


def test_well_separated_categories_are_perfect():
    labels = torch.arange(40) % 4
    rng = torch.Generator().manual_seed(0)
    vectors = F.normalize(torch.eye(4)[labels] + 0.01 * torch.randn(40, 4, generator=rng), dim=1)
    columns, _ = retrieval(vectors, labels, torch.arange(12))
    assert columns["precision@5"].tolist() == [1.0] * 12
    assert columns["precision@10"].tolist() == pytest.approx([0.9] * 12), "only 9 others exist"
    assert columns["map@r"].tolist() == pytest.approx([1.0] * 12)


def test_one_wrong_neighbor_costs_what_it_should():
    angles = torch.tensor([0.0, 0.1, 0.2, 3.0])
    vectors = torch.stack([angles.cos(), angles.sin()], dim=1)
    columns, _ = retrieval(vectors, torch.tensor([0, 1, 0, 1]), torch.tensor([0, 3]))
    assert columns["precision@1"].tolist() == [0.0, 0.0]
    assert columns["map@r"].tolist() == [0.0, 0.0], "R is 1 and the first neighbor is another's"


def test_the_only_photo_of_its_category_has_no_average_precision():
    vectors = F.normalize(torch.rand(5, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    columns, _ = retrieval(vectors, torch.tensor([0, 1, 1, 1, 1]), torch.tensor([0, 1]))
    assert np.isnan(columns["map@r"]).tolist() == [True, False]
    assert columns["precision@1"][0] == 0.0


def test_heads_are_right_where_they_name_a_label():
    heads = Heads(
        torch.tensor([[3.0, 1.0], [0.0, 2.0]]),
        {"color": torch.tensor([[0.0, 1.0, 2.0], [9.0, 0.0, 0.0]])},
    )
    masks = {"color": torch.tensor([[True, False, True], [False, False, False]])}
    found = classification(heads, torch.tensor([0, 0]), masks)
    assert found["accuracy"].tolist() == [1.0, 0.0]
    assert found["accuracy@5"].tolist() == [1.0, 1.0]
    assert found["attribute_precision@1:color"][0] == 1.0
    assert np.isnan(found["attribute_precision@1:color"][1]), "it has no color"


def test_the_protocol_of_an_encoder(encoder, split, tmp_path):
    found = evaluate_encoder(encoder, split)
    assert len(found.columns["accuracy"]) == len(split.test) == 18
    assert f"{len(split.catalog)} photos minus the query" in found.protocol
    features = catalog_features(encoder, split.photos, tmp_path)
    again = evaluate_encoder(encoder, split, features=features)
    for name, values in found.columns.items():
        np.testing.assert_allclose(again.columns[name], values, atol=1e-9, err_msg=name)
    estimates = found.estimates(np.random.default_rng(0))
    assert estimates["accuracy"].n == 18
    assert estimates["hubness"].low is None


def test_embeddings_do_not_depend_on_the_size_of_batches(encoder, split):
    rows = split.test
    expected = embed(encoder, split.photos, rows)
    torch.testing.assert_close(embed(encoder, split.photos, rows, batch=5), expected)
    torch.testing.assert_close(expected.norm(dim=1), torch.ones(len(rows)))


def test_kept_embeddings_belong_to_weights_and_survive_damage(encoder, split, tmp_path):
    features = catalog_features(encoder, split.photos, tmp_path)
    (path,) = (tmp_path / "embeddings").iterdir()
    assert torch.equal(catalog_features(encoder, split.photos, tmp_path), features)
    path.write_bytes(b"half")
    assert torch.equal(catalog_features(encoder, split.photos, tmp_path), features)
    other = new_encoder(split, CONFIG, Streams(1)).eval()
    assert not torch.allclose(catalog_features(other, split.photos, tmp_path), features)
    assert len(list((tmp_path / "embeddings").iterdir())) == 2


def test_a_large_catalog_is_embedded_in_parts_and_goes_on(encoder, split, tmp_path, monkeypatch):
    """A kill loses no more than a part; a part that another process holds is left to it."""
    whole = catalog_features(encoder, split.photos, None)
    monkeypatch.setattr(embedding, "PART", 20)
    made = []

    def counted(one, photos, rows, **words):
        made.append(rows.tolist())
        if len(made) == 3:
            raise KeyboardInterrupt
        return embed(one, photos, rows, **words)

    monkeypatch.setattr(embedding, "embed", counted)
    with pytest.raises(KeyboardInterrupt):
        catalog_features(encoder, split.photos, tmp_path)
    (folder,) = (tmp_path / "embeddings").iterdir()
    (folder / "0.safetensors").write_bytes(b"half")
    made = []
    monkeypatch.setattr(
        embedding, "embed", lambda *a, **w: (made.append(a[2][0]), embed(*a, **w))[1]
    )
    held, others = threading.Event(), threading.Event()

    def another() -> None:
        with FileLock(folder / "40.lock"):
            held.set()
            others.wait()

    process = threading.Thread(target=another)
    process.start()
    held.wait()
    progress = lambda _, done, count: others.set() if done == count else None  # noqa: E731
    features = catalog_features(encoder, split.photos, tmp_path, progress=progress)
    process.join()
    torch.testing.assert_close(features, whole)
    starts = list(range(0, len(split.photos), 20))
    assert made == [0, *starts[3:], 40], "20 was there; 40 was waited for, and nobody made it"
    (file,) = (tmp_path / "embeddings").iterdir()
    assert torch.equal(catalog_features(encoder, split.photos, tmp_path), features)
    assert len(made) == len(starts) - 1
    assert file.suffix == ".safetensors"


def test_an_encoder_of_other_categories_is_refused(split):
    other = Encoder(CONFIG, ("a", "b"), {})
    with pytest.raises(DataError, match="2 categories"):
        evaluate_encoder(other, split)


def test_nothing_to_measure(encoder, split):
    with pytest.raises(DataError, match="nothing to measure"):
        evaluate_encoder(encoder, split, queries=np.zeros(0, dtype=np.int64))
