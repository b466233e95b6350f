"""The policy in front of your own ASGI application: ``app.add_middleware(recsec.Guard, ...)``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from recsec.errors import ConfigError
from recsec.serving.api.edge import Receive, Scope, Send
from recsec.serving.engine import Engine, folder_of, open_state
from recsec.serving.policy import read_policy
from recsec.serving.running import json_log
from recsec.serving.upstream.watched import Watched, check_actions

__all__ = ["Guard"]


class Guard:
    """Watches the requests that ``[traffic]`` of the policy describes; all others pass untouched.

    In shadow the answers pass byte by byte as they come. What cannot be read is let through.

    Args:
        app: the application.
        policy: the file; it needs ``[traffic]``.
        state: the data directory, or ``postgresql://USER@HOST/NAME``.

    Raises:
        ConfigError: the policy does not fit.
    """

    def __init__(self, app: Any, *, policy: Path | str, state: Path | str = "recsec-state") -> None:
        rules = read_policy(Path(policy))
        if rules.traffic is None:
            raise ConfigError(
                f"{policy} does not say where account, history and list stand",
                hint='[traffic] with path = "/recommend", account = "header:x-user"',
            )
        check_actions(rules, rules.traffic)
        names, store = open_state(state)
        self.engine = Engine(rules, names, store, folder=folder_of(state), log=json_log())
        self._app = app
        self._watched = Watched(app, self.engine, rules.traffic)
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._ending(send))
            return
        if scope["type"] == "http" and not self._started:
            self._started = True
            self.engine.start()
        await self._watched(scope, receive, send)

    def _ending(self, send: Send) -> Send:
        async def sending(message: Any) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                await asyncio.to_thread(self.engine.drain)
            await send(message)

        return sending
