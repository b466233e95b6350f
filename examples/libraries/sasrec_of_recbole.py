"""A sequential model of RecBole as a target: trained and asked in its own environment.

    python -m venv rb && rb/bin/pip install recbole               # minutes: it brings torch and ray
    rb/bin/python sasrec_of_recbole.py data/shop shop.pth         # the folder holds shop.inter
    export RECBOLE_MODEL=shop.pth
    recsec evaluate --data data/shop/shop.inter \\
      --model python:rb/bin/python:scores:sasrec_of_recbole:scores

run in the folder of this file. Any sequential model of RecBole is asked by `full_sort_predict`. Its
own split holds out the last two items of each user, as recsec does. RecBole keeps a model as a
pickle: it is opened in this process, which has no part of recsec, and never by recsec.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.utils import get_model, get_trainer, init_seed

ROWS = 256

for dropped, name in {"float_": "float64", "complex_": "complex128", "unicode_": "str_"}.items():
    if not hasattr(np, dropped):  # RecBole 1.2.1 asks numpy for them, numpy 2 has them no more
        setattr(np, dropped, getattr(np, name))


def scores(histories, items):
    """A number per history and item, in the order of `items`.

    Items that the model never saw, and all items after a history of no known one, score lowest.
    """
    model, dataset = opened()
    place = dataset.field2token_id[dataset.iid_field]
    length = model.max_seq_length
    rows = [[place[str(item)] for item in history if str(item) in place] for history in histories]
    known = [row for row, history in enumerate(rows) if history]
    shown = [(at, place[str(item)]) for at, item in enumerate(items) if str(item) in place]
    there, here = map(list, zip(*shown, strict=True))
    answer = np.full((len(histories), len(items)), -1e9, dtype=np.float32)
    for start in range(0, len(known), ROWS):
        part = known[start : start + ROWS]
        newest = [rows[row][-length:] for row in part]
        asked = torch.zeros(len(part), length, dtype=torch.long)
        for row, history in zip(asked, newest, strict=True):
            row[: len(history)] = torch.tensor(history)
        told = {
            model.ITEM_SEQ: asked,
            model.ITEM_SEQ_LEN: torch.tensor([len(history) for history in newest]),
        }
        with torch.no_grad():
            ranked = model.full_sort_predict(Interaction(told)).view(len(part), -1).numpy()
        answer[np.ix_(part, there)] = ranked[:, here]
    return answer


@cache
def opened():
    """The model, and the data set that knows its items."""
    kept = torch.load(os.environ["RECBOLE_MODEL"], map_location="cpu", weights_only=False)
    config = kept["config"]
    dataset = create_dataset(config)
    train, _, _ = data_preparation(config, dataset)
    model = get_model(config["model"])(config, train.dataset)
    model.load_state_dict(kept["state_dict"])
    return model.eval(), dataset


def settings(folder, model, more):
    """Leave-one-out over the whole of a folder with an atomic file, on the CPU, silent."""
    path = Path(folder).resolve()
    told = {
        "data_path": str(path.parent), "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"},
        "train_neg_sample_args": None, "use_gpu": False, "show_progress": False, **more,
    }  # fmt: skip
    arguments, sys.argv[1:] = sys.argv[1:], []  # RecBole reads them as settings
    try:
        return Config(model=model, dataset=path.name, config_dict=told)
    finally:
        sys.argv[1:] = arguments


def train(folder, out, *, model="SASRec", **more):
    """Learn from the atomic files in a folder."""
    config = settings(folder, model, {"epochs": 20, **more})
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    known, _, _ = data_preparation(config, dataset)
    found = get_model(config["model"])(config, known.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, found)
    trainer.fit(known, saved=False, verbose=False)
    torch.save({"config": config, "state_dict": found.state_dict()}, out)


if __name__ == "__main__":
    train(sys.argv[1], sys.argv[2])
