"""The room's public names."""

import recsec.evaluation


def test_public_names_are_sorted_and_there() -> None:
    names = recsec.evaluation.__all__
    assert names == sorted(names)
    assert all(hasattr(recsec.evaluation, name) for name in names)
