"""How ``extract --guard`` tells an audit, in another process and another day, what to attack."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recsec.errors import UsageError

__all__ = ["guarded_plan"]


def guarded_plan(
    model: str,
    tables: Sequence[Mapping[str, Any]],
    *,
    data: str,
    columns: Mapping[str, str],
    out: Path,
    twins: int,
) -> dict[str, Any]:
    """The ``[target]`` of a plan that attacks a checkpoint behind guards.

    The target is described in a file beside ``out``. Its name holds a digest of guards, keys and
    weights, so a run directory belongs to exactly these.

    Args:
        model: a checkpoint folder.
        tables: name and settings of each guard.
        data: the data set, for the popularity of items.
        columns: of an own file; see ``parse_columns``.
        out: the run directory.
        twins: how many independent models to train like the checkpoint.

    Raises:
        UsageError: the words name no checkpoint.
        CheckpointError: it is missing or broken.
    """
    if model.startswith(("http://", "https://", "callable:")) or model.endswith(".toml"):
        raise UsageError(
            f"--guard stands before a checkpoint, not before {model}",
            hint="a callable and an API bring their own guards",
        )
    from recsec.models import read_config
    from recsec.runs import atomic_write_text, digest

    folder = Path(model).expanduser().resolve()
    config = read_config(folder)
    guards = [{name: _resolved(name, value) for name, value in table.items()} for table in tables]
    source = Path(data).expanduser()
    described = str(source.resolve()) if source.is_file() else data
    weights = folder / "model.safetensors"
    held = [weights, *(Path(table["key"]) for table in guards if "key" in table)]
    content = [path.read_bytes().hex() for path in held if path.is_file()]
    name = digest(
        {"guards": guards, "data": described, "columns": dict(columns), "content": content}
    )[:12]
    path = out.with_name(f"{out.name}.target-{name}.toml")
    lines = [f"checkpoint = {json.dumps(str(folder))}", f"data = {json.dumps(described)}"]
    lines += [f"columns.{name} = {json.dumps(theirs)}" for name, theirs in columns.items()]
    for table in guards:
        lines += ["", "[[guards]]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    atomic_write_text(path, "\n".join(lines) + "\n")
    seed = config.get("seed")
    recipe: dict[str, Any] = {"count": twins}
    if isinstance(seed, int):
        recipe |= {"model": config["model"], "settings": config["config"]}
    names = " + ".join([folder.name, *(str(table["name"]) for table in guards)])
    return {
        "model": os.path.relpath(path),
        "name": names,
        "twins": recipe,
        "seed": seed if isinstance(seed, int) else 0,
    }


def _resolved(name: str, value: Any) -> Any:
    return str(Path(value).expanduser().resolve()) if name == "key" else value


def _toml(value: Any) -> str:
    """A scalar or a list of scalars; JSON writes them as TOML does."""
    return json.dumps(value)
