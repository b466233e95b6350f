from recsec.attacks.extraction import Policy


class Second(Policy):
    """Always the second item of the list just served: plausible, and never the obvious one."""

    name = "second"

    def next(self, histories, lists, rng):
        fallback = rng.integers(1, self.items + 1, len(lists))
        second = lists[:, 1] if lists.shape[1] > 1 else lists[:, 0]
        return (second > 0) * second + (second == 0) * fallback
