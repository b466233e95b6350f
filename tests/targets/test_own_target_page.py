"""The page for people with a recommender of their own is executed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from recsec.targets import CONTRACT, HttpConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "own-target.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_function_of_the_page_is_the_example_and_passes_its_own_test() -> None:
    function, contract = blocks("python")
    example = (ROOT / "examples" / "my_recommender.py").read_text(encoding="utf-8")
    assert function.split('"""')[2] in example
    names: dict[str, object] = {}
    exec(function + contract, names)
    for check in CONTRACT:
        names["test_my_target"](check)


def test_the_target_file_of_the_page_is_valid() -> None:
    (text,) = blocks("toml")
    config = HttpConfig.model_validate(tomllib.loads(text))
    assert config.request == {"user": "{account}", "clicked": "{history}", "limit": "{k}"}
    assert config.auth_env == "SHOP_TOKEN"
