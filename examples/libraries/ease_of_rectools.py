"""EASE of RecTools as a target: trained and asked in its own environment.

    python -m venv rec && rec/bin/pip install rectools            # numpy 1.26, no torch
    rec/bin/python ease_of_rectools.py log.csv ease.npz           # columns user, item, time
    export EASE_MODEL=ease.npz
    recsec evaluate --model python:rec/bin/python:callable:ease_of_rectools:recommend --data log.csv
    recsec evaluate --model python:rec/bin/python:scores:ease_of_rectools:scores --data log.csv

run in the folder of this file. Each history becomes a user of a `Dataset` with the items of the
model, which is asked by `recommend`: so the same lines serve any model of RecTools that recommends
to users whom it was not fitted to (EASE, ItemKNN; SASRec and BERT4Rec with `rectools[torch]`). The
last two items of each user are not learned: recsec validates and tests on them. The weights are
kept as plain arrays; nothing is pickled.
"""

from __future__ import annotations

import os
import sys
from functools import cache

import numpy as np
import pandas as pd
from rectools import Columns
from rectools.dataset import Dataset, IdMap, Interactions
from rectools.models import EASEModel


def recommend(histories, k):
    """Lists of at most `k` ids, best first, without the items of the history."""
    model, items = opened()
    asked = dataset(histories, items)
    found = model.recommend(asked.user_id_map.external_ids, asked, k=k, filter_viewed=True)
    lists = dict(found.sort_values(Columns.Rank).groupby(Columns.User)[Columns.Item].agg(list))
    return [[plain(item) for item in lists.get(row, [])] for row in range(len(histories))]


def scores(histories, items):
    """A number per history and item, in the order of `items`.

    Items that the model never saw, and all items after a history of no known one, score lowest.
    """
    model, known = opened()
    answer = np.full((len(histories), len(items)), -1e9, dtype=np.float32)
    asked = dataset(histories, known)
    ranked = asked.get_user_item_matrix(include_weights=True) @ model.weight.T
    rows = asked.user_id_map.external_ids[:-1].astype(int)
    place = {plain(item): at for at, item in enumerate(known.external_ids)}
    shown = [(at, place[item]) for at, item in enumerate(items) if item in place]
    there, here = map(list, zip(*shown, strict=True))
    answer[np.ix_(rows, there)] = ranked[:-1, here]
    return answer


def dataset(histories, items):
    """Histories as users of a data set; those that hold no known item are not in it.

    A last user has met the last item: `Dataset` is as wide as the items that somebody met.
    """
    place = items.to_internal
    pairs = [
        (row, int(place[item]), at)
        for row, history in enumerate(histories)
        for at, item in enumerate(dict.fromkeys(history))
        if item in place.index
    ]
    pairs.append((len(histories), items.size - 1, 0))
    users = IdMap.from_values(np.array([row for row, _, _ in pairs]))
    table = pd.DataFrame(
        {
            Columns.User: users.convert_to_internal([row for row, _, _ in pairs]),
            Columns.Item: [item for _, item, _ in pairs],
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime([at for _, _, at in pairs], unit="s"),
        }
    )
    return Dataset(user_id_map=users, item_id_map=items, interactions=Interactions(table))


@cache
def opened():
    """The model, and the map of its items."""
    with np.load(os.environ["EASE_MODEL"], allow_pickle=False) as file:
        model = EASEModel(regularization=float(file["regularization"]), recommend_n_threads=1)
        model.weight, model.is_fitted = file["weight"], True
        return model, IdMap(file["ids"])


def plain(item):
    """An id as JSON has it."""
    return item.item() if isinstance(item, np.generic) else item


def train(log, out, *, regularization=50.0):
    """Learn from a table with columns user, item and time."""
    table = pd.read_csv(log, dtype={"user": str}).sort_values(["user", "time"], kind="stable")
    last = table.groupby("user").cumcount(ascending=False)
    told = table[last >= 2].rename(
        columns={"user": Columns.User, "item": Columns.Item, "time": Columns.Datetime}
    )
    told = told[[Columns.User, Columns.Item, Columns.Datetime]].assign(**{Columns.Weight: 1.0})
    told[Columns.Datetime] = pd.to_datetime(told[Columns.Datetime], unit="s")
    known = Dataset.construct(told.drop_duplicates([Columns.User, Columns.Item]))
    model = EASEModel(regularization=regularization, recommend_n_threads=1).fit(known)
    ids = known.item_id_map.external_ids
    ids = ids if np.issubdtype(ids.dtype, np.integer) else ids.astype(str)
    np.savez(out, weight=model.weight, ids=ids, regularization=regularization)


if __name__ == "__main__":
    train(sys.argv[1], sys.argv[2])
