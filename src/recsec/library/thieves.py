"""Detection of thieves from Python: fit detectors, judge a log, watch live queries."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsec.errors import RunError, UsageError
from recsec.library.opening import open_api, open_checkpoint_folder
from recsec.library.results import to_pandas
from recsec.types import ItemId

if TYPE_CHECKING:
    import pandas
    import polars as pl

    from recsec.data import Dataset, Dialect
    from recsec.detection import Explained, FitConfig, Fitted, Watch
    from recsec.models import Recommender
    from recsec.traffic import QueryLog
    from recsec.types import IntArray, Progress

__all__ = ["Detected", "Query", "Watcher", "detect", "explain", "fit_detectors", "watch"]


@dataclass(frozen=True)
class Query:
    """One live query in the user's own ids.

    Attributes:
        history: item ids, oldest first.
        answer: the list that was served, best first; empty if it is not known.
    """

    history: Sequence[ItemId]
    answer: Sequence[ItemId] = ()

    def __post_init__(self) -> None:
        for name in ("history", "answer"):
            if isinstance(getattr(self, name), str | bytes):
                raise UsageError(f"{name} of a query: expected a list of item ids, got one text")


@dataclass(frozen=True, eq=False, repr=False)
class Detected:
    """What ``detect`` found in a log.

    Attributes:
        accounts: one row per account, the most suspicious first: ``id``, ``queries``, scores,
            ``p_value``, ``flagged``, ``view`` (which detector finds it most suspicious),
            ``cluster`` (accounts that ask alike) and ``withheld`` (why there is no p-value).
        queries: how many the log holds.
        faults: what was wrong with the log, in words.
        protocol: how the detectors were fitted, and the rule.
    """

    accounts: pl.DataFrame
    queries: int
    faults: tuple[str, ...]
    protocol: Mapping[str, Any]

    @property
    def flagged(self) -> int:
        """How many accounts are flagged."""
        return int(self.accounts["flagged"].sum())

    @property
    def withheld(self) -> int:
        """Of how many accounts nothing is said, because the fit doesn't know how they ask."""
        return int(self.accounts["withheld"].is_not_null().sum())

    def to_pandas(self) -> pandas.DataFrame:
        """The accounts for pandas."""
        return to_pandas(self.accounts)

    def __repr__(self) -> str:
        return f"Detected({self.flagged} of {len(self.accounts)} accounts, {self.queries} queries)"

    def _repr_html_(self) -> str:
        table: Any = self.accounts
        return str(table._repr_html_())


class Watcher:
    """Detectors on a live stream, in the user's own ids.

    Args:
        inner: the detectors with their state, in catalog indices.
    """

    def __init__(self, inner: Watch) -> None:
        self._watch = inner

    def __repr__(self) -> str:
        return f"Watcher({', '.join(self._watch.detectors)}; {self._watch.seen} queries seen)"

    def update(self, account: str, query: Query) -> float:
        """Take note of one query; returns the account's p-value.

        Raises:
            DataError: an id is not in the catalog that the detectors were fitted on.
        """
        from recsec.traffic import Query as Indexed

        catalog = self._watch.fitted.catalog
        history: IntArray = catalog.index(query.history)
        return self._watch.update(account, Indexed(history, catalog.index(query.answer)))

    def accounts(self) -> pl.DataFrame:
        """One row per account: ``id``, ``queries``, a score per detector, ``p_value``."""
        return self._watch.accounts()

    def save(self, state: Path | str) -> None:
        """Write the state; ``watch(detectors, state)`` goes on from there.

        Raises:
            OSError: it cannot be written.
        """
        self._watch.save(Path(state))


def watch(detectors: Path | str, state: Path | str | None = None) -> Watcher:
    """Start watching live queries, or go on from a saved state.

    Args:
        detectors: the folder that ``fit_detectors`` wrote.
        state: a file that ``Watcher.save`` wrote; one that is not there yet is a start.

    Raises:
        CheckpointError: a folder or file that is missing or broken.
        RunError: the state belongs to other detectors.
    """
    from recsec.detection import Fitted, Watch

    fitted = Fitted.load(Path(detectors))
    if state is not None and Path(state).exists():
        return Watcher(Watch.resume(fitted, Path(state)))
    return Watcher(fitted.watch())


