"""The pages about the library and about runs over time say what happens."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from recsec.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str, kind: str) -> list[str]:
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    return [code for name, code in BLOCK.findall(text) if name == kind]


def test_the_code_of_the_library_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    for code in blocks("library.md", "python"):
        exec(compile(code, "library.md", "exec"), names)
    assert names["report"].verdict.level == "low"  # type: ignore[attr-defined]
    assert names["change"].regression is False  # type: ignore[attr-defined]
    assert names["quality"]["hr@10"].n == 100  # type: ignore[index]


def test_the_comparison_on_the_page_is_what_the_command_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")
    command, shown = blocks("runs-over-time.md", "text")
    assert main(command.split()[1:]) == 0
    said = "\n".join(line.rstrip() for line in capsys.readouterr().out.strip().splitlines())
    assert said == shown.strip()


def test_a_regression_is_an_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "examples" / "runs")
    assert main(["diff", "before", "after", "--fail-on", "regression", "--quiet"]) == 0
    assert main(["diff", "after", "before", "--fail-on", "regression", "--quiet"]) == 1
    assert main(["diff", "after", "before", "--quiet"]) == 0


def test_make_takes_torch_from_where_it_is_told() -> None:
    """With the index named as it is not reachable, nothing extra is asked for; else it is."""
    done = subprocess.run(
        ["make", "-n", "-B", "install", "TORCH_INDEX=http://127.0.0.1:9/none"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "--extra-index-url" not in done.stdout
    done = subprocess.run(
        ["make", "-n", "-B", "install", "TORCH_FROM=--extra-index-url here"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "--extra-index-url here torch" in done.stdout
