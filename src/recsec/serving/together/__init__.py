"""Evidence of several accounts together."""

from recsec.serving.together.linked import Cluster, ClusterLook, Linked, cannot_link, log_of
from recsec.serving.together.young import LOOKS, PoolLook, Young, cannot_pool

__all__ = [
    "LOOKS",
    "Cluster",
    "ClusterLook",
    "Linked",
    "PoolLook",
    "Young",
    "cannot_link",
    "cannot_pool",
    "log_of",
]
