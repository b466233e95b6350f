"""The room's public names."""

import recsec.metrics


def test_public_names_are_sorted_and_there() -> None:
    names = recsec.metrics.__all__
    assert names == sorted(names)
    assert all(hasattr(recsec.metrics, name) for name in names)
