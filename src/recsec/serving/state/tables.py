"""The tables of a service, as the newest form has them; ``migrations`` makes them."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
)

__all__ = [
    "allowed",
    "decisions",
    "histories",
    "keys",
    "marks",
    "metadata",
    "numbers",
    "operators",
    "sessions",
    "trail",
]

metadata = MetaData()

numbers = Table(
    "numbers",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("value", Integer, nullable=False),
)
"""``format`` and ``revision``."""

marks = Table(
    "marks",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("value", Text, nullable=False),
)
"""``secret``: by which one knows the service's secret without telling it."""

decisions = Table(
    "decisions",
    metadata,
    Column("id", String(18), primary_key=True),
    Column("scope", String(8), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("rule", String(40), nullable=False),
    Column("action", String(16), nullable=False),
    Column("enforced", Boolean, nullable=False),
    Column("at", Double, nullable=False),
    Column("until", Double, nullable=False),
    Column("number", Integer, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("lifted", Double),
    Column("revision", Integer, nullable=False),
    Index("decisions_by_subject", "subject", "rule"),
    Index("decisions_by_revision", "revision"),
    Index("decisions_by_end", "until"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("role", String(8), nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("rate", String(40)),
    Column("k", Integer, nullable=False),
    Column("created", Double, nullable=False),
    Column("revoked", Double),
    Column("used", Double),
    Column("scores", Boolean, nullable=False, server_default=false()),
)

allowed = Table(
    "allowed",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("until", Double),
    Column("reason", Text, nullable=False),
)

histories = Table(
    "histories",
    metadata,
    Column("account", String(64), primary_key=True),
    Column("first", Double, nullable=False),
    Column("items", LargeBinary, nullable=False),
    Column("due", LargeBinary, nullable=False),
)
"""``items`` int64 and ``due`` float64, little-endian."""

trail = Table(
    "trail",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("body", Text, nullable=False),
    Column("hash", String(64), nullable=False),
)

operators = Table(
    "operators",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("grade", String(8), nullable=False),
    Column("hash", String(200), nullable=False),
    Column("created", Double, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("operator", String(40), nullable=False),
    Column("begun", Double, nullable=False),
    Column("used", Double, nullable=False),
)
