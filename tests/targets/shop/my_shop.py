"""A user's module."""


def recommend(histories, k):
    return [
        [item % 41 for item in range(h[-1] + 1, h[-1] + k + 2) if item % 41][:k] for h in histories
    ]


class model:  # noqa: N801
    recommend = staticmethod(recommend)


def broken(histories, k):
    return {}[histories[0][0]]


number = 5