def detect(
    log: Path | str,
    detectors: Path | str,
    *,
    level: float = 0.05,
    state: Path | str | None = None,
    processes: int = 1,
    columns: Mapping[str, str] | None = None,
    dialect: Dialect | None = None,
    progress: Progress | None = None,
) -> Detected:
    """Find the thieves in a query log; see ``recsec detect log``.

    Args:
        log: a table, the folder of a transcript, or a stream of Redis or Kafka
            (``redis://HOST:6379/0?stream=NAME``, ``kafka://HOST:9092?topic=NAME``): what it holds
            now.
        detectors: the folder that ``fit_detectors`` wrote.
        level: share of false flags allowed among the flagged.
        state: keep the state here; a longer log goes on from it.
        processes: share the accounts among so many.
        columns: of the log, our names to the file's.
        dialect: what there is to say about the table.
        progress: is told how it goes.

    Raises:
        CheckpointError: the detectors or the state are missing or broken.
        DataError: the log is missing, broken or empty.
        RunError: the state belongs to another log or to other detectors.
    """
    from recsec.detection import Fitted, follow_in_processes, follow_log, follow_stream, judge
    from recsec.traffic import Queries, is_stream, open_log

    fitted = Fitted.load(Path(detectors))
    kept, found = None if state is None else Path(state), None
    if is_stream(str(log)):
        if processes > 1:
            raise UsageError("a stream is watched by one process", hint="leave --processes out")
        seen, found = follow_stream(fitted, str(log), state=kept, progress=progress)
    elif processes > 1:
        seen = follow_in_processes(
            Path(detectors),
            Path(log),
            processes=processes,
            columns=columns,
            dialect=dialect,
            state=kept,
            progress=progress,
        )
    whole: Queries = found or open_log(
        Path(log), fitted.catalog, columns=dict(columns or {}), dialect=dialect
    )
    if found is None and processes == 1:
        seen = follow_log(fitted, whole, name=str(log), state=kept, progress=progress)
    accounts = judge(seen, whole, level=level)
    protocol = {
        **fitted.protocol,
        "level": level,
        "rule": "Benjamini-Hochberg over accounts",
        "combined": sorted(fitted.scales),
    }
    return Detected(accounts, len(whole), tuple(whole.faults), protocol)


def _request(model: str, data: Dataset | QueryLog, plan: FitConfig, seed: int) -> str:
    """What a folder of detectors belongs to."""
    from recsec.runs import digest
    from recsec.sources import is_folder
    from recsec.targets import target_digests
    from recsec.traffic import Prefix, QueryLog, WholeLog

    if isinstance(data, QueryLog):
        prefix = Prefix()
        for part in WholeLog(data).parts():
            prefix.add(part)
        fingerprint = prefix.digest
    else:
        fingerprint = data.fingerprint

    weights = Path(model).expanduser() / "model.safetensors"
    identity = sha256(weights.read_bytes()).hexdigest() if is_folder(model) else ""
    return digest(
        {
            "plan": plan.model_dump(mode="json"),
            "data": fingerprint,
            "model": identity or [model, target_digests(model)],
            "seed": seed,
        }
    )


def _earlier(out: Path, request: str) -> Fitted | None:
    """The same detectors, if they are there; a folder with anything else is refused.

    Raises:
        RunError: it holds something else.
    """
    from recsec.detection.watch import PARTS, TENSORS, Fitted
    from recsec.runs import strangers

    others = strangers(out, known=(*PARTS, "accounts.parquet"))
    if not others and not (out / TENSORS).exists():
        return None  # new, or a fit that was killed
    found = None if others else Fitted.load(out)
    if found is None or found.protocol.get("request") != request:
        raise RunError(
            f"{out} holds something else ({', '.join(others[:3]) or 'other detectors'})",
            hint="use another --out, or remove that folder",
        )
    return found


