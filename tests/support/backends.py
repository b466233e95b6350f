"""Real database servers for tests: in a folder of their own, on a free port, ended by their id."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from sqlalchemy import create_engine, text
from tests.conftest import absent
from waiting import until

USERS = ("postgres", "nobody")


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


@dataclass
class Server:
    """A server that can be killed and started again, with what it kept."""

    words: list[str]
    folder: Path
    port: int
    user: str | None = None
    running: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        log = (self.folder / "log.txt").open("ab")
        self.running = subprocess.Popen(
            self.words, stdout=log, stderr=log, cwd=self.folder, user=self.user
        )
        log.close()
        until(self.listens, "it listens")

    def listens(self) -> bool:
        """Whether it takes connections."""
        ended = self.running is not None and self.running.poll() is not None
        assert not ended, (self.folder / "log.txt").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def kill(self) -> None:
        """As a crash: no warning, nothing is written."""
        if self.running is not None:
            self.running.send_signal(signal.SIGKILL)
            self.running.wait()
            self.running = None

    def end(self) -> None:
        if self.running is not None:
            self.running.send_signal(signal.SIGINT)
            self.running.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _ended(server: Server) -> Server:
    """It runs, and ends with this process, also where that is interrupted."""
    atexit.register(server.end)
    server.start()
    return server


def redis_server(folder: Path) -> Server:
    """A redis-server; what it holds is on disk after each command, so that a crash loses none."""
    program = shutil.which("redis-server")
    if program is None:
        absent("redis", "redis-server is not installed")
    port = free_port()
    words = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    more = ["--save", "", "--appendonly", "yes", "--protected-mode", "no"]
    return _ended(Server([*words, *more], folder, port))


def postgres_server() -> Server:
    """A PostgreSQL server with a superuser ``recsec`` and no passwords."""
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = shutil.which("initdb", path=os.pathsep.join(map(str, places))) or shutil.which("initdb")
    if found is None:
        absent("postgres", "PostgreSQL's server is not installed")
    programs, folder = Path(str(found)).parent, Path(tempfile.mkdtemp(prefix="recsec-postgres-"))
    user = _other_user() if os.getuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "recsec", "-A", "trust", "-N", "-E", "UTF8"],
        check=True,
        capture_output=True,
        cwd=folder,
        user=user,
    )
    words = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder)]
    quick = ["-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=8MB", "-F"]
    return _ended(Server([*words, *quick], folder, port, user))


def _other_user() -> str:
    """PostgreSQL refuses to run as root."""
    import pwd

    for name in USERS:
        with suppress(KeyError):
            pwd.getpwnam(name)
            return name
    raise AssertionError("there is no user but root")


def new_database(server: Server) -> str:
    """Its address."""
    address = f"postgresql://recsec@127.0.0.1:{server.port}"
    name = f"t{uuid4().hex}"
    engine = create_engine(
        f"{address.replace('postgresql', 'postgresql+psycopg')}/postgres",
        isolation_level="AUTOCOMMIT",
    )
    with engine.connect() as base:
        base.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{address}/{name}"
