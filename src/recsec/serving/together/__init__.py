"""Evidence of several accounts together."""

from recsec.serving.together.young import LOOKS, PoolLook, Young, cannot

__all__ = ["LOOKS", "PoolLook", "Young", "cannot"]
