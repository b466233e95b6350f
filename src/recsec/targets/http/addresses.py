"""Addresses and headers: what may stand in them, and what of them may be shown."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx

__all__ = ["fits_header", "is_header_name", "is_loopback", "parsed_url", "public_url"]

NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE: Final = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?")
LAST_PORT: Final = 65535


def parsed_url(url: str) -> httpx.URL:
    """The URL as the client that sends the requests reads it.

    Raises:
        ValueError: no http or https, no host, or a port that there is not.
    """
    try:
        parsed = httpx.URL(url)
        host = parsed.host  # decoded here, where it can fail
    except (httpx.InvalidURL, ValueError):
        raise ValueError("expected http://host/path or https://host/path") from None
    if parsed.scheme not in ("http", "https") or not host:
        raise ValueError("expected http://host/path or https://host/path")
    if parsed.port is not None and not 0 < parsed.port <= LAST_PORT:
        raise ValueError(f"there is no port {parsed.port}; the last is {LAST_PORT}")
    return parsed


def public_url(url: str) -> str:
    """A URL without what may be secret: user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "that is no URL"
    place = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, f"{place}:{port}" if port else place, parts.path, "", ""))


def fits_header(value: str) -> bool:
    """May a header hold this? Printed ASCII, and blanks inside; no line end, also not the last."""
    return VALUE.fullmatch(value) is not None


def is_loopback(url: str) -> bool:
    """Does the URL name this machine? Names other than ``localhost`` are not resolved."""
    host = parsed_url(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_header_name(name: str) -> bool:
    """May a header be called this?"""
    return NAME.fullmatch(name) is not None
