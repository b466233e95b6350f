import numpy as np


class Alphabet:
    """Whatever the history, the first items of the catalog that are not in it."""

    chunk = 64  # histories that may be sent at a time; what a crash can lose

    def __init__(self, catalog):
        self.catalog = catalog

    def query(self, account, histories, k):
        lists = np.zeros((len(histories), k), np.int64)
        for row, history in enumerate(histories):
            items = np.setdiff1d(np.arange(1, len(self.catalog) + 1), history)[:k]
            lists[row, : len(items)] = items
        return lists
