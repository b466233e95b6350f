"""The front door: what ``import recsec`` offers and the commands do, one function for both.

Names are re-exported by ``recsec`` itself, which imports a file of this room when its name is used.
Ids at this door are the user's own. Results are frozen dataclasses or polars tables.
"""
