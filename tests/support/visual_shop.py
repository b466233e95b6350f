"""A visual shop of somebody else: a tiny network, a function, and a search behind HTTP."""

from __future__ import annotations

import email.parser
import io
import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

SIZE = 32


class Tiny(nn.Module):
    """Images (B, 3, 32, 32) in [0, 1] to vectors (B, 24)."""

    def __init__(self) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(3)
        self.first, self.norm = nn.Conv2d(3, 12, 5, 3), nn.BatchNorm2d(12)
        self.second = nn.Conv2d(12, 24, 3, 2)
        for weights in self.parameters():
            weights.data = torch.randn(weights.shape, generator=draws) * 0.3

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.norm(self.first(images - 0.5)))
        return torch.relu(self.second(hidden)).mean((2, 3)) - 0.5


NETWORK = Tiny().eval()


def factory() -> nn.Module:
    return Tiny()


class Detached(Tiny):
    """The same vectors, but no gradient of them reaches the pixels."""

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images)


def detached() -> nn.Module:
    return Detached()


def exported() -> Any:
    """What torch.export gives."""
    size = torch.export.Dim("B", min=1, max=512)
    images = torch.rand(2, 3, SIZE, SIZE)
    return torch.export.export(Tiny().eval(), (images,), dynamic_shapes=({0: size},))


def sized() -> nn.Module:
    """The same, for images of any size."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(SIZE), Tiny())


def sized_vectors(images: np.ndarray) -> np.ndarray:
    """The same for images (B, S, S, 3) uint8 of any size S that SIZE divides."""
    step = images.shape[1] // SIZE
    return vectors(images[:, ::step, ::step])


def no_module() -> int:
    return 3


def vectors(images: np.ndarray) -> np.ndarray:
    """(B, 32, 32, 3) uint8 to (B, 24)."""
    assert images.dtype == np.uint8
    with torch.no_grad():
        return NETWORK(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).numpy()


calls = 0


def growing(images: np.ndarray) -> np.ndarray:
    """Vectors of another width at every call."""
    global calls
    calls += 1
    return np.ones((len(images), 2 + calls))


def not_finite(images: np.ndarray) -> np.ndarray:
    return np.full((len(images), 4), np.nan)


def blind(images: np.ndarray) -> np.ndarray:
    """The same vector for whatever is seen."""
    return np.ones((len(images), 4))


def flat(images: np.ndarray) -> np.ndarray:
    """Vectors without a direction."""
    return images.mean((1, 2)) * 1e-20


def moody(images: np.ndarray) -> np.ndarray:
    """Statistics of the batch in every vector, as a network in training has them."""
    found = vectors(images[:, ::7, ::7])
    return found - found.mean(0) + 0.01


def refusing(images: np.ndarray) -> np.ndarray:
    raise ValueError(f"no images of {images.shape[1]} pixels, please")


def ending(images: np.ndarray) -> np.ndarray:
    raise SystemExit(3)


class Search(ThreadingHTTPServer):
    """``with Search(ids, vectors) as shop``: POST /search, PUT /items/ID and GET /items/ID."""

    daemon_threads = True

    def __init__(self, ids: list[int], catalog: np.ndarray) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ids, self.catalog = ids, catalog / np.linalg.norm(catalog, axis=1, keepdims=True)
        self.listed = self.catalog.copy()
        self.uploads, self.quality, self.scores = 0, 0, 0
        self.script: deque[tuple[int, dict[str, str], Any]] = deque()
        self.after: tuple[int, tuple[int, dict[str, str], Any]] | None = None
        """So many uploads are answered well, and then only so."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def near(self, vector: np.ndarray, among: np.ndarray, k: int) -> list[int]:
        order = np.argsort(-(among.astype(np.float64) @ vector.astype(np.float64)), kind="stable")
        return [self.ids[row] for row in order[:k]]

    def __enter__(self) -> Search:
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Search

    def log_message(self, *_: Any) -> None:
        pass

    def _vector(self) -> np.ndarray:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers["Content-Type"]
        if kind.startswith("multipart"):
            head = f"Content-Type: {kind}\r\n\r\n".encode()
            parts = email.parser.BytesParser().parsebytes(head + body).get_payload()
            body = next(one for one in parts if one.get_filename()).get_payload(decode=True)
        if self.server.quality:  # as shops do
            again = io.BytesIO()
            Image.open(io.BytesIO(body)).save(again, format="JPEG", quality=self.server.quality)
            body = again.getvalue()
        photo = Image.open(io.BytesIO(body))
        same = photo.size == (SIZE, SIZE)
        pixels = np.array(photo if same else photo.resize((SIZE, SIZE), Image.Resampling.BOX))
        self.server.uploads += 1
        found = vectors(pixels[None])[0]
        return found / np.linalg.norm(found)

    def _answer(self, status: int, headers: dict[str, str], value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        vector = self._vector()
        if self.server.after is not None and self.server.uploads > self.server.after[0]:
            self._answer(*self.server.after[1])
            return
        if self.server.script:
            self._answer(*self.server.script.popleft())
            return
        found = {"items": self.server.near(vector, self.server.catalog, 40)}
        if self.server.scores:  # -1: distances
            rows = [self.server.ids.index(one) for one in found["items"]]
            cosines = self.server.catalog[rows].astype(np.float64) @ vector.astype(np.float64)
            found["scores"] = (self.server.scores * cosines).tolist()
        self._answer(200, {}, found)

    def do_PUT(self) -> None:
        row = self.server.ids.index(int(self.path.rpartition("/")[2]))
        self.server.listed[row] = self._vector()
        self._answer(200, {}, {})

    def do_GET(self) -> None:
        row = self.server.ids.index(int(self.path.rpartition("/")[2]))
        found = self.server.near(self.server.listed[row], self.server.listed, 41)
        self._answer(200, {}, {"items": [one for one in found if one != self.server.ids[row]]})
