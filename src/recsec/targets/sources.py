"""What the answers of a target depend on, as digests: its files, what they name, its source code.

A run keeps them, and refuses to go on when one of them has changed. What they cannot cover (a
function's weights, a server) is covered by asking a few recorded calls again: ``spot_check``.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from recsec.errors import CheckpointError, ConfigError
from recsec.runs import digest
from recsec.sources import kind_of_source
from recsec.targets.callable import named_function
from recsec.targets.guarded import read_guarded
from recsec.targets.guards import configured, fingerprint, read_key
from recsec.targets.http.config import HttpConfig
from recsec.targets.onnx.recommender import onnx_files

__all__ = ["checkpoint_digests", "code_digests", "guard_digests", "target_digests"]

CHECKPOINT = ("config.json", "items.parquet", "model.safetensors")
"""The files of a checkpoint that decide what it answers."""

FUNCTIONS = {
    "callable": "callable",
    "python-callable": "callable",
    "scores": "scores",
    "python-scores": "scores",
}
"""Kinds of sources that are functions, and the form of their words."""

INSTALLED = ("site-packages", "dist-packages")


def target_digests(spec: str) -> dict[str, str]:
    """By what it is, the SHA-256 of each file on which the answers of a target depend.

    Of the file of an HTTP API it is what says whom to ask and how, not timeouts and rates.

    Args:
        spec: what ``open_target`` takes.

    Raises:
        CheckpointError, ConfigError: a file is missing.
    """
    kind = kind_of_source(spec, "extraction").name
    if kind in FUNCTIONS:
        return code_digests(named_function(spec, FUNCTIONS[kind])[0])
    if kind == "address":
        return {}
    path = Path(spec).expanduser()
    if kind in ("onnx", "onnx-file"):
        named = [path] if kind == "onnx-file" else []
        return {str(one): _file(one) for one in (*named, *onnx_files(spec))}
    if kind not in ("toml", "guarded"):
        return checkpoint_digests(path)
    file = read_guarded(path)
    if file is None:
        return {str(path): digest(HttpConfig.load(spec).decides())}
    found = {str(path): _file(path)}
    found |= target_digests(file.source)
    if file.data is not None and Path(file.data).is_file():
        found[file.data] = _file(Path(file.data))
    return found | guard_digests(file.guards)


def checkpoint_digests(folder: Path) -> dict[str, str]:
    """The digests of a checkpoint folder: settings, items and weights.

    Raises:
        CheckpointError: one of these files is missing.
    """
    return {str(folder / name): _file(folder / name) for name in CHECKPOINT}


def guard_digests(tables: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The digests of what guards name: keys, by the fingerprint that tells nothing of them, and
    the source of functions.

    Raises:
        ConfigError: a guard does not fit, or its key is missing or no key.
    """
    found: dict[str, str] = {}
    for kind, config in configured(tables):
        for name in type(config).model_fields:
            value = getattr(config, name)
            if isinstance(value, Path) and name != "key":
                found[f"{name} {value} of {kind.name}"] = _file(value.expanduser())
            elif isinstance(value, Path):
                key = read_key(value.expanduser())
                found[f"{name} {value} of {kind.name}"] = fingerprint(key)
            elif name == "verdict":
                found |= code_digests(value.partition(":")[0])
    return found


def code_digests(module: str) -> dict[str, str]:
    """The digests of a module's source: of its whole package, or of the modules beside it that it
    imports. Installed packages that it imports are left to their versions.

    A module without source, or one that is not found, has none.
    """
    for root in dict.fromkeys([os.getcwd(), *sys.path]):
        folder = Path(root or ".")
        files = set(_sources(folder, module, set()))
        if files:
            return {str(path.relative_to(folder)): _file(path) for path in sorted(files)}
    return {}


def _sources(root: Path, module: str, seen: set[str]) -> Iterator[Path]:
    """The files under ``root`` of a module and of those that it imports."""
    top = module.partition(".")[0]
    if not top or top in seen:
        return
    seen.add(top)
    single, package = root / f"{top}.py", root / top
    if (package / "__init__.py").is_file() or not single.is_file():
        files = sorted(package.rglob("*.py")) if package.is_dir() else []
    else:
        files = [single]
    yield from files
    if root.name in INSTALLED:
        return
    for path in files:
        for name in _imported(path):
            yield from _sources(root, name, seen)


def _imported(path: Path) -> list[str]:
    """Names of the modules that a file imports from outside its package."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError):
        return []  # whoever imports it says what is wrong
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.append(node.module)
    return names


def _file(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        kind = CheckpointError if path.name in CHECKPOINT else ConfigError
        raise kind(
            f"cannot read {path}: {error.strerror}",
            hint="bring it back, or correct the path that names it",
        ) from error
