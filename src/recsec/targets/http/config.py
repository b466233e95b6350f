"""Settings of an HTTP target, from a TOML file or from a bare URL."""

from __future__ import annotations

import base64
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from recsec.errors import ConfigError
from recsec.targets.http.addresses import is_header_name, parsed_url, public_url
from recsec.targets.http.messages import Message, Pages, Request, Step, Token, is_a_path
from recsec.targets.http.placeholders import EVERYWHERE, PAGED, SECRET
from recsec.targets.http.recommenders import recommender_of, split_name
from recsec.text import placed

__all__ = ["HttpConfig", "explained"]

HISTORY: Final = "{history}"
CARRIERS: Final = frozenset({"history", "item"})
OWN: Final = frozenset({"session", "session_number"})
"""Placeholders that are new for each question."""
DESCRIBING: Final = frozenset(
    {"accept", "accept-encoding", "accept-language", "content-type", "user-agent"}
)
"""Headers that hold no secret."""
SHORTEST_SECRET: Final = 6
LONGEST_KEY: Final = 1000


def _fixed(template: Any) -> list[str]:
    """The texts of a request that stay as they are."""
    if isinstance(template, dict):
        return [text for value in template.values() for text in _fixed(value)]
    if isinstance(template, list):
        return [text for value in template for text in _fixed(value)]
    return [template] if isinstance(template, str) and "{" not in template else []


def _basic(scheme: str, rest: str) -> list[str]:
    """Name and password of a header in the Basic scheme, together and apart."""
    if scheme.lower() != "basic":
        return []
    try:
        pair = base64.b64decode(rest, validate=True).decode("utf-8")
    except ValueError:
        return []
    return [pair, *pair.split(":", 1)]


