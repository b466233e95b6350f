"""People who log in to the dashboard, and their sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "downgrade", "revision", "upgrade"]

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add them."""
    op.create_table(
        "operators",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("grade", sa.String(8), nullable=False),
        sa.Column("hash", sa.String(200), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("operator", sa.String(40), nullable=False),
        sa.Column("begun", sa.Double, nullable=False),
        sa.Column("used", sa.Double, nullable=False),
    )
    op.execute("UPDATE numbers SET value = 3 WHERE name = 'format'")


def downgrade() -> None:
    """Take them away."""
    op.drop_table("sessions")
    op.drop_table("operators")
    op.execute("UPDATE numbers SET value = 2 WHERE name = 'format'")
