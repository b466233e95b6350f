"""Operators: people who log in to the dashboard, their passwords as argon2 hashes, sessions."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, delete, insert, select, update

from recsec.errors import ConfigError, UsageError
from recsec.serving.state import tables

__all__ = [
    "GRADES",
    "Grade",
    "KeepsOperators",
    "Operator",
    "OperatorTables",
    "Session",
    "known_operator",
    "new_operator",
    "new_password",
    "session_id",
]

Grade: TypeAlias = Literal["viewer", "operator", "admin"]
"""Who may look; who may also act on accounts; who may also change the policy."""

GRADES: tuple[Grade, ...] = get_args(Grade)

SHORTEST = 12
LONGEST = 200
"""Characters of a password."""

HASHER = PasswordHasher()
NOBODY = HASHER.hash(secrets.token_urlsafe(16))
"""Checked where there is no such operator, so that this takes as long."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A person as the store keeps it.

    Attributes:
        name: with which the person logs in; it stands in the trail.
        grade: what the person may do.
        hash: argon2id, with its salt and costs.
        created: seconds since 1970.
    """

    name: str
    grade: Grade
    hash: str = field(repr=False)
    created: float


@dataclass(frozen=True, kw_only=True)
class Session:
    """A login, by the hash of its token: whoever reads the database can use none.

    Attributes:
        id: SHA-256 of the token.
        operator: name.
        begun: seconds since 1970.
        used: when last.
    """

    id: str
    operator: str
    begun: float
    used: float


class KeepsOperators(Protocol):
    """The part of a store that is about operators; see ``Store``."""

    def operators(self) -> list[Operator]:
        """All operators by name."""
        ...

    def put_operator(self, operator: Operator, *, actor: str) -> None:
        """Keep a new operator, or a changed one; a change ends its sessions."""
        ...

    def remove_operator(self, name: str, *, actor: str) -> bool:
        """Take an operator away, and its sessions; False if there is none."""
        ...

    def note(self, *, at: float, actor: str, kind: str, body: Mapping[str, Any]) -> None:
        """Add a line to the trail."""
        ...

    def open_session(self, session: Session) -> None:
        """Keep a login; those that nobody used for a day go."""
        ...

    def session(self, id: str) -> Session | None:
        """A login; None if it has ended."""
        ...

    def use_session(self, id: str, *, at: float) -> None:
        """Take note that a login is in use."""
        ...

    def close_session(self, id: str) -> None:
        """End a login."""
        ...


class OperatorTables:
    """``KeepsOperators`` for a store of SQL tables."""

    def _base(self, *, write: bool = False) -> AbstractContextManager[Connection]:
        raise NotImplementedError

    def _note(
        self, base: Connection, at: float, actor: str, kind: str, body: Mapping[str, Any]
    ) -> None:
        raise NotImplementedError

    def operators(self) -> list[Operator]:
        """See ``KeepsOperators.operators``."""
        with self._base() as base:
            rows = base.execute(select(tables.operators).order_by(tables.operators.c.name))
            return [Operator(**row) for row in rows.mappings()]

    def put_operator(self, operator: Operator, *, actor: str) -> None:
        """See ``KeepsOperators.put_operator``."""
        table = tables.operators
        with self._base(write=True) as base:
            values = {"grade": operator.grade, "hash": operator.hash}
            known = base.execute(
                update(table).where(table.c.name == operator.name).values(values)
            ).rowcount
            if known:
                self._close(base, operator.name)
            else:
                base.execute(insert(table).values(vars(operator)))
            body = {"name": operator.name, "grade": operator.grade, "new": not known}
            self._note(base, time.time(), actor, "operator", body)

    def remove_operator(self, name: str, *, actor: str) -> bool:
        """See ``KeepsOperators.remove_operator``."""
        with self._base(write=True) as base:
            found = base.execute(delete(tables.operators).where(tables.operators.c.name == name))
            self._close(base, name)
            if found.rowcount:
                self._note(base, time.time(), actor, "no operator", {"name": name})
            return bool(found.rowcount)

    @staticmethod
    def _close(base: Connection, name: str) -> None:
        base.execute(delete(tables.sessions).where(tables.sessions.c.operator == name))

    def note(self, *, at: float, actor: str, kind: str, body: Mapping[str, Any]) -> None:
        """See ``KeepsOperators.note``."""
        with self._base(write=True) as base:
            self._note(base, at, actor, kind, body)

    def open_session(self, session: Session) -> None:
        """See ``KeepsOperators.open_session``."""
        table = tables.sessions
        with self._base(write=True) as base:
            base.execute(delete(table).where(table.c.used < session.begun - 86_400))
            base.execute(insert(table).values(vars(session)))
            self._note(base, session.begun, f"operator {session.operator}", "login", {})

    def session(self, id: str) -> Session | None:
        """See ``KeepsOperators.session``."""
        with self._base() as base:
            wanted = select(tables.sessions).where(tables.sessions.c.id == id)
            row = base.execute(wanted).mappings().one_or_none()
        return None if row is None else Session(**row)

    def use_session(self, id: str, *, at: float) -> None:
        """See ``KeepsOperators.use_session``."""
        table = tables.sessions
        with self._base(write=True) as base:
            base.execute(update(table).where(table.c.id == id).values(used=at))

    def close_session(self, id: str) -> None:
        """See ``KeepsOperators.close_session``."""
        with self._base(write=True) as base:
            base.execute(delete(tables.sessions).where(tables.sessions.c.id == id))


def _hashed(password: str) -> str:
    if not SHORTEST <= len(password) <= LONGEST:
        raise UsageError(f"a password has {SHORTEST} to {LONGEST} characters")
    return HASHER.hash(password)


def new_operator(store: KeepsOperators, name: str, grade: Grade, password: str) -> Operator:
    """Keep a new operator; the password itself is kept nowhere.

    Raises:
        UsageError: the name is taken or no name, or the password too short.
    """
    if not (1 <= len(name) <= 40 and name.isprintable() and name == name.strip()):
        raise UsageError("the name of an operator has 1 to 40 printable characters")
    if any(one.name == name for one in store.operators()):
        raise UsageError(
            f"there is an operator {name!r} already", hint=f"recsec operators password {name}"
        )
    operator = Operator(name=name, grade=grade, hash=_hashed(password), created=time.time())
    store.put_operator(operator, actor="command line")
    return operator


def new_password(store: KeepsOperators, name: str, password: str) -> None:
    """Give an operator another password; who is logged in by that name no longer is.

    Raises:
        ConfigError: there is no such operator.
        UsageError: the password is too short.
    """
    found = next((one for one in store.operators() if one.name == name), None)
    if found is None:
        raise ConfigError(f"there is no operator {name!r}", hint="recsec operators list")
    store.put_operator(replace(found, hash=_hashed(password)), actor="command line")


def known_operator(store: KeepsOperators, name: str, password: str) -> Operator | None:
    """The operator of a name and a password; None if they do not fit. Takes 64 MiB for a while."""
    found = next((one for one in store.operators() if one.name == name), None)
    try:
        HASHER.verify(NOBODY if found is None else found.hash, password[: LONGEST + 1])
    except (VerificationError, InvalidHashError):
        return None
    return found


def session_id(token: str) -> str:
    """The name under which a login is kept. A token has 256 random bits: one hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()
