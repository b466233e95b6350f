"""The run directory: what was planned, what is done, and who is working on it.

    RUN/
      run.json        kind, plan, digest of the plan, versions, threads: written once
      events.jsonl    what happened, one line each, appended
      cells/ID.json   results of finished units of work
      timings.json    times, dates and host: nothing else in the directory holds any
      .lock           held while a process works here; the system frees it when that process dies
      .attempt        the word of that process, for its workers on other machines

Rooms add folders of their own (``target/``, ``transcript/`` ...).
"""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from recsec.errors import RunError
from recsec.runs.atomic import LOCK, UNFINISHED, atomic_write_json, strangers
from recsec.runs.canonical import digest, plain
from recsec.runs.environment import environment
from recsec.runs.fence import raise_fence
from recsec.text import placed

__all__ = ["REDO", "RunDirectory"]

FORMAT = 1
SUM = "sha256"
"""Under this key, a result has the check sum of the rest."""

BLANK = ("run.json", "events.jsonl", "timings.json")
"""What a folder holds in which nothing was done yet: it may become another plan's."""

DAMAGED = "give --out another folder: without its description, what is in there cannot be used"
REDO = "delete that file and run the same command again: only this is done again"
CELL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]{0,199}")


class _Header(BaseModel):
    """What run.json holds."""

    kind: str
    plan: dict[str, Any]
    plan_digest: str
    versions: dict[str, str]
    threads: int


def _read_json(path: Path, what: str, *, hint: str | None = None) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(
            f"{path.parent} is not a run directory: it has no {path.name}",
            hint="name the folder that was given to --out",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"cannot read {what} {path}: {error}", hint=hint) from error
    if not isinstance(found, dict):
        raise RunError(f"{path} does not hold {what}", hint=hint)
    return found


