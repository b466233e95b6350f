"""The first form of the tables; databases of before migrations have it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "downgrade", "revision", "upgrade"]

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "numbers",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("value", sa.Integer, nullable=False),
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(18), primary_key=True),
        sa.Column("scope", sa.String(8), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("rule", sa.String(40), nullable=False),
        sa.Column("action", sa.String(8), nullable=False),
        sa.Column("enforced", sa.Boolean, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("lifted", sa.Double),
        sa.Column("revision", sa.Integer, nullable=False),
    )
    op.create_index("decisions_by_subject", "decisions", ["subject", "rule"])
    op.create_index("decisions_by_revision", "decisions", ["revision"])
    op.create_index("decisions_by_end", "decisions", ["until"])
    op.create_table(
        "keys",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("role", sa.String(8), nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("rate", sa.String(40)),
        sa.Column("k", sa.Integer, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("revoked", sa.Double),
        sa.Column("used", sa.Double),
    )
    op.create_table(
        "allowed",
        sa.Column("account", sa.String(64), primary_key=True),
        sa.Column("until", sa.Double),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "histories",
        sa.Column("account", sa.String(64), primary_key=True),
        sa.Column("first", sa.Double, nullable=False),
        sa.Column("items", sa.LargeBinary, nullable=False),
        sa.Column("due", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "trail",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("actor", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.execute("INSERT INTO numbers (name, value) VALUES ('format', 1), ('revision', 0)")


def downgrade() -> None:
    """Drop all of them, with all they hold."""
    for name in ("trail", "histories", "allowed", "keys", "decisions", "numbers"):
        op.drop_table(name)
