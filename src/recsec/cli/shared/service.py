"""Options of the commands of the live service, and what they need to run."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsec.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from recsec.serving.state import Store
    from recsec.serving.state.names import Names

__all__ = ["STATE", "LiveOption", "PolicyOption", "StateOption", "need_extra", "open_service_state"]

NEEDED = (
    "alembic",
    "argon2",
    "fastapi",
    "httptools",
    "limits",
    "prometheus_client",
    "sqlalchemy",
    "structlog",
    "tomlkit",
    "uvicorn",
)

STATE = "recsec-state"

StateOption = Annotated[
    str,
    typer.Option(
        "--state",
        metavar="DIR|URL",
        envvar="RECSEC_STATE",
        help="Where keys, decisions and histories are kept: a folder, or postgresql://...",
    ),
]
LiveOption = Annotated[
    str | None,
    typer.Option(
        "--live",
        metavar="redis://...",
        envvar="RECSEC_LIVE",
        help="Count in this Redis, together with other processes.",
    ),
]
PolicyOption = Annotated[
    Path | None,
    typer.Option("--policy", metavar="FILE", help="policy.toml: evidence, rules, actions."),
]


def need_extra() -> None:
    """Refuse to go on without the packages of the service.

    Raises:
        UsageError: one of them is not installed.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the live service needs packages that are not installed: {', '.join(missing)}",
            hint="pip install 'recsec[serve]'",
        )


def open_service_state(state: str) -> tuple[Names, Store]:
    """The state of a service that has run, or that got a key.

    Raises:
        ConfigError: there is none.
    """
    need_extra()
    from recsec.serving.engine import open_state
    from recsec.serving.state import is_url

    if not is_url(state) and not (Path(state) / "secret.key").exists():
        raise ConfigError(
            f"{state} is not the state of a service",
            hint="name the folder that recsec serve --state has",
        )
    return open_state(state)
