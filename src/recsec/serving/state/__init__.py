"""What a service remembers: keys, decisions, allowed accounts, histories, and the trail."""

from recsec.serving.state.base import Allowed, Decision, Entry, Kept, Key, Role, StateLost, Store
from recsec.serving.state.keys import KeyRing, new_key
from recsec.serving.state.sql import SqlStore, is_url

__all__ = [
    "Allowed",
    "Decision",
    "Entry",
    "Kept",
    "Key",
    "KeyRing",
    "Role",
    "SqlStore",
    "StateLost",
    "Store",
    "is_url",
    "new_key",
]
