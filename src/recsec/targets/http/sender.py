"""Requests from templates, and which responses are answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, Final

import httpx

from recsec.errors import TargetError
from recsec.targets.http.addresses import fits_header, parsed_url, public_url
from recsec.targets.http.answer import value_in
from recsec.targets.http.config import HttpConfig
from recsec.targets.http.exchange import Exchange, NoResponse, Response, decoded
from recsec.targets.http.messages import Message, Token
from recsec.targets.http.patience import TRANSIENT, TransientError, retry_after
from recsec.targets.http.placeholders import SECRET, fields_of, in_address, render, with_query
from recsec.targets.http.secrets import Secrets

__all__ = ["Sender"]

REFUSED: Final = frozenset({401, 403})
EXPIRED: Final = 401
SHOWN: Final = 200
"""Characters of a response in an error."""


class Sender:
    """Sends what a template describes, with the secret or a token; reads JSON.

    Args:
        config: whom to ask, and how.
        exchange: carries the bytes.
        secrets: what must not be shown; it learns the tokens.
        secret: the value of ``auth_env``, or empty.
    """

    def __init__(
        self, config: HttpConfig, exchange: Exchange, secrets: Secrets, *, secret: str
    ) -> None:
        self._config = config
        self._exchange = exchange
        self._secrets = secrets
        self._secret = secret
        self._token: str | None = None
        self._renewing = threading.Lock()

    def send(
        self, message: Message, values: Mapping[str, Any], *, cookies: httpx.Cookies | None = None
    ) -> bytes:
        """Make one attempt; the body of a good response.

        A token that is answered by 401 is renewed once.

        Raises:
            TransientError: it may succeed when it is made again.
            TargetError: it will not.
        """
        token = self._current()
        response = self._exchanged(message, values, cookies, self._signed(token))
        if response.status == EXPIRED and token is not None:
            response = self._exchanged(message, values, cookies, self._signed(self._renewed(token)))
        return self._good(message, response)

    def read(self, message: Message, content: bytes) -> Any:
        """The JSON of a body.

        Raises:
            TargetError: it is none.
        """
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise TargetError(
                f"{public_url(message.url)} did not answer JSON but {self.begin(content)}"
            ) from None

    def begin(self, content: bytes) -> str:
        """The beginning of a response, for an error, without secrets, also without half of one."""
        text = self._secrets.hide(content.decode("utf-8", "replace"))
        return repr(text[:SHOWN] + ("..." if len(text) > SHOWN else "")) if text else "nothing"

    def _exchanged(
        self,
        message: Message,
        values: Mapping[str, Any],
        cookies: httpx.Cookies | None,
        headers: dict[str, str],
    ) -> Response:
        whose = public_url(message.url)
        values = {**values, SECRET: self._secret}
        headers = {
            **{name: _header(name, value, values) for name, value in message.headers.items()},
            **headers,
        }
        url = in_address(message.url, values)
        request = message.request
        body: dict[str, Any] = {}
        try:
            if message.in_query:
                query = fields_of(request, values) if isinstance(request, dict) else {}
                place = with_query(url, query)
            else:
                place = httpx.URL(url)
                if isinstance(request, dict) and message.body == "form":
                    body = {"data": fields_of(request, values)}
                elif request:
                    body = {"json": render(request, values)}
        except httpx.InvalidURL as error:
            raise TargetError(
                f"the question to {whose} does not fit into an address: {error}",
                hint='if the service takes it, ask with method = "POST"',
            ) from None
        try:
            return self._exchange.send(
                message.method, place, headers=headers, cookies=cookies, whose=whose, **body
            )
        except NoResponse as error:
            raise TransientError(str(error)) from None

    def _good(self, message: Message, response: Response) -> bytes:
        """Only 2xx is an answer.

        A redirect is none, wherever it leads: the owner of that place did not agree, and the
        secret is not for it.
        """
        status, whose = response.status, public_url(message.url)
        if 200 <= status < 300:
            try:
                return decoded(response, max_bytes=self._config.max_bytes, whose=whose)
            except NoResponse as error:
                raise TransientError(str(error)) from None
        if status in TRANSIENT:
            raise TransientError(
                f"HTTP {status}", retry_after=retry_after(response.headers.get("retry-after", ""))
            )
        place = _redirects_to(message, response) if 300 <= status < 400 else None
        if place is not None:
            raise TargetError(
                f"{whose} answered HTTP {status}: it redirects to {place}; "
                "redirects are not followed",
                hint="if that address is right and yours to audit, name it as the url",
            )
        raise TargetError(
            f"{whose} answered HTTP {status}: {self.begin(response.content)}",
            hint=self._what_was_sent(message) if status in REFUSED else None,
        )

    def _what_was_sent(self, message: Message) -> str:
        """What may have been wrong with a key, by what happened."""
        config = self._config
        header = f"in the header {config.auth_header}"
        after = f" after {config.auth_prefix.strip()!r}" if config.auth_prefix.strip() else ""
        if isinstance(message, Token):
            return f"the token was asked for with the value of {config.auth_env or 'no auth_env'}"
        if config.token is not None:
            return (
                f"a token of {public_url(config.token.url)} was sent {header}{after}; it may lack "
                "the right to ask this"
            )
        if config.secret_travels:
            return (
                f"the value of {config.auth_env} was sent where the file names {{secret}}; it is "
                "wrong or expired, or may not ask this"
            )
        if config.auth_env is not None:
            return (
                f"the value of {config.auth_env} was sent {header}{after}; it is wrong or expired, "
                "or may not ask this, or belongs into another header (auth_header, auth_prefix)"
            )
        return "no secret was sent: name the environment variable that holds it as auth_env"

    def _signed(self, token: str | None) -> dict[str, str]:
        config = self._config
        held = "" if config.secret_travels else self._secret
        secret = held if token is None else token
        return {config.auth_header: config.auth_prefix + secret} if secret else {}

    def _current(self) -> str | None:
        """The token, asked for where there is none yet; None where none is used."""
        if self._config.token is None:
            return None
        return self._token if self._token is not None else self._renewed(None)

    def _renewed(self, old: str | None) -> str:
        """A token other than ``old``; several threads ask for one together."""
        message = self._config.token
        assert message is not None  # noqa: S101 - for the type checker
        with self._renewing:
            if self._token is not None and self._token != old:
                return self._token
            content = self._good(message, self._exchanged(message, {}, None, {}))
            token = value_in(self.read(message, content), message.response)
            if token is None or not fits_header(str(token)):
                raise TargetError(
                    f"{public_url(message.url)} gave no token where {message.response} points",
                    hint="set response of token to the JSONPath of the token",
                )
            self._secrets.learn(str(token))
            self._token = str(token)
            return self._token


def _header(name: str, template: str, values: Mapping[str, Any]) -> str:
    value = render(template, values)
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    if not fits_header(text):
        raise TargetError(
            f"what takes the place of the placeholders in the header {name} holds a character "
            "that no header may hold",
            hint="let it travel in request or url",
        )
    return text


def _redirects_to(message: Message, response: Response) -> str | None:
    """The address that a response names, where it is one."""
    if not response.place:
        return None
    try:
        return public_url(str(parsed_url(str(httpx.URL(message.url).join(response.place)))))
    except (httpx.InvalidURL, ValueError):
        return None
