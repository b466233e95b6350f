"""In front of an API that is not ours: what passes, what is read, what is changed."""

from recsec.serving.upstream.app import OWN, create_proxy
from recsec.serving.upstream.described import places_of, read_upstream
from recsec.serving.upstream.watched import check_actions

__all__ = ["OWN", "check_actions", "create_proxy", "places_of", "read_upstream"]
