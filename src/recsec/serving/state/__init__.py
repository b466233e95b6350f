"""What a service remembers: keys, decisions, allowed accounts, histories, and the trail."""

from recsec.serving.state.address import is_url
from recsec.serving.state.base import (
    Allowed,
    Decision,
    Entry,
    Kept,
    Key,
    Role,
    StateLost,
    Store,
    Tally,
)
from recsec.serving.state.keys import KeyRing, new_key
from recsec.serving.state.operators import (
    GRADES,
    Grade,
    Operator,
    Session,
    known_operator,
    new_operator,
    new_password,
    session_id,
)
from recsec.serving.state.sql import SqlStore

__all__ = [
    "GRADES",
    "Allowed",
    "Decision",
    "Entry",
    "Grade",
    "Kept",
    "Key",
    "KeyRing",
    "Operator",
    "Role",
    "Session",
    "SqlStore",
    "StateLost",
    "Store",
    "Tally",
    "is_url",
    "known_operator",
    "new_key",
    "new_operator",
    "new_password",
    "session_id",
]
