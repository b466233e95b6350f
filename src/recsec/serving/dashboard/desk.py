"""The desk: what all pages of a dashboard share, and how a page is asked for."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from starlette.responses import RedirectResponse, Response

from recsec.serving.dashboard.jobs import Jobs
from recsec.serving.dashboard.pages import HEADERS, PREFIX, Pages
from recsec.serving.dashboard.pulse import Pulse
from recsec.serving.dashboard.seen import Seen, see
from recsec.serving.dashboard.sessions import Sessions, Who
from recsec.serving.engine import Engine
from recsec.serving.evidence import Evidence
from recsec.serving.state import Grade

__all__ = ["AUDITS", "Call", "Desk", "No", "Place", "Route"]

FRESH = 1.0
"""Seconds for which a copy of the evidence is shown again."""

PATIENCE = 5.0
"""Seconds that a page waits for the evidence; it is behind then."""

AUDITS = "audits"
"""In the data directory: run directories."""

T = TypeVar("T")


class No(Exception):  # noqa: N818 - an answer
    """A request that is refused, with the status and in words."""

    def __init__(self, status: int, words: str, *, wait: float | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.words = words
        self.wait = wait


@dataclass(frozen=True)
class Call:
    """A request as a page sees it.

    Attributes:
        who: is logged in; None where nobody has to be.
        path: parameters of the path.
        query: of the address.
        form: what was posted.
        place: address of the client.
        secure: whether the browser came by https.
        part: whether only a part of the page is asked for.
    """

    who: Who | None
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    place: str = ""
    secure: bool = False
    part: bool = False

    @property
    def somebody(self) -> Who:
        """Who is logged in.

        Raises:
            No: nobody is.
        """
        if self.who is None:
            raise No(401, "log in first")
        return self.who

    def reason(self) -> str:
        """The reason that an act needs.

        Raises:
            No: there is none.
        """
        found = " ".join(self.form.get("reason", "").split())
        if not 3 <= len(found) <= 300:
            raise No(422, "an act needs a reason of 3 to 300 characters: it stands in the trail")
        return found


@dataclass(frozen=True)
class Place:
    """What the pages are about.

    Attributes:
        policy: the file; None without one.
        state: the data directory; audits and proofs are in it.
        title: the title of a catalog index.
        prefix: where browsers find the pages.
        stream: seconds after which a live page has to connect anew.
    """

    policy: Path | None
    state: Path
    title: Callable[[int], str]
    prefix: str = PREFIX
    stream: float = math.inf


class Desk:
    """What all pages share.

    Args:
        engine: what is watched.
        place: what the pages are about.
    """

    def __init__(self, engine: Engine, place: Place) -> None:
        self.engine = engine
        self.place = place
        self.pages = Pages(place.prefix)
        self.sessions = Sessions(engine)
        self.pulse = Pulse(engine)
        self.jobs = Jobs(engine, place.state / AUDITS)
        self._seen = Seen(0.0)
        self._lock = threading.Lock()
        self._next = 0.0

    def seen(self) -> Seen:
        """A copy of the evidence, a second old at most; older where copying takes long."""
        with self._lock:
            if time.monotonic() >= self._next:
                now = self.engine.clock()
                self._seen = self.ask(lambda evidence: see(evidence, now))
                self._next = time.monotonic() + max(FRESH, 20 * self._seen.took)
            return self._seen

    def ask(self, question: Callable[[Evidence], T]) -> T:
        """What the evidence says.

        Raises:
            No: it is behind.
        """
        answer = self.engine.ask(question)
        try:
            return answer.result(PATIENCE)
        except Late:
            answer.cancel()
            raise No(503, "the evidence is behind; try again in a minute", wait=10) from None

    def page(self, template: str, call: Call, *, status: int = 200, **values: Any) -> Response:
        """A page with what all pages show."""
        policy = self.engine.policy
        acting = [one for one in policy.rules if policy.enforced(one) and one.action != "observe"]
        return self.pages.page(
            template, status=status, who=call.who, told=policy.told(), acting=bool(acting), **values
        )

    def go(self, path: str) -> Response:
        """On to another page, after a post."""
        return RedirectResponse(f"{self.place.prefix}{path}", 303, headers=HEADERS)


@dataclass(frozen=True)
class Route:
    """A page, or what a form does.

    Attributes:
        method: of HTTP.
        path: below ``/dashboard``.
        grade: who may; None: whoever comes.
        answer: answers it, in a thread.
    """

    method: Literal["GET", "POST"]
    path: str
    grade: Grade | None
    answer: Callable[[Desk, Call], Response]
