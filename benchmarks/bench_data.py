"""Seconds and peak memory of reading data, against a line-by-line reader in plain Python.

Every measurement is a fresh process, so that its peak memory is its own. The plain peer does the
same work as ``load`` (parse, sort by user and time, drop repeated pairs, filter, number); on the
large file it gets a slice, and its time is scaled by rows, which flatters it: sorting grows faster.

Bars: MovieLens-1M in 2 s; a made-up file of 20 million rows in 25 s under 4 GiB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import polars

SLICE = 1_000_000
GIB = 2**30


def plain(lines: Iterable[str], separator: str) -> int:
    """Interactions left, the way one writes it first."""
    rows = []
    for line in lines:
        user, item, rating, moment = line.split(separator)
        rows.append((int(user), int(item), float(rating), int(moment)))
    rows.sort(key=lambda row: (row[0], row[3]))
    seen: set[tuple[int, int]] = set()
    first = []
    for row in rows:
        if row[:2] not in seen:
            seen.add(row[:2])
            first.append(row)
    items = Counter(row[1] for row in first)
    rows = [row for row in first if items[row[1]] >= 5]
    users = Counter(row[0] for row in rows)
    rows = [row for row in rows if users[row[0]] >= 5]
    place = {item: index for index, item in enumerate(sorted({row[1] for row in rows}), start=1)}
    histories: dict[int, list[int]] = {}
    for user, item, _, _ in rows:
        histories.setdefault(user, []).append(place[item])
    return sum(map(len, histories.values()))


def load(source: str) -> int:
    """A name or a path, through the front door."""
    from recsec.data import load

    return len(load(source).sequences().items)


def load_archive(source: str) -> int:
    """An archive in the layout of MovieLens-20M, whatever it holds."""
    from recsec.data import Dataset
    from recsec.data.sources.archive import open_archive
    from recsec.data.sources.movielens import read_csv

    with open_archive(Path(source)) as archive:
        return len(Dataset.from_raw("archive", read_csv(archive)).sequences().items)


def plain_archive(source: str) -> int:
    """MovieLens-1M from its archive, in plain Python."""
    with zipfile.ZipFile(source) as archive, archive.open("ml-1m/ratings.dat") as file:
        return plain((line.decode() for line in file), "::")


def plain_slice(source: str) -> int:
    """The first rows of a CSV file, in plain Python."""
    with open(source) as file:
        next(file)
        return plain((line for line, _ in zip(file, range(SLICE), strict=False)), ",")


def write(source: str) -> int:
    """Make up the file."""
    from recsec.data import SyntheticConfig, write_synthetic

    path, rows = source.rsplit("|", 1)
    users = max(1, int(rows) // 200)
    return write_synthetic(SyntheticConfig(users=users, items=20_000, length=200), Path(path))


TASKS: dict[str, Callable[[str], int]] = {
    task.__name__: task for task in (load, load_archive, plain_archive, plain_slice, write)
}


def run_task(task: str, source: str) -> None:
    """In the measured process: time everything but the start of Python and the imports."""
    import recsec.data  # noqa: F401 - imported before the clock starts

    start = [time.perf_counter(), time.process_time()]
    rows = TASKS[task](source)
    seconds = time.perf_counter() - start[0]
    processor = time.process_time() - start[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"rows": rows, "seconds": seconds, "processor": processor, "peak": peak}))


def measure(task: str, source: str, *, repeats: int = 1) -> dict[str, float]:
    """The fastest of some processes."""
    found = []
    for _ in range(repeats):
        command = [sys.executable, __file__, "--task", task, "--source", source]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found.append(json.loads(done.stdout))
    return min(found, key=lambda result: result["seconds"])


def table(rows: int, folder: Path) -> Iterable[str]:
    """The lines of the result."""
    head = ("", "rows", "seconds", "processor s", "peak GiB", "ratio")
    form = "{:<44} {:>11} {:>8} {:>12} {:>9} {:>7}"
    yield form.format(*head)

    def line(name: str, found: dict[str, float], ratio: str = "") -> str:
        sizes = (f"{found['rows']:,}", f"{found['seconds']:.2f}", f"{found['processor']:.2f}")
        return form.format(name, *sizes, f"{found['peak'] / GIB:.2f}", ratio)

    mirror = Path(os.environ.get("RECSEC_MIRROR", "")) / "ml-1m.zip"
    if mirror.is_file():
        ours = measure("load", "ml-1m", repeats=3)
        peer = measure("plain_archive", str(mirror), repeats=2)
        if ours["rows"] != peer["rows"]:
            raise SystemExit(f"rows differ: {ours['rows']} and {peer['rows']}")
        yield line("MovieLens-1M, recsec", ours, f"{peer['seconds'] / ours['seconds']:.1f} x")
        yield line("MovieLens-1M, plain Python", peer)
    else:
        yield "MovieLens-1M: not measured, set RECSEC_MIRROR to the folder with ml-1m.zip"

    path = folder / "made.csv"
    made = measure("write", f"{path}|{rows}")
    yield line("made up and written as CSV", made)
    peer = measure("plain_slice", str(path))
    scaled = peer["seconds"] * made["rows"] / min(SLICE, made["rows"])
    ours = measure("load", str(path), repeats=2)
    yield line("that CSV, recsec", ours, f"{scaled / ours['seconds']:.1f} x")
    yield line("its first million rows, plain Python", peer)

    packed = folder / "ml-20m.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with path.open("rb") as file, archive.open("ml-20m/ratings.csv", "w") as member:
            file.readline()
            member.write(b"userId,movieId,rating,timestamp\n")
            while chunk := file.read(2**22):
                member.write(chunk)
        archive.writestr("ml-20m/movies.csv", "movieId,title,genres\n1,A (1990),Drama\n")
    ours = measure("load_archive", str(packed), repeats=2)
    yield line("the same in a zip like MovieLens-20M's", ours, f"{scaled / ours['seconds']:.1f} x")


def main() -> None:
    """Measure, print, and keep what was printed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000_000, help="rows of the made-up file")
    parser.add_argument("--out", type=Path, help="also write what is printed to this file")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--source", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.task is not None:
        run_task(chosen.task, chosen.source)
        return
    lines = [
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}; "
        f"Python {platform.python_version()}, polars {polars.__version__}; "
        f"load average before: {os.getloadavg()[0]:.1f}",
        "ratio: seconds of plain Python over seconds of recsec (scaled by rows from a million)",
        "",
    ]
    print("\n".join(lines))
    with tempfile.TemporaryDirectory() as folder:
        for line in table(chosen.rows, Path(folder)):
            print(line, flush=True)
            lines.append(line)
    if chosen.out is not None:
        chosen.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
