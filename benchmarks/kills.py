"""A collection that is killed at file-system events, counted by the target itself.

Each round: a thief asks ``--calls`` calls into an empty folder; his process dies, as by kill -9,
when a chosen event happens (a write, half a write, an fsync, a rename, a removal, a new folder);
another process finishes the collection. Then three numbers are compared: the requests that the
target counted, those that the meter knows of, and the calls. The answers must be those of a
collection that nobody killed.

With ``--moments`` the process is killed at random moments instead, also while the target answers:
then the meter counts what it announced, which is never less than the target saw and never a chunk
more.
"""

from __future__ import annotations

import argparse
import builtins
import hashlib
import json
import mmap
import os
import random
import signal
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from recsec.attacks.extraction import ExtractionConfig, collect
from recsec.data.catalog import Catalog
from recsec.rng import Streams
from recsec.targets import Budget, CallableTarget, HttpConfig, HttpTarget, MeteredTarget
from recsec.targets.meter import journal

ITEMS = 60
K = 5


def answer(history: list[int], k: int) -> list[int]:
    """The recommender: a walk from the last item."""
    steps = ((history[-1] * 7 + 11 * step) % ITEMS + 1 for step in range(ITEMS))
    return [item for item in dict.fromkeys(steps) if item not in history][:k]


class Counter:
    """A number that processes share, and that no file system sees."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 8)
        self.lock = threading.Lock()

    def add(self, count: int) -> None:
        with self.lock:
            self.memory[:] = struct.pack("q", self.value + count)

    @property
    def value(self) -> int:
        found: int = struct.unpack("q", self.memory[:])[0]
        return found


def serve(counter: Counter) -> str:
    """A stub on loopback that counts; its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet for each answer

        def do_POST(self) -> None:
            try:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            except ValueError:
                self.close_connection = True  # half a request: whoever asked is dead
                return
            counter.add(1)
            body = json.dumps({"items": answer(asked["history"], asked["k"])}).encode()
            try:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()
            except OSError:
                self.close_connection = True  # whoever asked is dead

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/"


