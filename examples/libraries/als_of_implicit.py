"""ALS of `implicit` as a target: trained and asked in its own environment.

    python -m venv als && als/bin/pip install implicit
    als/bin/python als_of_implicit.py log.csv als.npz          # columns user, item, time
    export ALS_MODEL=als.npz
    recsec evaluate --model python:als/bin/python:callable:als_of_implicit:recommend --data log.csv
    recsec evaluate --model python:als/bin/python:scores:als_of_implicit:scores --data log.csv

run in the folder of this file. The first form is asked for lists; the second gives the scores of
all items, which guards, watermarks and detectors use. People are known by their history alone: the
factors of the person are computed from it (`recalculate_user`). The last two items of each user
are not learned: recsec validates and tests on them. Items that the model knows and a filter of
recsec left out are counted and kept out of the lists; the second form is never asked for them.
Nothing is pickled.
"""

from __future__ import annotations

import csv
import os
import sys
from functools import cache
from itertools import groupby
from operator import itemgetter

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix


def recommend(histories, k):
    """Lists of at most `k` ids, best first, without the items of the history."""
    ids = known_ids()
    ranked = scores(histories, ids)
    place = {item: at for at, item in enumerate(ids)}
    for row, history in zip(ranked, histories, strict=True):
        row[[place[item] for item in history if item in place]] = -np.inf
    best = np.argsort(-ranked, axis=1, kind="stable")[:, :k]
    return [
        [ids[at] for at in chosen if np.isfinite(row[at])]
        for row, chosen in zip(ranked, best, strict=True)
    ]


def scores(histories, items):
    """A number per history and item, in the order of `items`.

    A history of no known item gets what is popular. Items that the model never saw come last.
    """
    model, popularity = opened()
    place = {item: at for at, item in enumerate(known_ids())}
    rows = [sorted({place[item] for item in history if item in place}) for history in histories]
    likes = matrix(rows, len(place))
    people = model.recalculate_user(np.arange(len(rows)), likes)
    ranked = people @ model.item_factors.T
    ranked[[not row for row in rows]] = popularity
    answer = np.full((len(rows), len(items)), ranked.min() - 1, dtype=np.float32)
    shown = [(at, place[item]) for at, item in enumerate(items) if item in place]
    if shown:
        there, here = map(list, zip(*shown, strict=True))
        answer[:, there] = ranked[:, here]
    return answer


def matrix(rows, width):
    """Rows of places as ones."""
    ends = np.cumsum([0, *map(len, rows)])
    places = np.array([at for row in rows for at in row], dtype=np.int32)
    return csr_matrix((np.ones(len(places), dtype=np.float32), places, ends), (len(rows), width))


@cache
def opened():
    """The model and the popularity of its items."""
    with np.load(os.environ["ALS_MODEL"], allow_pickle=False) as file:
        model = AlternatingLeastSquares(
            factors=file["factors"].shape[1], regularization=float(file["regularization"]),
            alpha=float(file["alpha"]), num_threads=1,
        )  # fmt: skip
        model.item_factors = file["factors"]
        return model, file["popularity"]


@cache
def known_ids():
    """The ids that the model knows, as the data set writes them: numbers or text."""
    with np.load(os.environ["ALS_MODEL"], allow_pickle=False) as file:
        return tuple(file["ids"].tolist())


def train(log, out, *, factors=64, seed=0):
    """Learn from a table with columns user, item and time."""
    with open(log, newline="", encoding="utf-8") as file:
        events = sorted(csv.DictReader(file), key=lambda row: (row["user"], float(row["time"])))
    of = {user: [row["item"] for row in rows] for user, rows in groupby(events, itemgetter("user"))}
    pairs = {(user, item) for user, items in of.items() for item in items[:-2]}
    users = {user: at for at, user in enumerate(sorted({user for user, _ in pairs}))}
    names = sorted({item for _, item in pairs})
    ids = sorted(map(int, names)) if all(name.isdecimal() for name in names) else names
    place = {str(item): at for at, item in enumerate(ids)}
    rows = [[] for _ in users]
    for user, item in sorted(pairs):
        rows[users[user]].append(place[item])
    likes = matrix(rows, len(ids))
    model = AlternatingLeastSquares(factors=factors, random_state=seed, num_threads=1)
    model.fit(likes, show_progress=False)
    np.savez(
        out, factors=model.item_factors, regularization=model.regularization, alpha=model.alpha,
        popularity=np.asarray(likes.sum(axis=0)).ravel(), ids=np.array(ids),
    )  # fmt: skip


if __name__ == "__main__":
    train(sys.argv[1], sys.argv[2])
