"""A service with a dashboard, without a socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dashboard_world import Board, OpenBoard, cheap_passwords, opened
from service_world import Serve

RULE = {"name": "thief", "p_value": 0.3, "action": "block"}


@pytest.fixture
def board(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenBoard:
    """``board({policy}, title=...)`` starts one."""
    cheap_passwords(monkeypatch)

    def start(policy: dict[str, Any] | None = None, **options: Any) -> Board:
        folder = tmp_path / "place"
        folder.mkdir(exist_ok=True)
        shop = options.pop("shop", None)
        return opened(serve(policy or {"rules": [RULE]}, shop=shop), folder, **options)

    return start
