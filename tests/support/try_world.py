"""What the page shows in tests: planted recommenders of 60 items, a small encoder of 60 photos."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import uvicorn

from recsec.data import load, load_photos, split_photos
from recsec.errors import TargetError
from recsec.evaluation import embed
from recsec.models import EncoderConfig, Training, frozen_copy, train_encoder
from recsec.trying import ListBench, PhotoBench, application, listen
from recsec.types import IntArray


def ascending(histories: IntArray, k: int) -> IntArray:
    """The first items that the history lacks."""
    return np.array([[i for i in range(1, 61) if i not in row][:k] for row in histories])


def shifted(histories: IntArray, k: int) -> IntArray:
    """The same without the first two."""
    return ascending(histories, k + 2)[:, 2:]


def failing(histories: IntArray, k: int) -> IntArray:
    """A target that is down."""
    raise TargetError("the shop is closed")


def list_bench() -> ListBench:
    """Three recommenders; the last one fails."""
    data = load("synthetic:users=40,items=60,length=8,seed=3")
    answers = (("original", ascending), ("copy", shifted), ("closed", failing))
    return ListBench(answers, data.split(), data=data.name, synthetic=True)


def photo_bench() -> PhotoBench:
    """One encoder, trained for two passes."""
    split = split_photos(load_photos("photos:items=60,categories=3,seed=1"))
    config = EncoderConfig(size=16, stem=8, widths=(16,), epochs=2, batch_size=16, shift=2)
    trained = train_encoder(split, config, training=Training(device="cpu", precision="float32"))
    encoder = frozen_copy(trained)
    features = embed(encoder, split.photos, np.arange(len(split.photos)), normalize=False)
    return PhotoBench(split.photos, (("original", encoder, features),))


@contextmanager
def served(lists: ListBench | None, photos: PhotoBench | None) -> Iterator[str]:
    """The address of a page that is served by a thread."""
    opened, port = listen()
    server = uvicorn.Server(
        uvicorn.Config(
            application(lists, photos, port=port), lifespan="off", log_level="critical",
            timeout_graceful_shutdown=1,
        )
    )  # fmt: skip
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
        opened.close()
