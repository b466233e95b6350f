"""Text from outside, spelled so that it can be shown."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from recsec.text import visible


def test_what_steers_is_spelled_out() -> None:
    assert visible("a\x1b]0;t\x07b\x9b2J\u202e\u2066\x7f\ud800") == (
        "a\\u001b]0;t\\u0007b\\u009b2J\\u202e\\u2066\\u007f\\ud800"
    )


def test_what_has_a_shape_stays() -> None:
    text = "Château\t<b>[/]\nשלום 日本語 👩\u200d💻 %\\"
    assert visible(text) == text
    assert visible("a\r\nb") == "a\nb"


@given(st.text(st.characters(categories=["C", "L", "P", "Z"])))
def test_it_is_done_once_and_can_be_written(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    shown.encode("utf-8")


@given(st.text(st.characters()), st.booleans())
def test_json_means_the_same(text: str, ensure_ascii: bool) -> None:
    assert json.loads(visible(json.dumps([text], ensure_ascii=ensure_ascii))) == [text]
