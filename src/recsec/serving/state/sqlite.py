"""State in one SQLite file, through SQLAlchemy Core."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, Select, create_engine, event, func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError

from recsec.errors import RunError
from recsec.serving.state import tables
from recsec.serving.state.base import Allowed, Decision, Entry, Kept, Key, StateLost, Tally
from recsec.serving.state.chain import START, broken, linked
from recsec.serving.state.operators import OperatorTables

__all__ = ["FILE", "SqlStore"]

FILE = "service.sqlite"
AWAY = "move that file away: the service then begins with empty state"
WAIT = 10_000
"""Milliseconds that a writer waits for another process."""


class SqlStore(OperatorTables):
    """See ``Store``. Other processes may read and write the same file.

    Args:
        folder: the data directory.
        chain: the key of the trail.

    Raises:
        RunError: the file is broken, or of another format.
    """

    def __init__(self, folder: Path, chain: bytes) -> None:
        self.path = folder / FILE
        self._chain = chain
        self._engine = create_engine(f"sqlite:///{self.path}")
        event.listen(self._engine, "connect", _prepare)
        try:
            self._open()
        except StateLost as error:
            raise RunError(error.message, hint=AWAY) from error

    def _open(self) -> None:
        with self._base(write=True) as base:
            base.exec_driver_sql("BEGIN IMMEDIATE")
            tables.metadata.create_all(base)
            for name, value in (("format", tables.FORMAT), ("revision", 0)):
                base.execute(
                    insert(tables.numbers).values(name=name, value=value).on_conflict_do_nothing()
                )
            found = base.execute(_number("format")).scalar_one()
        if found != tables.FORMAT:
            raise RunError(
                f"{self.path} has format {found}, this recsec writes {tables.FORMAT}",
                hint=AWAY,
            )

    def revision(self) -> int:
        """See ``Store.revision``."""
        with self._base() as base:
            return int(base.execute(_number("revision")).scalar_one())

    def decide(self, decision: Decision, *, actor: str = "policy") -> None:
        """See ``Store.decide``."""
        with self._base(write=True) as base:
            revision = _changed(base)
            values = vars(decision) | {
                "parameters": json.dumps(dict(decision.parameters)),
                "evidence": json.dumps(dict(decision.evidence)),
                "revision": revision,
            }
            base.execute(insert(tables.decisions).values(values))
            told = {name: values[name] for name in ("id", "scope", "subject", "rule", "action")}
            told |= {"enforced": decision.enforced, "until": decision.until}
            if "reason" in decision.evidence:
                told["reason"] = decision.evidence["reason"]
            self._note(base, decision.at, actor, "decision", told)

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
            base.execute(insert(tables.keys).values(vars(key)))
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
                insert(tables.allowed)
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
        order = insert(tables.histories)
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
        except DBAPIError as error:
            raise StateLost(f"{self.path} does not answer: {error.orig}") from error

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
            insert(tables.trail).values(**line, hash=linked(self._chain, before, **line))  # type: ignore[arg-type]
        )


def _prepare(connection: Any, _: Any) -> None:
    """Of each new connection: readers and a writer at a time, and what is written is on disk."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA busy_timeout = {WAIT}")


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
