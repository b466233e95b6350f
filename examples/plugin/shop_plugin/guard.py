from recsec.targets.guards import Guard, best


class Swap(Guard):
    """Lists without their first item: users lose little, a copy never sees what is best."""

    name = "swap"

    @classmethod
    def build(cls, config, surroundings):
        return cls()

    def answer(self, account, histories, scores, k):
        return best(scores, k + 1)[:, 1:]  # (B, k) catalog indices, zeros where a list is short
