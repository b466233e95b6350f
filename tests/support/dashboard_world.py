"""A service with its dashboard, for tests: operators of each role, a thief among people."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from argon2 import PasswordHasher
from service_world import Service

from recsec.serving.dashboard import PREFIX, Place, add_dashboard
from recsec.serving.state import GRADES, new_operator, operators

PASSWORD = "correct horse battery"
POLICY = """# kept
enforce = false
[[rules]]
name = "thief"            # this comment stays
p_value = 0.3
action = "block"
"""
ORIGIN = "http://testserver"


def cheap_passwords(patch: pytest.MonkeyPatch) -> None:
    """Hashes that cost next to nothing."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    patch.setattr(operators, "HASHER", hasher)
    patch.setattr(operators, "NOBODY", hasher.hash("nobody"))


@dataclass
class Board:
    """A dashboard as a browser without scripts sees it."""

    service: Service
    folder: Path
    cookies: dict[str, str] = field(default_factory=dict)

    def login(self, name: str, password: str = PASSWORD, **headers: str) -> Any:
        """Log in; later calls with ``name`` use the session."""
        form = {"name": name, "password": password}
        answer = self.post("/login", form, name="", **headers)
        found = re.search(r"recsec_dashboard=([^;]+)", answer.headers.get("set-cookie", ""))
        if found is not None:
            self.cookies[name] = found[1]
        return answer

    def get(self, path: str, name: str = "admin", **headers: str) -> Any:
        """A page for somebody who is logged in."""
        return self._ask("GET", path, name, headers)

    def post(
        self, path: str, form: dict[str, str] | None = None, name: str = "admin", **headers: str
    ) -> Any:
        """Send a form, with the mark of the session unless the form has one."""
        sent = {"mark": self.mark(name), **(form or {})} if name else form or {}
        return self._ask("POST", path, name, headers, data=sent)

    def mark(self, name: str) -> str:
        """Of the session, as a page has it."""
        page = self.get("/proof", name)
        found = re.search(r'name="mark" value="(\w+)"', page.text)
        assert found is not None, page.text
        return found[1]

    def _ask(self, method: str, path: str, name: str, headers: dict[str, str], **more: Any) -> Any:
        told = {header.replace("_", "-"): value for header, value in headers.items()}
        cookie = self.cookies.get(name)
        if cookie is not None:
            told["cookie"] = f"recsec_dashboard={cookie}"
        self.service.client.cookies.clear()
        return self.service.client.request(
            method, PREFIX + path, headers=told, follow_redirects=False, **more
        )

    def steal(self, account: str, queries: int = 25) -> str:
        """Ask after random histories; the name under which the account is kept."""
        rng, history = np.random.default_rng(0), list[int]()
        for _ in range(queries):
            history.append(int(rng.integers(1, 131)))
            body = {"account": account, "history": history, "k": 10}
            self.service.client.post("/v1/recommend", json=body)
        self.service.engine.settle()
        return self.service.engine.names.account(account)


PROOF = {
    "suspect": "https://copy.example",
    "key": "ab12",
    "verdict": "copied",
    "p_value": 1e-4,
    "alpha": 0.001,
    "queries": 1500,
    "unanswered": 3,
    "synthetic": False,
    "controls": {"twin": {"p_value": 0.4}},
}
"""Of what ``recsec verify --json`` prints, what is shown."""

OpenBoard = Callable[..., Board]


def opened(
    service: Service, folder: Path, *, title: Callable[[int], str] = "item {}".format
) -> Board:
    """Put a dashboard into a service; there is an operator of each role, named like it."""
    path = folder / "policy.toml"
    path.write_text(f'detectors = "{service.engine.policy.detectors}"\n{POLICY}')
    add_dashboard(service.app, service.engine, Place(path, folder, title))
    board = Board(service, folder)
    known = {one.name for one in service.engine.store.operators()}
    for grade in GRADES:
        if grade not in known:
            new_operator(service.engine.store, grade, grade, PASSWORD)
        assert board.login(grade).status_code == 303
    return board
