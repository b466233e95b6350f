"""From the file that describes an HTTP target to the places that a proxy before it looks at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from recsec.errors import ConfigError
from recsec.serving.places import Places
from recsec.settings import checked
from recsec.targets.http.config import HttpConfig

__all__ = ["places_of", "read_upstream"]


def read_upstream(spec: str, traffic: Places | None) -> tuple[str, Places]:
    """Address and places of an API.

    Args:
        spec: ``http://host:port``, or a TOML file that describes an HTTP target.
        traffic: the places that the policy names; a file that names others is refused.

    Raises:
        ConfigError: nothing says where account and list stand, or two things do.
    """
    if spec.startswith(("http://", "https://")):
        address = urlsplit(HttpConfig.from_url(spec).url)
        if traffic is None:
            raise ConfigError(
                "an address does not say where account, history and list stand",
                hint="give --upstream the TOML file of an HTTP target, or the policy [traffic]",
            )
        return f"{address.scheme}://{address.netloc}{address.path.rstrip('/')}", traffic
    config = HttpConfig.load(spec)
    if traffic is not None:
        raise ConfigError(
            f"both {spec} and [traffic] of the policy say where account, history and list stand",
            hint="give --upstream the address alone, or leave [traffic] out",
        )
    address = urlsplit(config.url)
    return f"{address.scheme}://{address.netloc}", places_of(config, spec)


def places_of(config: HttpConfig, named: str = "the target file") -> Places:
    """The places of account, history and list in the question that a file describes.

    Raises:
        ConfigError: the question does not name the account, or in a way that cannot be read back.
    """
    found = dict(_places(config))
    if "account" not in found:
        raise ConfigError(
            f"{named} does not say where a request names the account by itself",
            hint='put "{account}" into request, headers or url, or use [traffic] of the policy',
        )
    address = urlsplit(config.url)
    told = {
        "path": address.path.partition("{")[0] or "/",
        "account": found["account"],
        "history": found.get("history") or found.get("item"),
        "list": config.response,
    }
    return checked(Places, told, where=named)


def _places(config: HttpConfig) -> Iterator[tuple[str, str]]:
    """Names of placeholders that fill a place of their own, and the place."""
    address = urlsplit(config.url)
    for number, part in enumerate(address.path.strip("/").split("/")):
        yield from _whole(part, f"path:{number}")
    fields: list[tuple[str, Any]] = list(parse_qsl(address.query))
    if config.in_query and isinstance(config.request, dict):
        fields += config.request.items()
    for name, value in fields:
        yield from _whole(value, f"query:{name}")
    for name, value in config.headers.items():
        yield from _whole(value, f"header:{name}")
    if not config.in_query and config.body == "json":
        yield from _inside(config.request, "$")


def _whole(value: Any, place: str) -> Iterator[tuple[str, str]]:
    found = re.fullmatch(r"\{(\w+)\}", value) if isinstance(value, str) else None
    if found is not None:
        yield found[1], place


def _inside(template: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(template, dict):
        for key, value in template.items():
            quoted = str(key).replace("\\", "\\\\").replace("'", "\\'")
            yield from _inside(value, f"{path}['{quoted}']")
    elif isinstance(template, list):
        for number, value in enumerate(template):
            many = "{item}" in str(value)
            yield from _inside(value, f"{path}[*]" if many else f"{path}[{number}]")
    else:
        yield from _whole(template, path)
