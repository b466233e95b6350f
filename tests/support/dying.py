"""A process that ends as by kill -9 at a chosen moment, whatever the speed of the machine."""

from __future__ import annotations

import signal
import subprocess
import sys

__all__ = ["dies"]

DEADLY = """
import os, signal

def deadly(move, left=[{count}]):
    def moved(source, target, *more, **words):
        left[0] -= {part!r} in str(target)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return move(source, target, *more, **words)
    return moved

os.replace, os.rename = deadly(os.replace), deadly(os.rename)
"""


def dies(script: str, *words: str, part: str, count: int) -> None:
    """Run a script until ``part`` of a path is about to get its name for the n-th time."""
    text = DEADLY.format(part=part, count=count) + script
    ended = subprocess.run(
        [sys.executable, "-c", text, *words], capture_output=True, text=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
