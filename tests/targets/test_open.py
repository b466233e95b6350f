from __future__ import annotations

import numpy as np
import pytest

from recsec import models
from recsec.data.catalog import Catalog
from recsec.errors import CheckpointError, ConfigError, TargetError, UsageError
from recsec.targets import CallableTarget, HttpTarget, LocalTarget, open_target


def test_each_form_of_words_opens_its_kind(catalog, decay, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "load", lambda path: decay)
    assert isinstance(open_target("callable:math:fsum", catalog), CallableTarget)
    (tmp_path / "shop.toml").write_text('url = "http://localhost:1/"')
    for spec in ("http://127.0.0.1:1/x", str(tmp_path / "shop.toml")):
        target = open_target(spec, catalog)
        assert isinstance(target, HttpTarget)
        target.close()
    target = open_target(str(tmp_path), catalog)
    assert isinstance(target, LocalTarget)
    assert target.recommender is decay


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("absent-folder", CheckpointError),
        ("absent.toml", ConfigError),
        ("https://shop.example/", UsageError),
        ("callable:nothing", ConfigError),
    ],
)
def test_words_that_open_nothing(catalog, tmp_path, monkeypatch, spec, kind):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind):
        open_target(spec, catalog)


def test_a_checkpoint_of_other_items_is_refused(catalog, decay, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "load", lambda path: decay)
    for ids in (np.sort(catalog.ids), catalog.ids[:-1]):
        with pytest.raises(TargetError, match="not the same in the same order"):
            open_target(str(tmp_path), Catalog.from_ids(ids.tolist()))