class HttpConfig(Message):
    """How to ask a recommender over HTTP: one question, with the requests before and after it.

    Placeholders in ``url``, ``headers`` and ``request``: ``{history}``, the list of external ids,
    oldest first; ``{item}``, each of them; ``{k}``, the number; ``{account}``, who asks;
    ``{session}`` and ``{session_number}``, a name and a number that no other question has had;
    ``{secret}``, the value of ``auth_env``, which is then sent there in place of a header.
    """

    recommender: str | None = Field(None, description="which of those behind the address it is")
    beside: tuple[str, ...] = Field((), description="all of them, where there are several")
    request: Request = Field({"history": HISTORY, "k": "{k}"}, repr=False)
    response: str = Field("$.items", description="JSONPath to the list of ids, or to each id")
    before: tuple[Step, ...] = Field((), description="requests before each question")
    after: tuple[Step, ...] = Field((), description="requests after each question")
    settle: float = Field(0.0, ge=0, description="seconds between before and the question")
    pages: Pages | None = None
    cookies: bool = Field(False, description="keep cookies among the requests of one question")
    auth_env: str | None = Field(None, description="environment variable that holds the secret")
    auth_header: str = "Authorization"
    auth_prefix: str = Field("Bearer ", description="what precedes the secret in the header")
    token: Token | None = None
    timeout: float = Field(10.0, gt=0, description="seconds for one attempt")
    retries: int = Field(5, ge=0, description="further attempts after the first")
    backoff: float = Field(0.5, ge=0, description="seconds before the first retry, then doubled")
    max_wait: float = Field(60.0, ge=0, description="longest wait before a retry, in seconds")
    rate: float | None = Field(None, gt=0, description="requests per second, all together")
    concurrency: int = Field(4, ge=1, le=256, description="requests under way at a time")
    max_bytes: int = Field(1_000_000, gt=0, description="largest response that is read")

    def messages(self) -> tuple[Message, ...]:
        """Every request that it describes."""
        token = () if self.token is None else (self.token,)
        return (self, *self.before, *self.after, *token)

    @property
    def secret_travels(self) -> bool:
        """Whether the secret stands in the requests where they say so, and in no other header."""
        return any(SECRET in one.mentions() for one in (self, *self.before, *self.after))

    def decides(self) -> dict[str, Any]:
        """The part on which answers depend: whom to ask, and how to read what comes back."""
        asked = {"url", "method", "request", "response"}
        around = {"body", "before", "after", "pages", "cookies", "recommender"}
        return {
            **self.model_dump(mode="json", include=asked),
            **self.model_dump(mode="json", include=around, exclude_defaults=True),
        }

    @model_validator(mode="before")
    @classmethod
    def _asks_what_the_rest_does_not(cls, data: Any) -> Any:
        """No default request where the history travels in the address or before the question."""
        if isinstance(data, dict) and "request" not in data:
            elsewhere = str([data.get(part) for part in ("url", "headers", "before")])
            if any(f"{{{name}}}" in elsewhere for name in CARRIERS):
                return {**data, "request": {}}
        return data

    @field_validator("auth_header")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not is_header_name(name):
            raise ValueError(f"{name!r} is not the name of a header")
        return name

    @field_validator("response")
    @classmethod
    def _is_a_path(cls, path: str) -> str:
        return is_a_path(path)

    @model_validator(mode="after")
    def _knows_its_placeholders(self) -> Self:
        known = {*EVERYWHERE, *(() if self.auth_env is None else (SECRET,))}
        if self.auth_env is None and self.secret_travels:
            raise ValueError("a request names {secret}, so auth_env must name its variable")
        for number, step in enumerate(self.before, 1):
            _all_known(f"before {number}", step, known)
            taken = set(step.keep) & {*EVERYWHERE, *PAGED, SECRET}
            if taken:
                raise ValueError(f"before {number}: {min(taken)!r} is a placeholder of its own")
            known |= set(step.keep)
        for number, step in enumerate(self.after, 1):
            _all_known(f"after {number}", step, known)
        _all_known("the question", self, known | set(PAGED if self.pages else ()))
        if self.token is not None:
            _all_known("token", self.token, {SECRET})
            if SECRET in self.token.mentions() and self.auth_env is None:
                raise ValueError("token names {secret}, so auth_env must name its variable")
        if self.pages is not None and not set(PAGED) & self.mentions():
            raise ValueError("with pages the question must carry {page}, {offset} or {cursor}")
        if ("cursor" in self.mentions()) != (self.pages is not None and bool(self.pages.next)):
            raise ValueError("{cursor} and the setting next of pages go together")
        return self

    @model_validator(mode="after")
    def _carries_the_history(self) -> Self:
        told = any(CARRIERS & step.mentions() for step in self.before)
        if self.per_item:
            raise ValueError(
                "the question names {item} outside of a list; requests for each item go before it"
            )
        if not told and not CARRIERS & self.mentions():
            raise ValueError(f"the request must carry {HISTORY} somewhere, or steps before it")
        kept = {name for step in self.before for name in step.keep}
        if told and not (self.after or self.cookies or (OWN | kept) & self.mentions()):
            raise ValueError(
                "nothing keeps the events of one question from the next: name the user by "
                "{session} (new for each question), or remove the events by a step in after"
            )
        return self

    def confidential(self) -> Iterator[str]:
        """The values that may be secret: of headers, of the query and fixed ones of the requests.

        Those shorter than 6 characters are left out: they guard nothing, and words are not to be
        torn. Fixed texts beyond a thousand are no keys.
        """
        return (
            value
            for message in self.messages()
            for value in _fixed_values(message)
            if len(value) >= SHORTEST_SECRET
        )

    @property
    def name(self) -> str:
        """Whom it asks, without what may be secret."""
        address = public_url(self.url)
        return address if self.recommender is None else f"{address}#{self.recommender}"

    @classmethod
    def load(cls, spec: Path | str) -> Self:
        """Read a TOML file, or one recommender of it: ``FILE#NAME``.

        Raises:
            ConfigError: the file is missing, is no TOML, or a setting does not fit.
        """
        path, name = split_name(str(spec))
        try:
            values = tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8"))
            return cls.model_validate(recommender_of(values, name, file=path))
        except RecursionError:
            raise ConfigError(f"the target file {path} is nested too deep") from None
        except ValidationError as error:
            raise ConfigError(explained(str(path), error)) from error
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot read the target file {path}: {error}") from error

    @classmethod
    def from_url(cls, url: str) -> Self:
        """The defaults: POST ``{"history": [...], "k": k}``, answered by ``{"items": [...]}``.

        Raises:
            ConfigError: not an HTTP address.
        """
        try:
            return cls.model_validate({"url": url})
        except ValidationError as error:
            raise ConfigError(explained(public_url(url), error)) from error


def explained(source: str, error: ValidationError) -> str:
    """The problems without the values, which may be secret."""
    lines = [
        placed(problem["loc"], problem["msg"].removeprefix("Value error, "))
        for problem in error.errors(include_input=False, include_url=False)
    ]
    return f"the HTTP target {source} does not fit: {'; '.join(lines)}"


def _fixed_values(message: Message) -> Iterator[str]:
    yield from (
        value for _, value in parsed_url(message.url).params.multi_items() if "{" not in value
    )
    yield from (text for text in _fixed(message.request) if len(text) <= LONGEST_KEY)
    for name, value in message.headers.items():
        if name.lower() not in DESCRIBING:
            scheme, _, rest = value.rpartition(" ")
            yield from (value, rest, *_basic(scheme, rest))


def _all_known(where: str, message: Message, known: set[str]) -> None:
    """Refuse placeholders that nothing takes the place of."""
    unknown = sorted(message.mentions() - known)
    if unknown:
        names = ", ".join(f"{{{name}}}" for name in sorted(known))
        raise ValueError(
            f"{where} names {{{unknown[0]}}}, which is no placeholder there; known are {names}; "
            f"a text in braces is written {{{{{unknown[0]}}}}}"
        )
