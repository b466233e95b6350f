"""What every fuzz target shares: a committed corpus, and bytes near to it.

A file of the corpus is taken as it is, cut, spliced with another one or changed in some places, so
that most inputs pass the first checks of the format. A failing input belongs into the corpus.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from recsec.errors import RecsecError

__all__ = ["BOUNDED", "corpus", "ends_well", "near"]

BOUNDED = settings(
    max_examples=int(os.environ.get("RECSEC_FUZZ", "120")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize="RECSEC_FUZZ" not in os.environ,
)
"""So many inputs in a run of the tests, the same ones each time; ``RECSEC_FUZZ=999`` tries more."""
CORPUS = Path(__file__).parents[1] / "faults" / "fuzz" / "corpus"


def corpus(kind: str) -> list[Path]:
    """The committed inputs of one kind, sorted."""
    return sorted((CORPUS / kind).iterdir())


def ends_well(attempt: Callable[[], object]) -> bool:
    """Whether there is a result; if not, there must be an error that recsec explains."""
    try:
        attempt()
    except RecsecError as error:
        if not error.message:
            raise
        return False
    return True


@st.composite
def near(draw: st.DrawFn, kind: str, *, words: tuple[bytes, ...] = ()) -> tuple[str, bytes]:
    """The suffix of a file of the corpus, and bytes near to what it holds.

    Args:
        draw: given by hypothesis.
        kind: folder of the corpus.
        words: what the format gives a meaning to; put into random places.
    """
    path = draw(st.sampled_from(corpus(kind)))
    data = bytearray(path.read_bytes())
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        how = draw(st.sampled_from(["flip", "insert", "word", "cut", "repeat", "splice"]))
        if how == "flip" and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif how == "insert":
            data[at:at] = draw(st.binary(max_size=8))
        elif how == "word" and words:
            data[at:at] = draw(st.sampled_from(words))
        elif how == "cut":
            del data[at : at + draw(st.integers(0, 64))]
        elif how == "repeat":
            data[at:at] = data[max(0, at - draw(st.integers(1, 64))) : at]
        elif how == "splice":
            other = draw(st.sampled_from(corpus(kind))).read_bytes()
            data[at:] = other[draw(st.integers(0, len(other))) :]
    return path.suffix, bytes(data)
