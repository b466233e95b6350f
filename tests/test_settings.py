"""Settings as typed: pairs, words behind the name of data, guards."""

from __future__ import annotations

import pytest

from recsec.errors import ConfigError
from recsec.settings import parse_settings, parse_words


@pytest.mark.parametrize("pair", ["epochs", "=3", "a b=3", "a..b=1"])
def test_a_setting_without_a_value_is_refused(pair: str) -> None:
    with pytest.raises(ConfigError, match="expected key=value"):
        parse_settings([pair])


def test_a_setting_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="given twice"):
        parse_settings(["epochs=1", "epochs=2"])
    with pytest.raises(ConfigError, match="already given a value"):
        parse_settings(["a=1", "a.b=2"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-0.5", -0.5),
        ("false", False),
        ('"3"', "3"),
        ("", ""),
        ("a=b", "a=b"),
        ("1979-05-27", "1979-05-27"),
        ("1\nother = 2", "1\nother = 2"),
        ("[1, 2]", [1, 2]),
    ],
)
def test_values_are_toml_or_text(text: str, value: object) -> None:
    assert parse_settings([f"key={text}"]) == {"key": value}


def test_words_behind_a_name_are_texts() -> None:
    assert parse_words("a=1,, b = x=y", where="photos") == {"a": "1", "b": "x=y"}
    with pytest.raises(ConfigError, match="photos: found 'items', expected key=value"):
        parse_words("items", where="photos")
