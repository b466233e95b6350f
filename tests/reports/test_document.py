"""Values on a page carry where they stand; how they are printed is fixed."""

from __future__ import annotations

import pytest

from recsec.reports.document import FORMATS, Document, pointer


@pytest.mark.parametrize(
    ("style", "value", "text"),
    [
        ("share", 0.66249, "0.662"),
        ("count", 1_000_000, "1,000,000"),
        ("hours", 27.777, "27.8"),
        ("hours", 0.277, "0.28"),
        ("hours", 2777.7, "2,778"),
        ("percent", 0.95, "95 %"),
        ("plain", 10.0, "10"),
        ("rate", 0.00192308, "0.00192"),
    ],
)
def test_formats(style: str, value: float, text: str) -> None:
    assert FORMATS[style](value) == text


def test_pointers_escape_what_the_standard_says() -> None:
    assert pointer("a/b", "m~n", 0) == "/a~1b/m~0n/0"


def test_numbers_and_texts_are_marked_and_escaped() -> None:
    document = Document({"a": {"<b>": 0.5}, "words": "<i>&"})
    assert (
        str(document.number("share", "a", "<b>"))
        == '<data value="0.5" data-json="/a/&lt;b&gt;" data-style="share">0.500</data>'
    )
    assert str(document.text("words")) == '<bdi data-json="/words">&lt;i&gt;&amp;</bdi>'


def test_null_is_a_dash_and_a_wrong_path_an_error() -> None:
    document = Document({"a": None})
    assert "–" in document.number("share", "a")
    with pytest.raises(KeyError):
        document.number("share", "b")
