"""``recsec evade``: one photo, pairs of photos, or photos that enter many lists."""

from recsec.cli.visual.evade.command import run

__all__ = ["run"]
