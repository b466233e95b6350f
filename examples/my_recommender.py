"""Your own recommender as a target: one function from histories to lists.

    recsec extract --model callable:my_recommender:recommend --data ml-1m ...

run in this folder, audits it. Replace the body by a call of your model: the ids are those of
your data set, histories come oldest item first, lists go best item first. The same history must
always get the same list.
"""

from __future__ import annotations


def recommend(histories: list[list[int]], k: int) -> list[list[int]]:
    """The ``k`` numbers that follow the newest item, without those already seen."""
    return [following(history, k) for history in histories]


def following(history: list[int], k: int) -> list[int]:
    newest = history[-1] if history else 0
    seen = set(history)
    return [item for item in range(newest + 1, newest + k + len(seen) + 1) if item not in seen][:k]