def _differences(old: Any, new: Any, at: str = "") -> list[str]:
    """The keys in which two plans differ, dotted."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [
            name
            for key in keys
            if old.get(key) != new.get(key)
            for name in _differences(old.get(key), new.get(key), f"{at}.{key}" if at else key)
        ]
    return [at]


class RunDirectory:
    """A folder that one plan owns and that any number of killed processes may have worked in.

    Use ``create_or_resume`` to work in it (it holds the lock until ``close``, or as a context
    manager) and ``open`` to read it.

    Attributes:
        path: the folder.
        kind: what made it, such as ``"audit"`` or ``"train"``.
        plan: the plan as plain JSON data.
        plan_digest: SHA-256 of the plan.
        versions: package and version; "a, then b" where a later process had another one.
        threads: threads of the numerical library, as first planned.
        word: what workers elsewhere must know to write here; empty in one that is only read.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        try:
            found = _Header.model_validate(header)
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False)[0]
            raise RunError(
                f"{path / 'run.json'} describes no run: "
                f"{placed(fault['loc'], fault['msg'].lower())}",
                hint=DAMAGED,
            ) from error
        self.kind = found.kind
        self.plan = found.plan
        self.plan_digest = found.plan_digest
        self.versions = found.versions
        self.threads = found.threads
        self.word = ""
        self._lock: FileLock | None = None
        self._opened = time.monotonic()

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """The run directory at ``path``, to read; another process may be working in it.

        Raises:
            RunError: there is none, or it cannot be read.
        """
        path = Path(path)
        if not path.is_dir():
            raise RunError(
                f"there is no folder {path}", hint="name the folder that was given to --out"
            )
        run = cls(path, _read_json(path / "run.json", "the run's description", hint=DAMAGED))
        if digest(run.plan) != run.plan_digest:
            raise RunError(
                f"{path / 'run.json'} is damaged: the check sum of its plan is another",
                hint=DAMAGED,
            )
        return run

    @classmethod
    def create_or_resume(
        cls,
        path: Path | str,
        kind: str,
        plan: Mapping[str, Any],
        *,
        threads: int | None = None,
        replan: bool = False,
    ) -> Self:
        """Take the folder for this plan: a new one, or one in which the same plan was begun.

        Args:
            path: the folder; made if missing.
            kind: what makes it.
            plan: everything the results depend on, as JSON data without paths of outputs.
            threads: see ``environment``.
            replan: another plan of the same kind may take over: whoever works here checks of each
                result what it answers.

        Raises:
            RunError: another process works there, it belongs to another plan, it holds files that
                are no run's, or it cannot be written.
        """
        path, wanted = Path(path), plain(plan)
        try:
            path.mkdir(parents=True, exist_ok=True)
            _refuse_strangers(path)
            lock = _take(path)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            run = cls._begin(path, kind, wanted, threads, replan=replan)
            run.word = raise_fence(path)
        except OSError as error:
            lock.release()
            raise _unwritable(path, error) from error
        except BaseException:
            lock.release()
            raise
        run._lock = lock
        return run

    @classmethod
    def _begin(
        cls, path: Path, kind: str, plan: dict[str, Any], threads: int | None, *, replan: bool
    ) -> Self:
        wanted = digest(plan)
        header = {"format": FORMAT, "kind": kind, "plan": plan, "plan_digest": wanted}
        now = environment(threads=threads)
        begun = strangers(path, known=BLANK)
        if (path / "run.json").exists() and (begun or _same(path, kind, wanted)):
            run = cls.open(path)
            other = run.kind == kind and run.plan_digest != wanted
            if replan and other:
                changed = _differences(run.plan, plan)
                run = cls(path, header | now)
                run.write_json("run.json", header | now)
                run.record("replanned", changed=changed)
            run._check_same(kind, plan, wanted)
            for left in path.rglob(f"*{UNFINISHED}"):
                left.unlink(missing_ok=True)
            run.record("resumed", **now)
        else:
            run = cls(path, header | now)
            run.write_json("run.json", header | now)
            run.record("created", **now)
        for event in run.events():
            versions = event.get("versions")
            for package, version in versions.items() if isinstance(versions, dict) else ():
                known = run.versions.get(package, str(version))
                if not known.endswith(str(version)):
                    run.versions[package] = f"{known}, then {version}"
        return run

    def _check_same(self, kind: str, plan: dict[str, Any], wanted: str) -> None:
        if self.kind != kind:
            raise RunError(
                f"{self.path} holds a run of kind {self.kind!r}, not {kind!r}",
                hint="give --out another folder",
            )
        if self.plan_digest != wanted:
            keys = ", ".join(_differences(self.plan, plan)[:5])
            raise RunError(
                f"{self.path} belongs to another plan: they differ in {keys}",
                hint="give --out another folder, or repeat the command that made this one",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def write_json(self, name: str, value: Any) -> None:
        """Write a file of the run as canonical JSON, whole or not at all.

        Raises:
            RunError: it cannot be written.
        """
        try:
            atomic_write_json(self.path / name, value)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def cell(self, cell_id: str) -> str:
        """The file, in the run directory, of the result of a unit of work."""
        if not CELL_ID.fullmatch(cell_id):
            raise ValueError(f"{cell_id!r} cannot name a cell: letters, digits and ._=+- only")
        return f"cells/{cell_id}.json"

    def done(self, cell_id: str) -> dict[str, Any] | None:
        """The result of a finished unit of work; None while it is not finished.

        Raises:
            RunError: the record is broken.
        """
        path = self.path / self.cell(cell_id)
        if not path.exists():
            return None
        found = _read_json(path, "the result", hint=REDO)
        if found.pop(SUM, None) != digest(found):
            raise RunError(f"{path} is damaged: its check sum is another", hint=REDO)
        return found

    def finish(self, cell_id: str, result: Mapping[str, Any]) -> None:
        """Keep the result of a unit of work; from now on it is not done again.

        Raises:
            RunError: it cannot be written.
        """
        self.write_json(self.cell(cell_id), {**result, SUM: digest(result)})

    def record(self, event: str, **fields: Any) -> None:
        """Append one line to ``events.jsonl``: the event, the time, and ``fields``.

        Raises:
            RunError: it cannot be written.
        """
        line = {"event": event, "at": datetime.now(UTC).isoformat(timespec="seconds"), **fields}
        path = self.path / "events.jsonl"
        try:
            with open(path, "ab+") as file:
                end = file.seek(0, os.SEEK_END)
                if end and (file.seek(end - 1), file.read(1))[1] != b"\n":
                    file.write(b"\n")  # a line that a kill cut short
                file.write(json.dumps(plain(line), ensure_ascii=False).encode() + b"\n")
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def events(self) -> Iterator[dict[str, Any]]:
        """The recorded events, oldest first; lines that a kill cut short are left out."""
        path = self.path / "events.jsonl"
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict):
                yield event

    def add_seconds(self, name: str, seconds: float) -> None:
        """Add to the time spent on ``name`` in ``timings.json``.

        Raises:
            RunError: it cannot be written.
        """
        timings = self._timings()
        timings["seconds"][name] = round(timings["seconds"].get(name, 0.0) + seconds, 3)
        self._keep_timings(timings)

    def remark(self, name: str, value: Any) -> None:
        """Keep in ``timings.json`` what depends on when a run was interrupted.

        Raises:
            RunError: it cannot be written.
        """
        self._keep_timings({**self._timings(), name: value})

    def _timings(self) -> dict[str, Any]:
        """The timings so far; no result depends on them, so damaged ones begin anew."""
        path = self.path / "timings.json"
        try:
            found = _read_json(path, "the timings") if path.exists() else {}
            seconds = {key: float(value) for key, value in dict(found.get("seconds", {})).items()}
        except (RunError, TypeError, ValueError):
            return {"seconds": {}}
        return {**found, "seconds": seconds}

    def _keep_timings(self, timings: dict[str, Any]) -> None:
        timings["host"] = platform.node()
        timings["machine"] = f"{platform.machine()}, {os.cpu_count()} cores"
        timings["updated"] = datetime.now(UTC).isoformat(timespec="seconds")
        self.write_json("timings.json", timings)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time a block under ``name``; a block that fails is timed too."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.add_seconds(name, time.monotonic() - start)


def _same(path: Path, kind: str, plan: str) -> bool:
    """Whether a folder in which nothing was done yet is this plan's; if not, it is free."""
    try:
        run = RunDirectory.open(path)
    except RunError:
        return False
    return (run.kind, run.plan_digest) == (kind, plan)


def _refuse_strangers(path: Path) -> None:
    """A folder with files but no run in it is somebody's: leave it alone."""
    if (path / "run.json").exists():
        return
    found = strangers(path)
    if found:
        raise RunError(
            f"{path} already holds files ({', '.join(found[:3])}) but no run",
            hint="give --out a new or an empty folder",
        )


def _take(path: Path) -> FileLock:
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(
            f"another process is working in {path}",
            hint="wait until it ends, or give --out another folder",
        ) from error
    return lock


def _unwritable(path: Path, error: OSError) -> RunError:
    return RunError(
        f"cannot write in {path}: {error.strerror or error}",
        hint="free some space or choose another --out; the same command continues",
    )
