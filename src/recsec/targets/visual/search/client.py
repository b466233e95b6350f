"""A visual search behind HTTP: a photo goes up, a list of ids comes back. Nothing else is seen."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpx
import numpy as np
import numpy.typing as npt
from jsonpath_ng import JSONPath
from jsonpath_ng.parser import parse
from PIL import Image

from recsec.data import Photos
from recsec.errors import ConfigError, DataError, TargetError, UsageError
from recsec.targets.http.addresses import fits_header, is_loopback, public_url
from recsec.targets.http.exchange import Exchange, NoResponse, Response, decoded
from recsec.targets.http.patience import TRANSIENT, Patience, TransientError, retry_after
from recsec.targets.http.secrets import Secrets
from recsec.targets.visual.search.file import SearchFile
from recsec.text import visible
from recsec.types import FloatArray, IntArray

__all__ = ["ImageSearch", "Scored"]

SHOWN = 200
LARGEST = 1e100
"""Of a score; what is none, and what no float holds, is not below it."""


@dataclass(frozen=True)
class Scored:
    """A list that was read.

    Attributes:
        rows: ``(K,)`` rows of the catalog, nearest first.
        nearness: ``(K,)`` float64 that falls: their scores, or distances with their sign changed;
            None where the file names no scores.
    """

    rows: IntArray
    nearness: FloatArray | None


class ImageSearch:
    """Asks one request after the other, with retries, a rate limit and a deadline for each.

    Args:
        config: how to ask.
        photos: the catalog that its ids name.
        authorised: the owner of the service allowed the audit; needed unless it is on loopback.
        environ: where the secret is looked up.
        sleep: waits some seconds; for tests.

    Raises:
        UsageError: the host is not loopback and ``authorised`` is False.
        ConfigError: the environment variable of the secret is not set, or no header can hold it.
    """

    def __init__(
        self,
        config: SearchFile,
        photos: Photos,
        *,
        authorised: bool = False,
        environ: Mapping[str, str] = os.environ,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.config, self.photos = config, photos
        self.name = public_url(config.url)
        away = [url for url in (config.url, config.read) if url and not is_loopback(_plain(url))]
        if away and not authorised:
            raise UsageError(
                f"{public_url(away[0])} is not on this machine; an audit sends it many photos",
                hint="with the permission of its owner, add --i-am-authorised",
            )
        secret = "" if config.auth_env is None else environ.get(config.auth_env, "")
        if config.auth_env is not None and not (secret and fits_header(secret)):
            raise ConfigError(
                f"the environment variable {config.auth_env} is not set, or no header can hold it; "
                f"{self.name} needs it"
            )
        headers = dict(config.headers)
        if secret:
            headers[config.auth_header] = config.auth_prefix + secret
        self._secrets = Secrets([one for one in (secret, *headers.values()) if len(one) > 5])
        self._path = parse(config.response)
        self._scores = None if config.scores is None else parse(config.scores)
        self._sleep = sleep
        self._patience = Patience(
            config, name=self.name, sleep=sleep, clock=time.monotonic, kept="finished pairs are"
        )
        self._exchange = Exchange(
            self.name,
            headers=headers,
            timeout=config.timeout,
            max_bytes=config.max_bytes,
            connections=1,
            trust_env=bool(away),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._exchange.close()

    def __repr__(self) -> str:
        return f"ImageSearch({self.config.surface} at {self.name}, k={self.config.k})"

    @property
    def requests(self) -> int:
        """Requests sent, those that were repeated included."""
        return self._patience.requests

    @property
    def size(self) -> int:
        """Side of the photos that are uploaded, in pixels."""
        return self.config.size

    @property
    def relists(self) -> bool:
        """Whether a list is that of the target, after the item was listed with another photo."""
        return self.config.surface == "relist"

    def list(self, image: npt.NDArray[np.uint8], item: int, target: int) -> IntArray:
        """``scored`` without the scores."""
        return self.scored(image, item, target).rows

    def scored(self, image: npt.NDArray[np.uint8], item: int, target: int) -> Scored:
        """The list that is read after one upload: at most k rows of the catalog, nearest first.

        Args:
            image: ``(3, S, S)`` uint8.
            item: row of the item whose photo it is.
            target: row of the target item.

        Raises:
            TargetError: no answer, one that is no list of ids, or ids that are not in the catalog;
                scores that are no numbers, not as many as ids, or in another order.
        """
        config, ids = self.config, self.photos.table["id"]
        values = {"{k}": str(config.k), "{item}": str(ids[item]), "{target}": str(ids[target])}
        file = io.BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(file, format="PNG", compress_level=1)
        url, body = _put(config.url, values), file.getvalue()
        form = {name: _put(text, values) for name, text in config.form.items()}
        if config.send == "raw":
            options: dict[str, Any] = {"content": body, "headers": {"Content-Type": "image/png"}}
            if form:
                options["params"] = form
        else:
            options = {"files": {config.field: ("photo.png", body, "image/png")}, "data": form}
        answer = self._send(config.method, url, options)
        if config.read is not None:
            self._sleep(config.wait)
            answer = self._send("GET", _put(config.read, values), {})
        rows = self._rows(answer)
        told = None if self._scores is None else self._nearness(answer, self._scores)
        return Scored(rows, None if told is None else told[: len(rows)])

    def _nearness(self, answer: Any, scores_at: JSONPath) -> FloatArray:
        """The scores, so that more is nearer: which way they go, the order of the list says."""
        found, ids = ([one.value for one in path.find(answer)] for path in (scores_at, self._path))
        found, ids = (
            one[0] if len(one) == 1 and isinstance(one[0], list) else one for one in (found, ids)
        )
        hint = "scores is a JSONPath to one number per id: $.items[*].score"
        numbers = [
            isinstance(one, int | float) and not isinstance(one, bool) and abs(one) < LARGEST
            for one in found
        ]
        if len(found) != len(ids) or not all(numbers):
            what = f"{sum(numbers)} numbers" if all(numbers) else "what is no number"
            raise TargetError(
                f"{self.name} answered {what} at {self.config.scores} for {len(ids)} ids", hint=hint
            )
        scores = np.array(found, dtype=np.float64)
        scores = scores if scores[0] >= scores[-1] else -scores
        if np.any(np.diff(scores) > 0):
            raise TargetError(
                f"{self.name} gives scores at {self.config.scores} that neither fall nor rise "
                "along its list, so they say nothing of the order",
                hint="name other scores, or none: the list alone is followed then",
            )
        return scores

    def _send(self, method: str, url: str, options: dict[str, Any]) -> Any:
        """One request, attempt after attempt, and the JSON that comes back."""

        def attempt() -> Any:
            self._patience.wait_for_turn()
            try:
                answer = self._exchange.send(method, httpx.URL(url), **options)
            except NoResponse as error:
                raise TransientError(self._safe(str(error))) from None
            if answer.status in TRANSIENT:
                asked = retry_after(answer.headers.get("retry-after", ""))
                raise TransientError(f"status {answer.status}", retry_after=asked)
            return self._decoded(answer)

        return self._patience.patiently(attempt)

    def _decoded(self, answer: Response) -> Any:
        status = answer.status
        content = decoded(answer, max_bytes=self.config.max_bytes, whose=self.name)
        text = content.decode("utf-8", "replace")
        if status in (401, 403):
            raise TargetError(
                f"{self.name} refuses with status {status}: {self._safe(text)}",
                hint="check auth_env, auth_header and auth_prefix",
            )
        if not 200 <= status < 300:
            raise TargetError(
                f"{self.name} answered with status {status}: {self._safe(text)}",
                hint="check url, send, field and size: it may not take such an upload",
            )
        if not text.strip():
            return None
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise TargetError(f"{self.name} answered no JSON: {self._safe(text)}") from None

    def _rows(self, answer: Any) -> IntArray:
        found = [one.value for one in self._path.find(answer)]
        if len(found) == 1 and isinstance(found[0], list):
            found = found[0]
        if not found:
            raise TargetError(
                f"{self.name} answered without a list at {self.config.response}: "
                f"{self._safe(json.dumps(answer))}",
                hint="response is a JSONPath to the list, or to each id: $.items[*].id",
            )
        if any(isinstance(one, dict | list) or one is None for one in found):
            raise TargetError(
                f"{self.name} answered {self._safe(repr(found[0]))} where an id was expected",
                hint="response is a JSONPath to each id: $.items[*].id",
            )
        try:
            named = [self.photos.parse_id(str(one)) for one in found[: self.config.k]]
            rows = self.photos.rows(named)
        except DataError as error:
            raise TargetError(
                f"{self.name} answered an unknown item: {self._safe(error.message)}",
                hint="its ids must be those of --data",
            ) from error
        if len(set(named)) < len(named):
            raise TargetError(f"{self.name} named an item twice in one list")
        return rows

    def _safe(self, text: str) -> str:
        """Text of others without secrets and without what a terminal obeys."""
        return visible(self._secrets.hide(text))[:SHOWN]


def _put(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _plain(url: str) -> str:
    return _put(url, {"{k}": "1", "{item}": "1", "{target}": "1"})
