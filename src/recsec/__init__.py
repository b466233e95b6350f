"""recsec: measure how a recommender can be attacked, harden it, keep watch."""

__version__ = "0.1.0"
__all__ = ["__version__"]
