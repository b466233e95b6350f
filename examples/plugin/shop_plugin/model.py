from recsec.models import Popularity


class Damped(Popularity):
    """Popularity that a history holds against items with many fans."""

    name = "damped"

    def scores(self, histories):
        scores = super().scores(histories)  # (B, N + 1), column 0 is padding
        scores[:, 1:] = scores[:, 1:].log1p()
        return scores
