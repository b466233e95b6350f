"""Others' numbers: with source and protocol, budgets in calls."""

from __future__ import annotations

from recsec.reports import published_numbers


def test_ml_1m_has_the_table_of_the_first_paper() -> None:
    rows = published_numbers("ml-1m")
    found = {(row.attack, row.target): row.metrics for row in rows}
    assert len(rows) == len(found) == 6
    assert found["autoregressive", "SASRec"] == {"agr@1": 0.454, "agr@10": 0.662}
    assert found["random", "BERT4Rec"] == {"agr@1": 0.241, "agr@10": 0.488}


def test_budgets_are_calls_and_lists_are_named() -> None:
    for row in published_numbers("ml-1m"):
        assert (row.calls, row.k) == (5_000 * 200, 100)
        assert "Table 4" in row.source
        assert "no interval" in row.protocol


def test_other_data_has_none() -> None:
    assert published_numbers("synthetic") == ()
