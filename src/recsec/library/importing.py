"""The file of a target from a curl command or an OpenAPI description."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from recsec.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from recsec.targets.http.imported.guess import Imported

__all__ = ["import_target"]


def import_target(
    *,
    curl: str | None = None,
    openapi: str | None = None,
    path: str | None = None,
    response: str | None = None,
    out: Path,
    authorised: bool = False,
) -> Imported:
    """Write a target file. Nothing is run, and no secret is written.

    Args:
        curl: a curl command, or the path of a file that holds it.
        openapi: a description, as a file or an address.
        path: which path of the description.
        response: JSONPath to the ids of an answer.
        out: the file to write; one that is there is kept.
        authorised: the description may be fetched from beyond this machine.

    Raises:
        UsageError: not one of both, or ``out`` is there.
        ConfigError: no target can be made of it.
    """
    from recsec.runs import atomic_write_text
    from recsec.targets.http.imported.curl import from_curl
    from recsec.targets.http.imported.guess import target_file
    from recsec.targets.http.imported.openapi import from_openapi, read_openapi

    if (curl is None) == (openapi is None) or (openapi is None) != (path is None):
        raise UsageError(
            "a target file is made of one example",
            hint="give --curl COMMAND, or --openapi FILE and --path",
        )
    if out.exists():
        raise UsageError(f"{out} is there already", hint="give --out another name")
    if curl is not None:
        example = from_curl(curl if curl.lstrip().startswith("curl") else _content(curl))
    else:
        described = read_openapi(str(openapi), authorised=authorised)
        example = from_openapi(described, str(path), at=str(openapi))
    found = target_file(example if response is None else replace(example, response=response))
    atomic_write_text(out, found.text)
    return found


def _content(path: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path[:80]!r} is neither a curl command nor a file: it cannot be read",
            hint="give --curl 'curl https://...', or the path of a file with such a command",
        ) from error
