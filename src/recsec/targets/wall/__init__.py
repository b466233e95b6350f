"""The wall around the user's code: a process of its own, or what this process can do."""

from recsec.targets.wall.inside import Contained
from recsec.targets.wall.process import Walled, walled
from recsec.targets.wall.values import Foreign, kind_of

__all__ = ["Contained", "Foreign", "Walled", "kind_of", "walled"]
