"""What is counted of the traffic while it flows: in this process, or in Redis for several."""

from recsec.serving.live.base import NONE, Asked, Event, Live, Seen
from recsec.serving.live.local import LocalLive
from recsec.serving.live.rates import Rates

__all__ = ["NONE", "Asked", "Event", "Live", "LocalLive", "Rates", "Seen"]
