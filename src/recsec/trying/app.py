"""The page as an application: what it serves, and what its buttons call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.resources import files
from threading import BoundedSemaphore, Event
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from recsec import __version__
from recsec.errors import RecsecError, UsageError
from recsec.trying.lists import LONGEST_HISTORY, LONGEST_LIST, ListBench
from recsec.trying.local_only import LocalOnly
from recsec.trying.photos import MOST_LEVELS, Attack, PhotoBench, Stopped

__all__ = ["MOST_ATTACKS", "application"]

MOST_ATTACKS = 2
"""That run at a time; one more is refused."""
WAITING = 4
"""Frames that may wait for a slow reader; more are left out."""

PAGES = {
    "/": ("page/index.html", "text/html"),
    "/page.css": ("page/page.css", "text/css"),
    "/common.js": ("page/common.js", "text/javascript"),
    "/lists.js": ("page/lists.js", "text/javascript"),
    "/photos.js": ("page/photos.js", "text/javascript"),
}

Words = Annotated[str, Query(max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ListsWanted(_Body):
    """A history of catalog indices, oldest first, and how long the lists are to be."""

    history: list[Annotated[int, Field(ge=1)]] = Field(max_length=LONGEST_HISTORY)
    k: int = Field(10, ge=1, le=LONGEST_LIST)


class AttackWanted(_Body):
    """See ``Attack``."""

    photo: int = Field(ge=0)
    target: int = Field(ge=0)
    levels: int = Field(ge=1, le=MOST_LEVELS)
    encoder: int = Field(0, ge=0)
    attack: str = Field("mi", max_length=40)


def application(lists: ListBench | None, photos: PhotoBench | None, *, port: int) -> LocalOnly:
    """The page for what there is to try.

    Args:
        lists: recommenders of sequences.
        photos: encoders of photos.
        port: where it will be reached; other addresses are refused.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_exception_handler(RecsecError, _failed)
    _add_pages(app)

    @app.get("/api/start")
    def start() -> dict[str, Any]:
        benches = {"lists": lists, "photos": photos}
        about = {name: None if one is None else one.about() for name, one in benches.items()}
        synthetic = all(
            made_up
            for made_up in (
                lists is None or lists.synthetic,
                photos is None or photos.photos.synthetic,
            )
        )
        return {"version": __version__, "synthetic": synthetic, **about}

    if lists is not None:
        _add_lists(app, lists)
    if photos is not None:
        _add_photos(app, photos)
    return LocalOnly(app, port=port)


async def _failed(_: Request, error: Exception) -> JSONResponse:
    """What recsec refuses or cannot do, as one sentence."""
    message = error.message if isinstance(error, RecsecError) else str(error)
    return JSONResponse({"detail": message}, 400 if isinstance(error, UsageError) else 502)


def _add_pages(app: FastAPI) -> None:
    texts = {
        path: (files("recsec.trying").joinpath(name).read_bytes(), kind)
        for path, (name, kind) in PAGES.items()
    }
    report = files("recsec.reports").joinpath("templates/report.css").read_bytes()
    texts["/report.css"] = (report, "text/css")

    def page(request: Request) -> Response:
        content, kind = texts[request.url.path]
        return Response(content, media_type=kind)

    for path in texts:
        app.add_api_route(path, page, methods=["GET"], include_in_schema=False)


def _add_lists(app: FastAPI, bench: ListBench) -> None:
    @app.get("/api/items")
    def items(words: Words = "") -> dict[str, Any]:
        return bench.search(words)

    @app.get("/api/history")
    def history(kind: Literal["person", "random"]) -> dict[str, Any]:
        return {"items": bench.history(kind)}

    @app.post("/api/lists")
    def answers(wanted: ListsWanted) -> dict[str, Any]:
        return {"lists": bench.lists(wanted.history, wanted.k)}


def _add_photos(app: FastAPI, bench: PhotoBench) -> None:
    slots = BoundedSemaphore(MOST_ATTACKS)
    pool = ThreadPoolExecutor(MOST_ATTACKS, thread_name_prefix="attack")

    @app.get("/api/photos")
    def found(words: Words = "", skip: Annotated[int, Query(ge=0)] = 0) -> dict[str, Any]:
        return bench.search(words, skip)

    @app.get("/api/pair")
    def pair() -> dict[str, Any]:
        return {"photos": bench.pair()}

    @app.get("/api/photos/{row}.png")
    def picture(
        row: Annotated[int, Path(ge=0)], side: Annotated[int, Query(ge=16, le=224)] = 96
    ) -> Response:
        return Response(bench.picture(row, side), media_type="image/png")

    @app.post("/api/attack")
    async def attack(wanted: AttackWanted) -> StreamingResponse:
        if not slots.acquire(blocking=False):
            raise HTTPException(429, f"{MOST_ATTACKS} attacks run already: cancel one, or wait")
        watched = _Watched(bench, Attack(**wanted.model_dump()), slots.release)
        pool.submit(watched.work)
        return StreamingResponse(watched.events(), media_type="text/event-stream")


class _Watched:
    """One attack in a thread, and its server-sent events; it stops when nobody reads them."""

    def __init__(self, bench: PhotoBench, wanted: Attack, finished: Callable[[], None]) -> None:
        self._bench, self._wanted, self._finished = bench, wanted, finished
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self._gone = Event()

    def work(self) -> None:
        """The attack; what goes wrong is an event too."""
        try:
            self._bench.attack(self._wanted, self._tell)
        except Stopped:
            pass
        except RecsecError as error:
            self._put("problem", {"message": error.message})
        except Exception as error:  # whoever watches must not wait for ever
            self._put("problem", {"message": f"the attack broke: {type(error).__name__}: {error}"})
        finally:
            self._finished()

    def _tell(self, name: str, data: dict[str, Any]) -> None:
        if self._gone.is_set():
            raise Stopped("nobody watches any more")
        if name and (name != "frame" or self._queue.qsize() < WAITING):
            self._put(name, data)

    def _put(self, name: str, data: dict[str, Any]) -> None:
        with suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(self._queue.put_nowait, (name, data))

    async def events(self) -> AsyncIterator[str]:
        """Until the attack is done."""
        try:
            while True:
                name, data = await self._queue.get()
                yield f"event: {name}\ndata: {json.dumps(data, allow_nan=False)}\n\n"
                if name in ("done", "problem"):
                    return
        finally:
            self._gone.set()
