"""State in a database, through SQLAlchemy Core: a SQLite file or PostgreSQL."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import (
    Connection,
    Row,
    Select,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from recsec.errors import ConfigError, RecsecError, RunError
from recsec.serving.state import migrations, tables
from recsec.serving.state.address import engine_of, is_url
from recsec.serving.state.base import Allowed, Decision, Entry, Kept, Key, StateLost, Tally
from recsec.serving.state.chain import START, broken, linked
from recsec.serving.state.operators import OperatorTables

__all__ = ["FILE", "SqlStore"]

FILE = "service.sqlite"
AWAY = "move that file away: the service then begins with empty state"
THERE = "is the database there, and may this user use it?"

MIGRATING = 7_265_633
"""Number of the lock under which one process at a time changes the tables."""


class SqlStore(OperatorTables):
    """See ``Store``. Other processes may read and write the same database.

    Args:
        place: the data directory, or ``postgresql://USER@HOST/NAME``.
        chain: the key of the trail.

    Raises:
        ConfigError: an address that is none, or a database of another secret.
        RunError: the database is broken, of a form that this recsec does not know, or away.
    """

    def __init__(self, place: Path | str, chain: bytes) -> None:
        self._chain = chain
        self.path = Path(place) / FILE
        self._engine, self.name = engine_of(str(place) if is_url(place) else self.path)
        self._insert = sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert
        try:
            self.migrate()
            self._check_secret()
        except StateLost as error:
            self.close()
            if is_url(place):
                raise RunError(error.message, hint=THERE) from error
            raise RunError(error.message, hint=AWAY) from error
        except RecsecError:
            self.close()
            raise

    def migrate(self, to: str = migrations.HEAD) -> None:
        """Bring the tables to a form, forward or back.

        Raises:
            RunError: they have a form that this recsec does not know.
        """
        with self._base(write=True) as base:
            if base.dialect.name == "sqlite":
                base.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                base.execute(select(func.pg_advisory_xact_lock(MIGRATING)))
            migrations.move(base, to)

    def _check_secret(self) -> None:
        mark = hmac.digest(self._chain, b"mark", "sha256").hex()
        with self._base(write=True) as base:
            order = self._insert(tables.marks).values(name="secret", value=mark)
            base.execute(order.on_conflict_do_nothing())
            found = base.execute(
                select(tables.marks.c.value).where(tables.marks.c.name == "secret")
            ).scalar_one()
        if not hmac.compare_digest(found, mark):
            raise ConfigError(
                f"{self.name} belongs to a service with another secret",
                hint="copy its secret.key here, and name it in RECSEC_SECRET",
            )

    def revision(self) -> int:
        """See ``Store.revision``."""
        with self._base() as base:
            return int(base.execute(_number("revision")).scalar_one())

    def decide(self, decision: Decision, *, actor: str = "policy") -> Decision:
        """See ``Store.decide``."""
        table = tables.decisions
        same = (
            (table.c.subject == decision.subject)
            & (table.c.rule == decision.rule)
            & (table.c.scope == decision.scope)
            & (table.c.enforced == decision.enforced)
            & table.c.lifted.is_(None)
            & (table.c.until > decision.at)
        )
        with self._base(write=True) as base:
            revision = _changed(base)  # from here on, no other process decides
            there = base.execute(select(table).where(same | (table.c.id == decision.id))).first()
            if there is not None:
                return _decision(there)
            values = vars(decision) | {
                "parameters": json.dumps(dict(decision.parameters)),
                "evidence": json.dumps(dict(decision.evidence)),
                "revision": revision,
            }
            base.execute(table.insert().values(values))
            told = {name: values[name] for name in ("id", "scope", "subject", "rule", "action")}
            told |= {"enforced": decision.enforced, "until": decision.until}
            if "reason" in decision.evidence:
                told["reason"] = decision.evidence["reason"]
            self._note(base, decision.at, actor, "decision", told)
        return decision

    def lift(self, id: str, *, at: float, actor: str, reason: str) -> bool:
        """See ``Store.lift``."""
        with self._base(write=True) as base:
            revision = _changed(base)
            table = tables.decisions
            holds = (table.c.id == id) & table.c.lifted.is_(None) & (table.c.until > at)
            found = base.execute(update(table).where(holds).values(lifted=at, revision=revision))
            if found.rowcount:
                self._note(base, at, actor, "lift", {"id": id, "reason": reason})
            return bool(found.rowcount)

    def decisions(self, *, since: int = 0, active_at: float | None = None) -> list[Decision]:
        """See ``Store.decisions``."""
        table = tables.decisions
        wanted = select(table).where(table.c.revision > since).order_by(table.c.revision)
        if active_at is not None:
            wanted = wanted.where(table.c.lifted.is_(None) & (table.c.until > active_at))
        return self._decisions(wanted)

    def decision(self, id: str) -> Decision | None:
        """See ``Store.decision``."""
        found = self._decisions(select(tables.decisions).where(tables.decisions.c.id == id))
        return found[0] if found else None

    def about(self, subject: str, *, rule: str | None = None) -> list[Decision]:
        """See ``Store.about``."""
        table = tables.decisions
        wanted = select(table).where(table.c.subject == subject).order_by(table.c.at)
        return self._decisions(wanted if rule is None else wanted.where(table.c.rule == rule))

    def tallies(self, since: float) -> list[Tally]:
        """See ``Store.tallies``."""
        table = tables.decisions.c
        wanted = select(
            table.rule,
            table.enforced,
            func.count(),
            func.count(table.subject.distinct()),
            func.count(table.lifted),
        )
        with self._base() as base:
            rows = base.execute(
                wanted.where(table.at >= since).group_by(table.rule, table.enforced)
            )
            return [Tally(*row) for row in rows]

    def _decisions(self, wanted: Select[Any]) -> list[Decision]:
        with self._base() as base:
            rows = base.execute(wanted).all()
        return [_decision(row) for row in rows]

    def add_key(self, key: Key) -> None:
        """See ``Store.add_key``."""
        with self._base(write=True) as base:
            _changed(base)
            base.execute(tables.keys.insert().values(vars(key)))
            told = {"id": key.id, "name": key.name, "role": key.role}
            self._note(base, key.created, "operator", "key", told)

    def revoke_key(self, id: str, *, at: float) -> bool:
        """See ``Store.revoke_key``."""
        with self._base(write=True) as base:
            _changed(base)
            good = (tables.keys.c.id == id) & tables.keys.c.revoked.is_(None)
            found = base.execute(update(tables.keys).where(good).values(revoked=at))
            if found.rowcount:
                self._note(base, at, "operator", "revoke", {"id": id})
            return bool(found.rowcount)

    def known_keys(self) -> list[Key]:
        """See ``Store.known_keys``."""
        with self._base() as base:
            rows = base.execute(select(tables.keys).order_by(tables.keys.c.created)).mappings()
            return [Key(**row) for row in rows]

    def used_keys(self, used: Mapping[str, float]) -> None:
        """See ``Store.used_keys``."""
        with self._base(write=True) as base:
            for id, at in used.items():
                base.execute(update(tables.keys).where(tables.keys.c.id == id).values(used=at))

    def allow(self, allowed: Allowed, *, at: float, actor: str) -> None:
        """See ``Store.allow``."""
        with self._base(write=True) as base:
            _changed(base)
            values = {"until": allowed.until, "reason": allowed.reason}
            base.execute(
                self._insert(tables.allowed)
                .values(account=allowed.account, **values)
                .on_conflict_do_update(index_elements=["account"], set_=values)
            )
            self._note(base, at, actor, "allow", {"account": allowed.account, **values})

    def forbid(self, account: str, *, at: float, actor: str) -> bool:
        """See ``Store.forbid``."""
        with self._base(write=True) as base:
            _changed(base)
            table = tables.allowed
            found = base.execute(table.delete().where(table.c.account == account))
            if found.rowcount:
                self._note(base, at, actor, "forbid", {"account": account})
            return bool(found.rowcount)

    def allowed(self) -> list[Allowed]:
        """See ``Store.allowed``."""
        with self._base() as base:
            rows = base.execute(select(tables.allowed)).mappings()
            return [Allowed(**row) for row in rows]

    def kept(self, account: str) -> Kept | None:
        """See ``Store.kept``."""
        table = tables.histories
        with self._base() as base:
            row = base.execute(select(table).where(table.c.account == account)).one_or_none()
        if row is None:
            return None
        items, due = np.frombuffer(row.items, "<i8"), np.frombuffer(row.due, "<f8")
        return Kept(items.tolist(), due.tolist(), row.first)

    def keep(self, accounts: Mapping[str, Kept]) -> None:
        """See ``Store.keep``."""
        rows = [
            {
                "account": name,
                "first": one.first,
                "items": np.array(one.items, "<i8").tobytes(),
                "due": np.array(one.due, "<f8").tobytes(),
            }
            for name, one in accounts.items()
        ]
        if not rows:
            return
        order = self._insert(tables.histories)
        changed = {name: order.excluded[name] for name in ("items", "due")}
        with self._base(write=True) as base:
            base.execute(
                order.on_conflict_do_update(index_elements=["account"], set_=changed), rows
            )

    def accounts(self) -> int:
        """See ``Store.accounts``."""
        with self._base() as base:
            return int(
                base.execute(select(func.count()).select_from(tables.histories)).scalar_one()
            )

    def trail(self) -> Iterator[Entry]:
        """See ``Store.trail``."""
        with self._base() as base:
            rows = base.execution_options(yield_per=1000).execute(
                select(tables.trail).order_by(tables.trail.c.number)
            )
            for row in rows.mappings():
                yield Entry(**row)

    def last_entries(self, most: int) -> list[Entry]:
        """See ``Store.last_entries``."""
        wanted = select(tables.trail).order_by(tables.trail.c.number.desc()).limit(most)
        with self._base() as base:
            return [Entry(**row) for row in base.execute(wanted).mappings()]

    def verify(self) -> list[str]:
        """See ``Store.verify``."""
        return broken(self._chain, self.trail())

    def close(self) -> None:
        """See ``Store.close``."""
        self._engine.dispose()

    @contextmanager
    def _base(self, *, write: bool = False) -> Iterator[Connection]:
        try:
            with self._engine.begin() if write else self._engine.connect() as base:
                yield base
        except (DBAPIError, PoolTimeout) as error:
            why = str(getattr(error, "orig", None) or error).strip().splitlines()
            raise StateLost(f"{self.name} does not answer: {why[0] if why else error}") from error

    def _note(
        self, base: Connection, at: float, actor: str, kind: str, body: Mapping[str, Any]
    ) -> None:
        """Add a line to the trail, in the transaction of what it tells."""
        last = base.execute(
            select(tables.trail.c.number, tables.trail.c.hash)
            .order_by(tables.trail.c.number.desc())
            .limit(1)
        ).one_or_none()
        number, before = (1, START) if last is None else (last.number + 1, last.hash)
        line = {
            "number": number,
            "at": at or time.time(),
            "actor": actor,
            "kind": kind,
            "body": json.dumps(body, sort_keys=True),
        }
        base.execute(
            tables.trail.insert().values(**line, hash=linked(self._chain, before, **line))  # type: ignore[arg-type]
        )


def _number(name: str) -> Select[Any]:
    return select(tables.numbers.c.value).where(tables.numbers.c.name == name)


def _changed(base: Connection) -> int:
    """The next revision; takes the lock of the writer, so lines of the trail never cross."""
    table = tables.numbers
    base.execute(update(table).where(table.c.name == "revision").values(value=table.c.value + 1))
    return int(base.execute(_number("revision")).scalar_one())


def _decision(row: Row[Any]) -> Decision:
    values = dict(row._mapping)
    for name in ("parameters", "evidence"):
        values[name] = json.loads(values[name])
    return Decision(**values)
