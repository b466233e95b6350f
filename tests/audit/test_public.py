import recsec.audit
import recsec.audit.engines


def test_public_names_are_sorted_and_exist():
    for module in (recsec.audit, recsec.audit.engines):
        assert module.__all__ == sorted(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)
