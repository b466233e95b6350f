"""The reference pages say what the code says, and no page points nowhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("design/*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "reference" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return loaded("generate")


def test_reference_pages_do_not_drift(
    generate: ModuleType, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a run of all tests, their marks need not be collected a second time."""
    items, option = request.session.items, request.config.option
    chosen = option.keyword or option.markexpr or any("::" in word for word in request.config.args)
    if not chosen and {item.path for item in items} >= set(generate.hostile_tests()):
        rows = loaded("hostile_marks").counted(items)
        monkeypatch.setattr(generate, "hostile_marks", lambda: rows)
    assert generate.drifted() == [], "run: .venv/bin/python docs/reference/generate.py"


def test_help_fits_80_columns(generate: ModuleType) -> None:
    for words in generate.commands():
        shown = generate.help_text(words)
        assert max(map(len, shown.splitlines())) <= 80, words
        assert shown.startswith("Usage: recsec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in link and not link.startswith("mailto:"):
            assert (page.parent / link).exists(), link


def test_the_page_of_slopes_quotes_committed_results() -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    blocks = re.findall(r"`(\w+\.txt)`[^`]*```text\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == page.count("```text")
    for name, quoted in blocks:
        known = (ROOT / "benchmarks" / "results" / name).read_text(encoding="utf-8").splitlines()
        for line in filter(None, quoted.splitlines()):
            assert line in known, f"{name} does not hold: {line}"
