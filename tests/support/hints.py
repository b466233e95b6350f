"""Every hint that the source gives, as a pattern: what is filled in at run time is ``{}``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "recsec"


def _texts(node: ast.expr, names: dict[str, ast.expr]) -> Iterator[str]:
    """The texts that an expression may have; none for one that passes a hint on."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
        yield "".join(str(part) for part in parts)
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body, names)
        yield from _texts(node.orelse, names)
    elif isinstance(node, ast.BinOp):
        for left in _texts(node.left, names):
            yield from (left + right for right in _texts(node.right, names))
    elif isinstance(node, ast.Name) and node.id in names:
        yield from _texts(names[node.id], {})


def hints_of(path: Path) -> Iterator[str]:
    """The hints of one file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and path.name != "__init__.py":
            continue
        if isinstance(node, ast.keyword) and node.arg == "hint":
            yield from _texts(node.value, names)


def every_hint() -> dict[str, list[str]]:
    """By hint, the files that give it."""
    found: dict[str, list[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for hint in hints_of(path):
            found.setdefault(hint, []).append(str(path.relative_to(SOURCE)))
    return found
