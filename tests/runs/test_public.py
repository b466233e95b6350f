import recsec.runs


def test_public_names_are_sorted_and_exist():
    assert recsec.runs.__all__ == sorted(recsec.runs.__all__)
    assert all(hasattr(recsec.runs, name) for name in recsec.runs.__all__)
