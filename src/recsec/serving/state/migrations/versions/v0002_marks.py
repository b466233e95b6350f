"""Which secret a database belongs to, keys that may see scores, and longer names of actions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "downgrade", "revision", "upgrade"]

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add them."""
    op.create_table(
        "marks",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.add_column(
        "keys", sa.Column("scores", sa.Boolean, nullable=False, server_default=sa.false())
    )
    if op.get_bind().dialect.name != "sqlite":  # which does not mind how long a text is
        op.alter_column("decisions", "action", type_=sa.String(16))
    op.execute("UPDATE numbers SET value = 2 WHERE name = 'format'")


def downgrade() -> None:
    """Take them away; names of actions that are too long are cut."""
    if op.get_bind().dialect.name != "sqlite":
        op.execute("UPDATE decisions SET action = substr(action, 1, 8)")
        op.alter_column("decisions", "action", type_=sa.String(8))
    op.drop_column("keys", "scores")
    op.drop_table("marks")
    op.execute("UPDATE numbers SET value = 1 WHERE name = 'format'")
