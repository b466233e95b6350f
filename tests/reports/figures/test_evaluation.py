"""The figures of an evaluation: every number that is drawn stands in the text of the SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from recsec.reports.figures.evaluation import genre_confusion, hr_by_genre
from recsec.stats import Estimate


def test_hr_by_genre_names_genres_users_and_the_mean() -> None:
    rows = [
        ("Sci-Fi & $more", 1200, Estimate(0.3, 0.2, 0.4, 1200)),
        ("Drama", 1, Estimate(0.0, None, None, 1)),
    ]
    text = hr_by_genre(rows, Estimate(0.25, 0.2, 0.3, 1201))
    ElementTree.fromstring(text)
    for shown in ("Sci-Fi &amp; $more (1,200 users)", "Drama (1 users)", "0.250"):
        assert shown in text
    assert text == hr_by_genre(rows, Estimate(0.25, 0.2, 0.3, 1201))


def test_confusion_leaves_out_genres_that_were_never_chosen() -> None:
    shares = np.array([[0.75, 0.25], [np.nan, np.nan]])
    text = genre_confusion(["Comedy", "Drama"], shares)
    ElementTree.fromstring(text)
    assert ">75</" in text
    assert ">25</" in text
    assert "A table of 1 by 2 genres" in text
