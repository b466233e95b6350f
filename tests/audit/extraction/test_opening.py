from __future__ import annotations

import pytest

from recsec.audit.extraction import opening
from recsec.data import Catalog
from recsec.models.sequential.sasrec import SasRec, SasRecConfig


def test_networks_answer_where_the_audit_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog.from_ids(list(range(20)))
    model = SasRec(catalog, SasRecConfig(embedding_dim=8, blocks=1, heads=1, max_length=5))
    opening.placed(model, "cpu")
    assert model.item_table().device.type == "cpu"
    monkeypatch.setattr(opening, "resolve_device", lambda device: device)
    opening.placed(model, "meta")
    assert model.item_table().device.type == "meta"
