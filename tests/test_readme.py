"""The README's commands are run; those of real data are parsed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from recsec.cli.main import COMMANDS, load_command

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TOUR = [line for kind, text in BLOCK.findall(README) if kind == "sh" for line in text.splitlines()]
ELSEWHERE = {"recsec audit plan.toml --out audit"}
"""The template's audit takes a minute; tests/audit parses the template, tests/faults runs plans."""


def command_lines(page: Path) -> list[str]:
    """Every line of a code block that calls recsec, comments cut off."""
    return [
        line.split(" #")[0].strip()
        for kind, text in BLOCK.findall(page.read_text(encoding="utf-8"))
        if kind in {"", "sh"}
        for line in text.splitlines()
        if line.startswith("recsec ")
    ]


@pytest.mark.slow
def test_the_tour_runs(tmp_path: Path) -> None:
    """As a new user would: line by line, in one folder, with recsec on the path."""
    assert len(TOUR) == 9
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for line in TOUR:
        if line in ELSEWHERE:
            continue
        done = subprocess.run(
            shlex.split(line),
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert "Traceback" not in done.stderr
    assert (tmp_path / "stolen" / "report.html").is_file()
    assert (tmp_path / "plan.toml").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_pages_exist_with_these_options(page: Path) -> None:
    for line in command_lines(page):
        _, name, *words = shlex.split(line.replace("..", "x"))
        if name.startswith("-"):
            continue
        assert name in COMMANDS, line
        command = load_command(name)
        if words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        elif hasattr(command, "default"):
            command = command.commands[command.default]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        used = {word.split("=")[0] for word in words if word.startswith("--")}
        assert used <= known, line


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
