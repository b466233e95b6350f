"""The protocol behind which the state of a service lies, and the records that it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from recsec.errors import RunError
from recsec.serving.state.operators import KeepsOperators
from recsec.targets.bounded import History

__all__ = [
    "Allowed",
    "Decision",
    "Entry",
    "Kept",
    "Key",
    "Role",
    "StateLost",
    "Store",
    "Tally",
]

Role: TypeAlias = Literal["client", "gateway"]
"""Who holds a key: one who asks for lists, or one who asks for decisions and sends logs."""


class StateLost(RunError):  # noqa: N818 - a state of things
    """The database does not answer, or its disk is full; what was to be written is not."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision about somebody.

    Attributes:
        id: ``d-`` and 16 hexadecimal digits.
        scope: ``account``, ``key``, ``young`` (all accounts that are) or ``all``.
        subject: name under which the account is kept, id of the key, or empty.
        rule: its name.
        action: what is done; see ``recsec.serving.policy.ACTIONS``.
        enforced: false in shadow.
        at: when it begins, seconds since 1970.
        until: when it ends by itself.
        number: which of that rule's decisions about this subject, from 1.
        parameters: ``bias``, ``delay``, ``length`` or ``address`` of the action.
        evidence: what led to it: p-values, thresholds, rates, the last queries.
        lifted: when it was ended early; None if it was not.
        revision: of the store when it was last written.
    """

    id: str
    scope: str
    subject: str
    rule: str
    action: str
    enforced: bool
    at: float
    until: float
    number: int = 1
    parameters: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    lifted: float | None = None
    revision: int = 0

    def active(self, now: float) -> bool:
        """Whether it holds."""
        return self.lifted is None and now < self.until


@dataclass(frozen=True, kw_only=True)
class Key:
    """An API key as it is kept: never the key itself.

    Attributes:
        id: its public part.
        name: what its owner calls it.
        role: ``client`` or ``gateway``.
        salt: 16 bytes.
        hash: SHA-256 of salt and secret.
        rate: as ``100/minute``; None: unlimited.
        k: longest list.
        created: seconds since 1970.
        revoked: when; None while it is good.
        used: when last, to about a minute; None: never.
        scores: whether it may see scores.
    """

    id: str
    name: str
    role: Role
    salt: bytes
    hash: bytes
    rate: str | None
    k: int
    created: float
    revoked: float | None = None
    used: float | None = None
    scores: bool = False


@dataclass(frozen=True)
class Allowed:
    """An account that rules only observe.

    Attributes:
        account: name under which it is kept.
        until: seconds since 1970; None: for good.
        reason: why.
    """

    account: str
    until: float | None
    reason: str


@dataclass(frozen=True)
class Entry:
    """One line of the trail; ``hash`` covers all before it."""

    number: int
    at: float
    actor: str
    kind: str
    body: str
    hash: str


@dataclass
class Kept(History):
    """What is kept of an account: its events, and when it was seen first."""

    first: float = 0.0


@dataclass(frozen=True)
class Tally:
    """What one rule decided in a time.

    Attributes:
        rule: its name.
        enforced: false in shadow.
        decisions: how many.
        subjects: about how many accounts or keys.
        lifted: how many of the decisions were ended early.
    """

    rule: str
    enforced: bool
    decisions: int
    subjects: int
    lifted: int


class Store(KeepsOperators, Protocol):
    """State that outlives the process. All methods may be called from several threads.

    Every method raises ``StateLost`` while the database does not answer.

    What is written by ``decide``, ``lift`` and the methods of keys and of the allow list is on
    disk, with its line in the trail, when the method returns.
    """

    @property
    def name(self) -> str:
        """Where it lies, without passwords."""
        ...

    def migrate(self, to: str) -> None:
        """Bring the tables to a form, forward or back."""
        ...

    def revision(self) -> int:
        """Grows with each change of decisions, keys or the allow list, whoever made it."""
        ...

    def decide(self, decision: Decision, *, actor: str = "policy") -> Decision:
        """Keep a new decision, unless one of that rule about the subject holds already.

        Returns:
            The decision that holds: this one, or the one that another process made before.
        """
        ...

    def tallies(self, since: float) -> list[Tally]:
        """What each rule decided from a time on, in shadow and enforced."""
        ...

    def lift(self, id: str, *, at: float, actor: str, reason: str) -> bool:
        """End a decision early; False if it does not hold."""
        ...

    def decisions(self, *, since: int = 0, active_at: float | None = None) -> list[Decision]:
        """Decisions written after revision ``since``, oldest first."""
        ...

    def decision(self, id: str) -> Decision | None:
        """One decision."""
        ...

    def about(self, subject: str, *, rule: str | None = None) -> list[Decision]:
        """All decisions about somebody, oldest first."""
        ...

    def add_key(self, key: Key) -> None:
        """Keep a key."""
        ...

    def revoke_key(self, id: str, *, at: float) -> bool:
        """Make a key worthless; False if there is no such good key."""
        ...

    def known_keys(self) -> list[Key]:
        """All keys."""
        ...

    def used_keys(self, used: Mapping[str, float]) -> None:
        """Take note of when keys were used last."""
        ...

    def allow(self, allowed: Allowed, *, at: float, actor: str) -> None:
        """Put an account on the allow list, or change its entry."""
        ...

    def forbid(self, account: str, *, at: float, actor: str) -> bool:
        """Take an account off the allow list; False if it is not on it."""
        ...

    def allowed(self) -> list[Allowed]:
        """The allow list, expired entries included."""
        ...

    def kept(self, account: str) -> Kept | None:
        """History of an account; None for a stranger."""
        ...

    def keep(self, accounts: Mapping[str, Kept]) -> None:
        """Write histories, all of them or none."""
        ...

    def accounts(self) -> int:
        """How many accounts are kept."""
        ...

    def trail(self) -> Iterable[Entry]:
        """The trail from its beginning."""
        ...

    def last_entries(self, most: int) -> list[Entry]:
        """The end of the trail, the newest first."""
        ...

    def verify(self) -> Sequence[str]:
        """What is wrong with the trail; empty if nothing is."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...
