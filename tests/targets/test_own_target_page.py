"""The page for people with a recommender of their own is executed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from recsec.data.catalog import Catalog
from recsec.targets import CONTRACT, HttpConfig, LocalTarget, scored_by
from recsec.targets.onnx.file import OnnxFile

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "own-target.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_function_of_the_page_is_the_example_and_passes_its_own_test() -> None:
    function, _, contract = blocks("python")
    example = (ROOT / "examples" / "my_recommender.py").read_text(encoding="utf-8")
    assert function.split('"""')[2] in example
    names: dict[str, object] = {}
    exec(function + contract, names)
    for check in CONTRACT:
        names["test_my_target"](check)


def test_the_scores_of_the_page_keep_the_contract() -> None:
    _, score, _ = blocks("python")
    names: dict[str, Any] = {}
    exec(score, names)
    target = LocalTarget(scored_by(names["score"], Catalog.from_ids(range(1, 41))))
    for check in CONTRACT:
        check(target, np.array([[3, 5, 9], [8, 0, 0], [1, 2, 30]]))


def test_the_onnx_file_of_the_page_says_everything() -> None:
    table = tomllib.loads(blocks("toml")[0])["onnx"]
    found = OnnxFile.model_validate(table)
    assert set(table) == set(OnnxFile.model_fields) - {"mask"}
    assert found.side == "right"


def test_the_target_file_of_the_page_is_valid() -> None:
    text = blocks("toml")[1]
    config = HttpConfig.model_validate(tomllib.loads(text))
    assert config.request == {"user": "{account}", "clicked": "{history}", "limit": "{k}"}
    assert config.auth_env == "SHOP_TOKEN"