class Events:
    """Counts what this process does to files, and dies at one event."""

    def __init__(self, deadly: int | None, *, half: bool) -> None:
        self.names: list[str] = []
        self.deadly = deadly
        self.half = half

    def happens(self, name: str, cut: Callable[[], object] | None = None) -> None:
        self.names.append(name)
        if len(self.names) - 1 == self.deadly:
            if self.half and cut is not None:
                cut()
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """Stand before every function that changes a file."""
        events, write, open_ = self, os.write, builtins.open

        def watched(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
            def acted(*given: Any, **named: Any) -> Any:
                events.happens(name)
                return act(*given, **named)

            return acted

        for name in ("replace", "rename", "fsync", "unlink", "mkdir", "rmdir"):
            setattr(os, name, watched(name, getattr(os, name)))

        def written(handle: int, content: Any) -> int:
            events.happens("write", lambda: write(handle, bytes(content)[: len(content) // 2]))
            return write(handle, content)

        os.write = written

        class File:
            def __init__(self, file: Any) -> None:
                self.file = file

            def write(self, content: Any) -> Any:
                def cut() -> None:
                    self.file.write(content[: len(content) // 2])
                    self.file.flush()

                events.happens("write", cut)
                return self.file.write(content)

            def __enter__(self) -> File:
                return self

            def __exit__(self, *_: object) -> None:
                self.file.close()

            def __getattr__(self, name: str) -> Any:
                return getattr(self.file, name)

        def opened(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
            if not set(mode) & set("wax+"):
                return open_(file, mode, *more, **named)
            events.happens("open")
            return File(open_(file, mode, *more, **named))

        builtins.open = opened


def thief(where: str, counter: Counter, folder: Path, calls: int, events: Events) -> dict[str, Any]:
    """Collect, or go on collecting; what the meter says, and a digest of the transcript."""
    catalog = Catalog.from_ids(range(1, ITEMS + 1))

    def function(histories: list[list[int]], k: int) -> list[list[int]]:
        counter.add(len(histories))
        return [answer(history, k) for history in histories]

    target: Any = (
        HttpTarget(HttpConfig.from_url(where), catalog)
        if where
        else CallableTarget(function, catalog, chunk=4)
    )
    config = ExtractionConfig(policy="mixed", length=10, sessions=6)
    journal.SYNC = 0.0  # an fsync after every answer: the clock shall not choose the events
    events.watch()
    with MeteredTarget(target, budget=Budget(calls=calls, k=K), folder=folder) as meter:
        collect(meter, config, calls=calls, k=K, streams=Streams(0).child("collect"))
        known = meter.transcript().calls
    told = hashlib.sha256(known.answers.tobytes() + known.items.tobytes() + known.call.tobytes())
    return {"sent": meter.sent, "calls": len(known), "answers": told.hexdigest()}


def child(work: Callable[[], dict[str, Any]], *, die_after: float | None = None) -> Any:
    """What ``work`` returns in a process of its own; None where that was killed."""
    read, write = os.pipe()
    number = os.fork()
    if number == 0:
        status = 1
        try:
            os.close(read)
            text = json.dumps(work()).encode()
            os.writev(write, [text])
            status = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(status)
    os.close(write)
    if die_after is not None:
        time.sleep(die_after)
        os.kill(number, signal.SIGKILL)
    with open(read, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(number, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return None
    if status != 0:
        raise SystemExit("a collection failed")
    return json.loads(text)


def rounds(kind: str, kills: int, calls: int, *, moments: bool) -> dict[str, Any]:
    """Kill ``kills`` collections and finish each."""
    counter = Counter()
    where = serve(counter) if kind == "http" else ""

    def collected(folder: Path, deadly: int | None = None, half: bool = False) -> dict[str, Any]:
        events = Events(deadly, half=half)
        return thief(where, counter, folder, calls, events) | {"events": events.names}

    with tempfile.TemporaryDirectory() as place:
        start = time.monotonic()
        whole = child(partial(collected, Path(place) / "whole"))
        took = time.monotonic() - start
        assert counter.value == whole["sent"] == whole["calls"] == calls, (counter.value, whole)
        points = [(at, False) for at in range(len(whole["events"]))]
        points += [(at, True) for at, name in enumerate(whole["events"]) if name == "write"]
        chosen = [points[at * len(points) // kills] for at in range(kills)]
        rng = random.Random(0)
        died, again, beyond, other = 0, [], [], 0
        for number, (at, half) in enumerate(chosen):
            folder, before = Path(place) / str(number), counter.value
            if moments:
                first = child(partial(collected, folder), die_after=rng.uniform(0.1, 0.7) * took)
            else:
                first = child(partial(collected, folder, at, half))
            died += first is None
            last = child(partial(collected, folder))
            counted = counter.value - before
            again.append(counted - calls)
            beyond.append(last["sent"] - counted)
            other += last["answers"] != whole["answers"]
    return {
        "target": kind,
        "killed at": "random moments" if moments else "file-system events",
        "calls": calls,
        "events of a whole collection": len(whole["events"]),
        "collections": kills,
        "killed": died,
        "chunk": 4,
        "asked again at most": max(again),
        "asked again in all": sum(again),
        "meter less than the target, collections": sum(value < 0 for value in beyond),
        "meter more than the target, collections": sum(value > 0 for value in beyond),
        "meter more than the target, at most": max(beyond),
        "other answers, collections": other,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="collections that are killed")
    parser.add_argument("--calls", type=int, default=120, help="calls of each collection")
    parser.add_argument("--target", choices=["http", "callable"], default="http")
    parser.add_argument("--moments", action="store_true", help="kill at random moments")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--out", type=Path, help="also append the numbers to this file")
    options = parser.parse_args()
    found = rounds(options.target, options.kills, options.calls, moments=options.moments)
    text = json.dumps(found) if options.json else "\n".join(f"{k:45}{v}" for k, v in found.items())
    print(text)
    if options.out is not None:
        with options.out.open("a") as file:
            file.write(text + "\n\n")


if __name__ == "__main__":
    main()
