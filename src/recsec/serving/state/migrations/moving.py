"""Bring a database to a form of the tables."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from recsec.errors import RunError
from recsec.serving.state import tables

__all__ = ["FIRST", "HEAD", "form", "move", "steps"]

FIRST = "0001"
"""The form that databases of before migrations have."""

HEAD = "0003"
"""The form that this recsec writes."""

NEWER = "use the recsec that made it, or go back with that one: recsec monitor migrate"


def form(base: Connection) -> str | None:
    """The form of the tables in a database; None: there are none."""
    found = inspect(base)
    if found.has_table("alembic_version"):
        return base.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return FIRST if found.has_table("numbers") else None


def steps() -> list[str]:
    """All forms, the oldest first."""
    return sorted(
        path.stem[1:5] for path in (Path(__file__).parent / "versions").glob("v[0-9]*.py")
    )


def move(base: Connection, to: str = HEAD) -> None:
    """Bring the tables to a form, forward or back, within the transaction of the connection.

    Raises:
        RunError: they have a form that this recsec does not know.
    """
    now = form(base)
    if now == to and inspect(base).has_table("alembic_version"):
        return
    if now is not None and now not in steps():
        raise RunError(f"the database has form {now}, this recsec knows {HEAD}", hint=NEWER)
    if now is None and to == HEAD:
        _make(base)
        return
    from alembic import command  # takes a while, and is needed once in the life of a database
    from alembic.config import Config

    config = Config()
    here = Path(__file__).parent
    config.set_main_option("script_location", str(here).replace("%", "%%"))
    config.set_main_option("version_locations", str(here / "versions").replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = base
    if now == FIRST and not inspect(base).has_table("alembic_version"):
        command.stamp(config, FIRST)
    if now is None or now < to:
        command.upgrade(config, to)
    elif now > to:
        command.downgrade(config, to)


def _make(base: Connection) -> None:
    """The newest form at once, as all steps together make it; without alembic, which is slow."""
    tables.metadata.create_all(base)
    base.execute(
        tables.numbers.insert(),
        [{"name": "format", "value": int(HEAD)}, {"name": "revision", "value": 0}],
    )
    base.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)"))
    base.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})
