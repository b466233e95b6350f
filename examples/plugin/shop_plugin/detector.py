import numpy as np

from recsec.detection import CountingDetector
from recsec.traffic import REPEATS


class Repeats(CountingDetector):
    """Share of an account's queries that repeat an earlier one: people reload, robots do not."""

    name, width = "repeats", 2

    @classmethod
    def fit(cls, data, config):
        return cls(config, {}, data.catalog)

    def increments(self, steps, codes):
        return np.column_stack([np.ones(len(steps), np.int64), steps.kind == REPEATS])

    def score(self, counts):  # higher is more suspicious
        return 1 - counts[:, 1] / np.maximum(counts[:, 0], 1)
