"""Who may write in a run directory: the process that took it last, and those who work for it.

On several machines a worker can be thought dead and still live. Whoever takes a run directory puts
a new word there and tells it to his workers. A worker with an older word writes nothing any more.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recsec.errors import RunError

__all__ = ["FENCE", "check_fence", "fenced", "raise_fence"]

FENCE = ".attempt"
"""The file of a run directory that holds the word of its latest owner."""

_standing: tuple[Path, str] | None = None


def raise_fence(folder: Path) -> str:
    """Shut out everybody who worked in a folder so far; whoever calls holds its lock.

    Returns:
        The word that workers must know from now on.
    """
    word = secrets.token_hex(16)
    (folder / FENCE).write_text(word, encoding="ascii")
    return word


@contextmanager
def fenced(folder: Path, word: str) -> Iterator[None]:
    """This process works in a folder for the owner who gave that word; every write asks for it.

    Raises:
        RunError: the folder cannot be seen from here, or somebody else has taken it.
    """
    global _standing  # noqa: PLW0603 - one piece of work per process
    _standing = (folder, word)
    try:
        check_fence()
        yield
    finally:
        _standing = None


def check_fence() -> None:
    """Whether the owner for whom this process works still has the folder.

    Raises:
        RunError: not any more, or the folder cannot be seen from here.
    """
    if _standing is None:
        return
    folder, word = _standing
    try:
        now = (folder / FENCE).read_text(encoding="ascii")
    except OSError as error:
        raise RunError(
            f"this machine does not see the run directory {folder}: {error.strerror}",
            hint="give --out a folder on storage that all machines of the cluster share",
        ) from error
    if now != word:
        raise RunError(
            f"another process has taken the run directory {folder}; this attempt writes no more",
            hint="nothing is lost: the newer attempt does this work",
        )
