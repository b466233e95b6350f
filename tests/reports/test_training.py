"""Training reports: best epoch, gap, and histories that are not ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from report_example import history

from recsec.errors import RunError
from recsec.reports.training import read_training, training_html


def folder(path: Path, content: Any) -> Path:
    path.mkdir(exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (path / "history.json").write_text(text)
    return path


def test_best_epoch_and_gap(tmp_path: Path) -> None:
    entries = [
        {"epoch": 1, "loss": 2.0, "lr": 0.1, "valid": {"ndcg@10": 0.25}, "train_ndcg@10": 0.25},
        {"epoch": 2, "loss": 1.0, "lr": 0.1, "valid": {"ndcg@10": 0.5}, "train_ndcg@10": 0.75},
        {"epoch": 3, "loss": 0.5, "lr": 0.1, "valid": {"ndcg@10": 0.375}, "train_ndcg@10": 1.0},
    ]
    report = read_training(folder(tmp_path / "model", entries))
    assert (report.metric, report.best, report.title) == ("ndcg@10", 1, "Training of model")
    assert [epoch.gap for epoch in report.epochs] == [0.0, 0.25, 0.625]
    page = training_html(report)
    assert "/epochs/1/gap" in page
    assert "<script" not in page


def test_a_gap_that_was_not_measured_is_said(tmp_path: Path) -> None:
    page = training_html(read_training(folder(tmp_path, history(3, train=False))))
    assert "the generalization gap is not known" in page


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[",
        "[]",
        "{}",
        "[1]",
        '[{"epoch": 1}]',
        '[{"epoch": 1, "loss": NaN, "valid": {"ndcg@10": 0.1}}]',
        '[{"epoch": 1, "loss": 1.0, "valid": {}}]',
        '[{"epoch": 1, "loss": 1.0, "valid": {"ndcg@10": "high"}}]',
    ],
)
def test_a_broken_history_is_a_run_error(tmp_path: Path, content: str) -> None:
    with pytest.raises(RunError, match="no training history"):
        read_training(folder(tmp_path, content))


def test_a_missing_history_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no history\.json") as caught:
        read_training(tmp_path)
    assert caught.value.hint is not None