def fit_detectors(
    model: str,
    data: Dataset | Path | str,
    out: Path | str,
    *,
    plan: FitConfig | Mapping[str, Any] | None = None,
    seed: int = 0,
    name: str | None = None,
    authorised: bool = False,
    columns: Mapping[str, str] | None = None,
    dialect: Dialect | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Learn what honest accounts look like, and write the folder of detectors.

    Where the folder holds these detectors already, nothing is done.

    Args:
        model: the recommender that is watched, as ``open_recommender`` takes it in words; with a
            log a checkpoint folder.
        data: its data, whose users are replayed; or the path of a query log of honest accounts.
        out: the folder.
        plan: settings of ``recsec detect fit``: ``k``, ``queries``, ``users``, ``laws``, ...
        seed: of all random streams.
        name: what the protocol calls the data; its own name if None.
        authorised: the owner of a target beyond this machine agreed that it is asked.
        columns: of a log, our names to the file's.
        dialect: what there is to say about the table of a log.
        progress: is told how it goes.

    Raises:
        TargetError: ``model`` does not answer as it must.
        ConfigError: a setting does not fit.
        DataError: the log is missing or broken, or it has too few accounts.
        RunError: ``out`` holds something else.
    """
    from recsec.detection import FitConfig, fit_on_log
    from recsec.detection import fit_detectors as fit
    from recsec.rng import Streams
    from recsec.runs import atomic_write_bytes
    from recsec.settings import checked
    from recsec.targets import LocalTarget
    from recsec.traffic import QueryLog, read_log

    wanted = (
        plan
        if isinstance(plan, FitConfig)
        else checked(FitConfig, plan or {}, where="settings of fit_detectors")
    )
    folder, target = Path(out), None
    traffic: Dataset | QueryLog
    if isinstance(data, Path | str):
        known = open_checkpoint_folder(model)
        recommender: Recommender | None = known
        traffic = read_log(Path(data), known.catalog, columns=dict(columns or {}), dialect=dialect)
        told: dict[str, Any] = {"data": name or str(data), "faults": list(traffic.faults)}
    else:
        traffic, told = data, {"data": name or data.name}
        target = open_api(model, data, authorised=authorised)
        recommender = target.recommender if isinstance(target, LocalTarget) else None
    request = _request(model, traffic, wanted, seed)
    found = _earlier(folder, request)
    if found is not None:
        return found
    streams = Streams(seed).child("detect")
    if isinstance(traffic, QueryLog):
        found, table, _ = fit_on_log(known, traffic, wanted, streams=streams, progress=progress)
    else:
        times = traffic.interactions.table["time"].to_numpy() if traffic.times_are_real else None
        found, table, _ = fit(
            recommender,
            traffic.sequences(),
            wanted,
            streams=streams,
            target=target,
            snapshots=sorted(Path(model).glob("snapshots/*.safetensors")),
            times=times,
            progress=progress,
        )
    found.protocol.update(**told, model=model, request=request)
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    atomic_write_bytes(folder / "accounts.parquet", buffer.getvalue())
    found.save(folder)
    return found


def explain(
    account: str,
    log: Path | str,
    detectors: Path | str,
    *,
    columns: Mapping[str, str] | None = None,
    dialect: Dialect | None = None,
) -> Explained:
    """Why is an account suspicious? See ``recsec detect explain``.

    Args:
        account: its name in the log.
        log: a table, or the folder of a transcript.
        detectors: the folder that ``fit_detectors`` wrote.
        columns: of the log, our names to the file's.
        dialect: what there is to say about the table.

    Raises:
        CheckpointError: the detectors are missing or broken.
        DataError: the log is missing or broken, or lacks the account.
    """
    from recsec.detection import Fitted
    from recsec.detection import explain as explained
    from recsec.traffic import read_log

    fitted = Fitted.load(Path(detectors))
    found = read_log(Path(log), fitted.catalog, columns=dict(columns or {}), dialect=dialect)
    return explained(fitted, found, account)
