"""Counting in Redis, for several processes: one atomic step per event."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis, RedisError
from redis.exceptions import NoScriptError

from recsec.detection import Fitted
from recsec.serving.live.base import Asked, Event, Seen
from recsec.serving.live.client import PATIENCE
from recsec.serving.live.local import over
from recsec.serving.live.owns import Own
from recsec.serving.live.rates import Rates
from recsec.serving.policy import Policy, Rule

__all__ = ["RedisLive"]

STEP = (Path(__file__).parent / "step.lua").read_text(encoding="utf-8")

HERE = 5000
"""Accounts that a process keeps at hand, so that it need not fetch them."""

TRIES = 50
"""How often evidence about an account is counted anew because others counted meanwhile."""

AGE = 30 * 86_400
"""Least seconds for which it is known when an account was seen first."""

CHUNK = 256
"""Accounts that are merged at a time."""


@dataclass
class _Step:
    """One call of the script: what it counts, and what it said."""

    seen: Seen
    own: Own | None
    asked: list[tuple[Rule, str, int]]
    reply: list[Any] = field(default_factory=list)


class RedisLive:
    """See ``Live``: what is counted is shared, bounded for each account, and ends by itself.

    Each event is one call of ``step.lua``, which counts rates and takes the evidence over if
    nobody else counted about the account meanwhile; else it is counted anew on top of theirs.
    While Redis is lost the process goes on from what it knows, and keeps apart what it counts.
    When Redis is back, that is merged.

    Args:
        redis: the client.
        prefix: of all keys.
        policy: rates, period, and how many accounts.
        fitted: the detectors; None without.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        policy: Policy,
        fitted: Fitted | None,
        *,
        clock: Callable[[], float],
    ) -> None:
        self.lost = False
        self._redis: Any = redis
        self._prefix = f"recsec:{{{prefix}}}"
        self._policy = policy
        self._fitted = fitted
        self._clock = clock
        self._rates = Rates(policy)
        self._period = repr(float(clock()))
        self._first: OrderedDict[str, float] = OrderedDict()
        self._owns: OrderedDict[str, Own] = OrderedDict()
        self._apart: set[str] = set()
        self._hits: Counter[tuple[str, str, int]] = Counter()
        self._sha = ""
        self._tried = 0.0

    def anew(self, policy: Policy, fitted: Fitted | None) -> None:
        """See ``Live.anew``."""
        self._policy, self._rates = policy, Rates(policy, self._rates)
        if fitted is not self._fitted:
            self._fitted = fitted
            self._owns.clear()
            self._apart.clear()

    def __len__(self) -> int:
        """See ``Live.__len__``."""
        return len(self._owns)

    @property
    def began(self) -> float:
        """See ``Live.began``."""
        return float(self._period)

    def __contains__(self, account: object) -> bool:
        """See ``Live.__contains__``."""
        return account in self._owns

    def recent(self, account: str) -> list[Asked]:
        """See ``Live.recent``."""
        own = self._owns.get(account)
        return [] if own is None else list(own.recent)

    def first(self, account: str) -> float | None:
        """See ``Live.first``."""
        return self._first.get(account)

    def save(self, path: Path) -> None:
        """See ``Live.save``: nothing but what is apart would be lost."""

    def restore(self, path: Path) -> None:
        """See ``Live.restore``."""

    def look(self, events: Sequence[Event]) -> list[Seen]:
        """See ``Live.look``."""
        out: list[Seen] = []
        part: list[Event] = []
        for event in events:
            watched = event.history is not None and self._fitted is not None
            if watched and over(event.at, float(self._period), self._policy.period):
                out += self._look(part)
                out += self._look([event])
                part = []
            else:
                part.append(event)
        return out + self._look(part)

    def _look(self, events: Sequence[Event]) -> list[Seen]:
        if not events:
            return []
        if not self.lost:
            try:
                self._fetch(events)
            except RedisError:
                self.lost = True
        found = [Seen(event, self._age(event)) for event in events]
        mine: dict[str, list[Seen]] = {}
        if self._fitted is not None:
            for seen in found:
                if seen.event.history is not None:
                    mine.setdefault(seen.event.account, []).append(seen)
            for account, sightings in mine.items():
                self._own(account).count(sightings)
        if not self.lost:
            try:
                self._share(found, mine)
            except RedisError:
                self.lost = True
        if self.lost:
            self._keep_apart(found, mine)
        self._let_go()
        return found

    def _age(self, event: Event) -> float:
        first = self._first.setdefault(event.account, event.at)
        if len(self._first) > 2 * self._policy.accounts:
            self._first.popitem(last=False)
        return first

    @property
    def _detectors(self) -> Fitted:
        if self._fitted is None:
            raise TypeError("there are no detectors, so there is no evidence")
        return self._fitted

    def _own(self, account: str) -> Own:
        own = self._owns.get(account)
        if own is None or own.period != self._period:
            own = self._owns[account] = Own(self._period, self._detectors.watch())
            self._apart.discard(account)
        self._owns.move_to_end(account)
        return own

    def _let_go(self) -> None:
        room = self._policy.accounts if self._apart else min(HERE, self._policy.accounts)
        while len(self._owns) > room:
            self._apart.discard(self._owns.popitem(last=False)[0])

    def _fetch(self, events: Sequence[Event]) -> None:
        """Get what is known of accounts that are not at hand."""
        names = {event.account for event in events}
        strange = [one for one in names if one not in self._first or one not in self._owns]
        if not strange:
            return
        pipe = self._redis.pipeline(transaction=False)
        pipe.hget(f"{self._prefix}:period", "began")
        for name in strange:
            pipe.get(f"{self._prefix}:age:{name}")
            pipe.hmget(f"{self._prefix}:of:{name}", "period", "version", "evidence")
        began, *rest = pipe.execute()
        self._period = self._period if began is None else began.decode()
        for at, name in enumerate(strange):
            first, (period, version, content) = rest[2 * at], rest[2 * at + 1]
            if first is not None:
                self._first[name] = float(first)
            if self._fitted is not None and name not in self._owns and content is not None:
                self._owns[name] = Own.opened(
                    self._fitted, period.decode(), int(version), bytes(content)
                )

    def _share(self, found: Sequence[Seen], mine: dict[str, list[Seen]]) -> None:
        """One step for each event; the last one of an account brings its evidence."""
        last = {id(sightings[-1]): account for account, sightings in mine.items()}
        waiting = list(found)
        for _ in range(TRIES):
            late = []
            for step in self._taken(waiting, last):
                account = step.seen.event.account
                theirs = self._theirs(account, step.reply)
                if theirs is not self._owns[account]:
                    self._owns[account] = theirs
                    theirs.count(mine[account])
                late.append(step.seen)
            waiting = late
            if not waiting:
                return
        self._keep_apart([], {seen.event.account: mine[seen.event.account] for seen in waiting})

    def _taken(
        self, found: Sequence[Seen], last: Mapping[int, str], *, rates: bool = True
    ) -> list[_Step]:
        """Offer steps, and take over what is said to them; returns those that were refused."""
        steps = []
        for seen in found:
            own = self._owns[last[id(seen)]] if id(seen) in last else None
            asked = self._rates.asked(seen.event, seen.first) if rates else []
            steps.append(_Step(seen, own, asked))
        replies = self._called([self._words(step) for step in steps])
        for step, reply in zip(steps, replies, strict=True):
            step.reply, step.seen.first = reply, float(reply[1])
            self._first[step.seen.event.account] = step.seen.first
            if reply[0]:
                self._took(step)
        return [step for step in steps if not step.reply[0]]

    def _called(self, calls: Sequence[tuple[list[str], list[Any]]]) -> list[list[Any]]:
        for _ in range(2):
            if not self._sha:
                self._sha = str(self._redis.script_load(STEP))
            pipe = self._redis.pipeline(transaction=False)
            for keys, words in calls:
                pipe.evalsha(self._sha, len(keys), *keys, *words)
            replies = pipe.execute(raise_on_error=False)
            broken = [one for one in replies if isinstance(one, Exception)]
            if not broken:
                return list(replies)
            if not isinstance(broken[0], NoScriptError):
                raise broken[0]
            self._sha = ""
        raise RedisError("it forgets the script")

    def _words(self, step: _Step) -> tuple[list[str], list[Any]]:
        event, policy, own = step.seen.event, self._policy, step.own
        keys = [f"{self._prefix}:{kind}:{event.account}" for kind in ("age", "of")]
        keys.append(f"{self._prefix}:period")
        content = b"" if own is None else own.packed()
        if own is not None:
            own.sent = own.sent or content
        words: list[Any] = [
            repr(float(event.at)),
            max(AGE, int(2 * policy.young)),
            int(policy.period) + 3600,
            0 if own is None else 1,
            self._period if own is None else own.period,
            0 if own is None else own.version,
            content,
            policy.period,
            policy.accounts,
            repr(float(step.seen.first)),
        ]
        for rule, subject, place in step.asked:
            keys.append(self._rate_key(rule.name, subject))
            words += [place, 1, _lasts(rule)]
        return keys, words

    def _rate_key(self, rule: str, subject: str) -> str:
        return f"{self._prefix}:rate:{rule}:{subject}"

    def _took(self, step: _Step) -> None:
        """Take over what is said to a step that was taken."""
        seen, at = step.seen, step.seen.event.at
        _, _, period, version, _, *counts = step.reply
        if step.own is not None:
            self._period, step.own.version, step.own.sent = period.decode(), int(version), b""
        told = dict(seen.counts)
        for number, (rule, subject, _) in enumerate(step.asked):
            place, before, now = (int(one) for one in counts[3 * number : 3 * number + 3])
            self._rates.put(rule, subject, (place, before, now))
            told[rule.name] = self._rates.rate(rule, (place, before, now), at)
        seen.counts = told

    def _theirs(self, account: str, reply: list[Any]) -> Own:
        """What to go on from when what was offered did not fit what is shared."""
        _, _, period, version, content = reply[:5]
        self._period = period.decode()
        own = self._owns[account]
        if own.period == self._period and (content == own.sent or int(version) == 0):
            # it was taken before and the answer was lost, or Redis has lost it
            own.version = int(version)
            return own
        return Own.opened(self._detectors, self._period, int(version), bytes(content))

    def _keep_apart(self, found: Sequence[Seen], mine: dict[str, list[Seen]]) -> None:
        """Count here what cannot be shared."""
        for account, sightings in mine.items():
            self._owns[account].apart([seen.event for seen in sightings])
            self._apart.add(account)
        for seen in found:
            told = dict(seen.counts)
            for rule, subject, place in self._rates.asked(seen.event, seen.first):
                if rule.name not in told:
                    count = self._rates.hit(rule, subject, place)
                    told[rule.name] = self._rates.rate(rule, count, seen.event.at)
                    self._hits[rule.name, subject, place] += 1
            seen.counts = told
        while len(self._hits) > self._policy.accounts:
            del self._hits[next(iter(self._hits))]

    def check(self) -> list[Seen]:
        """See ``Live.check``."""
        if not self.lost and not self._apart and not self._hits:
            try:
                self._redis.ping()
            except RedisError:
                self.lost = True
            return []
        if time.monotonic() - self._tried < PATIENCE:
            return []
        self._tried = time.monotonic()
        out: list[Seen] = []
        try:
            self._redis.ping()
            while self._apart:
                out += self._merge(list(self._apart)[:CHUNK])
            self._merge_rates()
            self.lost = False
        except RedisError:
            self.lost = True
        return out

    def _merge(self, names: Sequence[str]) -> list[Seen]:
        """Share what was counted apart about some accounts; what is to be judged now."""
        mine = {name: own for name in names if (own := self._owns.get(name)) and own.last}
        waiting = [Seen(own.last, self._age(own.last)) for own in mine.values() if own.last]
        judged: dict[str, Seen] = {}
        for _ in range(TRIES):
            late = []
            for step in self._taken(
                waiting, {id(one): one.event.account for one in waiting}, rates=False
            ):
                account = step.seen.event.account
                theirs = self._theirs(account, step.reply)
                if theirs is not self._owns[account]:
                    self._owns[account] = theirs
                    if theirs.period != mine[account].period:
                        continue  # the period that was counted apart is over
                    found = theirs.merged(mine[account], step.seen.first)
                    if found is not None:
                        judged[account] = found
                late.append(step.seen)
            waiting = late
            if not waiting:
                break
        for name in mine:
            self._owns[name].since = None
        self._apart.difference_update(names)
        return list(judged.values())

    def _merge_rates(self) -> None:
        rules = {rule.name: rule for rule in self._policy.rules}
        for (name, subject, place), hits in list(self._hits.items()):
            rule = rules.get(name)
            if rule is not None and place >= self._clock() // (rule.within or 1.0) - 1:
                key = f"{self._prefix}:merged"  # stands where an account would
                words = [0, 60, 60, 0, self._period, 0, b"", 1, 1, 0, place, hits, _lasts(rule)]
                self._called([([key, key, key, self._rate_key(name, subject)], words)])
            del self._hits[name, subject, place]


def _lasts(rule: Rule) -> int:
    """Seconds for which a count of a rate is kept."""
    return int(2 * (rule.within or 1.0)) + 60
