"""Write the reference pages from the code: ``python docs/reference/generate.py [--check]``."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import json
import os
import sys
from pathlib import Path
from unittest import mock

FOLDER = Path(__file__).parent
NOTE = "<!-- Written by docs/reference/generate.py; do not edit. -->"


def help_text(words: list[str]) -> str:
    """What ``recsec WORDS --help`` prints at 80 columns."""
    from recsec.cli.main import main

    out = io.StringIO()
    with mock.patch.dict(os.environ, {"COLUMNS": "80"}), contextlib.redirect_stdout(out):
        main([*words, "--help"])
    return "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines())


def commands() -> list[list[str]]:
    """Every command and subcommand."""
    from recsec.cli.main import COMMANDS, load_command

    found: list[list[str]] = [[]]
    for name in COMMANDS:
        found.append([name])
        found += [[name, sub] for sub in getattr(load_command(name), "commands", {})]
    return found


def command_page() -> str:
    """All help texts."""
    parts = [NOTE, "# Commands", ""]
    for words in commands():
        parts += [f"## recsec {' '.join(words)}".rstrip(), "", "```text"]
        parts += [help_text(words), "```", ""]
    return "\n".join(parts)


def component_page() -> str:
    """All registered components and their settings."""
    from recsec.cli.list_ import describe
    from recsec.registry import KINDS, registry

    parts = [NOTE, "# Components", "", "Set with `--set key=value` or in a plan.", ""]
    for kind in KINDS:
        parts += [f"## {kind.capitalize()}", ""]
        for key, component in describe(registry(kind))["components"].items():
            parts += [f"### {key}", "", component["summary"], ""]
            if component["settings"]:
                parts += ["| setting | default | |", "|---|---|---|"]
                parts += [
                    f"| `{name}` | `{setting['default']}` | {setting['description']} |"
                    for name, setting in component["settings"].items()
                ]
                parts.append("")
    return "\n".join(parts)


def error_page() -> str:
    """The error tree, from the docstring of ``recsec.errors``."""
    from recsec import errors

    tree = inspect.cleandoc(errors.__doc__ or "")
    return "\n".join(
        [
            NOTE,
            "# Errors and exit codes",
            "",
            "| code | meaning |",
            "|---|---|",
            "| 0 | fine |",
            "| 1 | a gate failed |",
            "| 2 | wrong words or configuration |",
            "| 3 | target, data, checkpoint or run directory at fault; a defect of recsec |",
            "| 4 | evidence incomplete |",
            "| 130 | interrupted; the command that continues is printed |",
            "| 141 | the reader of stdout went away |",
            "",
            "```text",
            tree,
            "```",
            "",
        ]
    )


def schema_page() -> str:
    """The JSON schema of ``report.json``."""
    from recsec.reports import json_schema

    return json.dumps(json_schema(), indent=2) + "\n"


def pages() -> dict[str, str]:
    """File name -> content."""
    return {
        "cli.md": command_page(),
        "components.md": component_page(),
        "errors.md": error_page(),
        "report-schema.json": schema_page(),
    }


def drifted() -> list[str]:
    """Pages that differ from what the code says now."""
    return [
        name
        for name, text in pages().items()
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text(encoding="utf-8") != text
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say which pages differ")
    if parser.parse_args().check:
        stale = drifted()
        sys.exit(f"run python docs/reference/generate.py: {', '.join(stale)}" if stale else 0)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
