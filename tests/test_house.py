"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import recsec

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "recsec"
PACKAGES = sorted(
    found.name
    for found in pkgutil.walk_packages(recsec.__path__, "recsec.", onerror=lambda name: None)
    if found.ispkg
)
FILES = sorted(SOURCE.rglob("*.py"))
ODD_SIZES = {
    "attacks": "two threats, and nothing that both share",
    "cli": "one file for each command of both threats",
    "cli/sequential": "one file for each command, and what they share",
    "reports/site": "which runs there are, and the pages about them",
    "serving": "what a request passes, a file each, and what the ways in share",
    "serving/together": "young accounts, and linked ones, judged together",
    "targets/guards": "seven guards, and what builds, keys and checks them",
}
"""Folders of fewer than three or more than twelve files, and why."""
TESTS_OF_THEIR_OWN = ("browser", "contract", "faults", "support", "targets/shop")
"""Folders of tests that belong to no folder of the source, and what lies in them."""


def sort_key(name: str) -> tuple[int, str]:
    """Constants first, then classes, then functions: the order that ruff's RUF022 keeps."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


def test_the_house_is_found() -> None:
    assert {"recsec.cli", "recsec.data", "recsec.models"} <= set(PACKAGES)
    assert len(FILES) > 20


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_there_and_sorted(package: str) -> None:
    module = importlib.import_module(package)
    names = getattr(module, "__all__", [])
    missing = [name for name in names if not hasattr(module, name)]
    assert missing == []
    assert len(set(names)) == len(names)
    assert list(names) == sorted(names, key=sort_key)


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_package_imports_from_its_files_is_public(package: str) -> None:
    module = importlib.import_module(package)
    tree = ast.parse(Path(str(module.__file__)).read_text())
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package)
        for alias in node.names
    }
    assert imported <= set(getattr(module, "__all__", [])), "re-exported but not in __all__"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_public_names_of_a_file_are_declared_and_exist(path: Path) -> None:
    tree = ast.parse(path.read_text())
    bodies = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    if path.name in {"__init__.py", "__main__.py"} or not bodies:
        return
    declared = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert declared, "a file with public names says which in __all__"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_stays_readable(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for forbidden in ("np.random.seed", "torch.manual_seed", "import pickle", "TODO"):
        assert forbidden not in text
    calls = [
        node.func.id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert not {"eval", "exec", "print"} & set(calls)


def test_folders_are_neither_drawers_nor_heaps() -> None:
    """Three to twelve files; where a room has wings, they count as three or more."""
    odd = set()
    for folder in {path.parent for path in FILES}:
        files = [path for path in folder.glob("*.py") if not path.name.startswith("__")]
        inside = [path for path in folder.iterdir() if (path / "__init__.py").is_file()]
        if len(files) > 12 or len(files) + len(inside) < 3:
            odd.add(folder.relative_to(SOURCE).as_posix())
    assert odd == set(ODD_SIZES), "split or join it; if it must be, name it above with the reason"


def test_folders_of_tests_mirror_the_source() -> None:
    tests = ROOT / "tests"
    folders = {path.parent.relative_to(tests) for path in tests.rglob("*.py")}
    strangers = {
        folder.as_posix()
        for folder in folders
        if not (SOURCE / folder).is_dir()
        and not any(folder.is_relative_to(known) for known in TESTS_OF_THEIR_OWN)
    }
    assert strangers == set()


def test_matplotlib_is_imported_by_figures_only() -> None:
    importers = [
        str(path.relative_to(SOURCE))
        for path in FILES
        if "import matplotlib" in path.read_text() or "from matplotlib" in path.read_text()
    ]
    assert all(name.startswith("reports/figures/") for name in importers), importers


def test_entry_points_name_what_exists() -> None:
    from recsec.registry import KINDS, registry

    for kind in KINDS:
        found = registry(kind)
        loaded = found.items()
        assert sorted(loaded) == found.keys(), found.broken
