"""Write the reference pages from the code: ``python docs/reference/generate.py [--check]``."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
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


def shipped_components() -> str:
    """``components.json``: what ``recsec list`` says of our own components without loading them."""
    from recsec.cli.list_ import component
    from recsec.cli.shared.output import to_json
    from recsec.registry import KINDS, registry

    found = {
        kind: {
            key: {"where": where, **component(registry(kind).get(key))}
            for key, where in registry(kind).places().items()
            if where.startswith("recsec.")
        }
        for kind in KINDS
    }
    return json.dumps(to_json(found), indent=1) + "\n"


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
            "| 2 | wrong arguments or configuration |",
            "| 3 | target, data, checkpoint or run directory at fault; a defect of recsec |",
            "| 4 | evidence incomplete, or too weak to decide: too little of it, or weak attacks |",
            "| 130 | interrupted; the command that continues is printed |",
            "| 141 | the reader of stdout went away |",
            "",
            "```text",
            tree,
            "```",
            "",
        ]
    )


def source_page() -> str:
    """Which command works with which source, and what is missing where it does not."""
    from recsec.sources import CAPABILITIES, COMMANDS, KINDS, SAID, lacking

    titles = {
        "extraction": "Recommenders of sequences",
        "evasion": "Encoders of photos",
    }
    parts = [
        NOTE,
        "# Sources and commands",
        "",
        "What `--model` takes, what each kind can do at most, and which commands work with it. A",
        "command that needs more says so before anything is asked. `recsec target check` shows",
        "what yours gives.",
        "",
        "| capability | |",
        "|---|---|",
        *(f"| {one} | {SAID[one]} |" for one in CAPABILITIES),
        "",
    ]
    for threat, title in titles.items():
        kinds = [kind for kind in KINDS if kind.threat == threat]
        rows = [row for row in COMMANDS.values() if row.threat == threat]
        parts += [f"## {title}", "", "| kind | written | gives | |", "|---|---|---|---|"]
        for kind in kinds:
            gives = ", ".join(one for one in CAPABILITIES if one in kind.gives)
            form = kind.form if " " in kind.form else f"`{kind.form}`"
            parts.append(f"| {kind.name} | {form} | {gives} | {kind.about} |")
        parts += [
            "",
            f"| recsec ... | {' | '.join(kind.name for kind in kinds)} |",
            f"|---|{'---|' * len(kinds)}",
        ]
        for row in rows:
            cells = [", ".join(lacking(row.words, kind.gives)) for kind in kinds]
            shown = " | ".join(f"needs {one}" if one else "yes" for one in cells)
            parts.append(f"| {row.words.removesuffix(' photos')} | {shown} |")
        parts.append("")
    parts += [
        "`--guard truncate` stands for the guards that work on lists, `--guard misinform` for",
        "those that need scores: see [components](components.md).",
        "",
    ]
    return "\n".join(parts)


def schema_page() -> str:
    """The JSON schema of ``report.json``."""
    from recsec.reports import json_schema

    return json.dumps(json_schema(), indent=2) + "\n"


def openapi_page() -> str:
    """The OpenAPI file of ``recsec serve``."""
    from recsec.serving.api import describe

    return json.dumps(describe(), indent=1) + "\n"


HAPPENS = {
    "callable": "the right answer, or an error with the line and the deed (exit 3)",
    "checkpoints": "loaded, or what is broken is named (exit 3)",
    "disk": "named as full (exit 3)",
    "models": "refused (exit 3), or a warning beside the number",
    "paths": "left out of the page",
    "plugins": "named and skipped",
    "server": "the list, or one sentence in time, without a secret (exit 3)",
    "service": "refused with 4xx, nobody else is charged, and it goes on",
    "settings": "refused when read (exit 2)",
    "streams": "the exit code of the table",
    "text": "shown as it is written, and nothing else happens",
}
"""What becomes of each kind of hostile input."""

BEGIN, END = "<!-- hostile inputs, by docs/reference/generate.py -->\n", "<!-- end -->\n"


def hostile_tests() -> list[Path]:
    """The files whose tests carry the mark."""
    return [
        path
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if "mark.hostile(" in path.read_text(encoding="utf-8")
    ]


def hostile_marks() -> list[tuple[str, str, int]]:
    """Kind, what was tried and number of cases, from the marks of the tests; none is run."""
    tests = map(str, hostile_tests())
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "marks.json"
        words = ["--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider", "-p", "hostile_marks"]
        subprocess.run(  # noqa: S603 - our own tests
            [sys.executable, "-m", "pytest", *words, *tests],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(FOLDER), "HOSTILE_MARKS": str(found)},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return [tuple(row) for row in json.loads(found.read_text(encoding="utf-8"))]


def security_page() -> str:
    """``SECURITY.md`` with its table of hostile inputs."""
    before, _, rest = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = hostile_marks()
    table = ["| kind | tried | cases | what happens |", "|---|---|---:|---|"]
    for kind, what, cases in rows:
        happens = HAPPENS.get(kind, "read right, or refused by name")
        table.append(f"| {kind} | {what} | {cases} | {happens} |")
    table.append(f"| all | | {sum(row[2] for row in rows)} | |")
    return "".join([before, BEGIN, "\n".join(table), "\n", END, after])


def pages() -> dict[str, str]:
    """File name, seen from here -> content."""
    return {
        "cli.md": command_page(),
        "components.md": component_page(),
        "errors.md": error_page(),
        "openapi.json": openapi_page(),
        "sources.md": source_page(),
        "report-schema.json": schema_page(),
        "../../SECURITY.md": security_page(),
        "../../src/recsec/components.json": shipped_components(),
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
