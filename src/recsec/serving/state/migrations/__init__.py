"""Changes of the tables from one version of recsec to the next, forward and back, by alembic."""

from recsec.serving.state.migrations.moving import FIRST, HEAD, form, move, steps

__all__ = ["FIRST", "HEAD", "form", "move", "steps"]
