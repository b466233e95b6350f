"""A curl command as an example of a request. It is split and read, never run."""

from __future__ import annotations

import argparse
import json
import shlex
from typing import Any, NoReturn
from urllib.parse import parse_qsl, quote

from recsec.errors import ConfigError
from recsec.targets.http.imported.guess import Example

__all__ = ["from_curl"]

SWITCHES = (
    "-s --silent -S --show-error -k --insecure -L --location -i --include -v --verbose "
    "--compressed -f --fail -g --globoff -N --no-buffer --http1.1 --http2 -#"
)
"""Options without a value that change nothing of the request."""
VALUES = (
    "-o --output -m --max-time --connect-timeout --retry -w --write-out -A --user-agent -e "
    "--referer"
)
"""Such options with a value."""
OUTSIDE = ("|", "||", "&&", "&", ";", ">", ">>", "<")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(
            f"this curl command cannot be read: {message}",
            hint="leave out what the request does not need, or copy examples/target.toml",
        )


def _parser() -> _Parser:
    parser = _Parser(prog="curl", add_help=False, allow_abbrev=False)
    parser.add_argument("address", nargs="*")
    parser.add_argument("--url", action="append", default=[])
    parser.add_argument("-X", "--request", dest="method")
    parser.add_argument("-H", "--header", action="append", default=[])
    names = ("-d", "--data", "--data-raw", "--data-binary", "--data-ascii")
    parser.add_argument(*names, dest="data", action="append", default=[])
    parser.add_argument("--data-urlencode", dest="encoded", action="append", default=[])
    parser.add_argument("--json", action="append", default=[])
    parser.add_argument("-G", "--get", action="store_true")
    parser.add_argument("-u", "--user")
    parser.add_argument("-b", "--cookie")
    for name in SWITCHES.split():
        parser.add_argument(name, action="store_true", dest="ignored")
    for name in VALUES.split():
        parser.add_argument(name, dest="ignored_value")
    return parser


def from_curl(command: str) -> Example:
    """The request that a curl command sends.

    Args:
        command: as it is typed, or copied from a browser "as cURL (bash)".

    Raises:
        ConfigError: it is no curl command, has options that change more than the request, reads
            files, or is more than one command.
    """
    if "$'" in command:
        raise ConfigError(
            "this curl command holds $'...', which only a shell can read",
            hint="write that text between plain quotes",
        )
    try:
        words = shlex.split(command.replace("\\\n", " ").replace("\\\r\n", " "))
    except ValueError as error:
        raise ConfigError(f"this curl command cannot be read: {error}") from error
    if not words or words[0].rpartition("/")[2] != "curl":
        raise ConfigError("this is no curl command: it does not begin with curl")
    outside = [word for word in words if word in OUTSIDE]
    if outside:
        raise ConfigError(f"{outside[0]!r} ends the curl command", hint="give that command alone")
    found = _parser().parse_args(words[1:])
    addresses = [*found.url, *found.address]
    if len(addresses) != 1:
        raise ConfigError(f"a curl command with one address is expected, this has {len(addresses)}")
    headers = dict(_header(line) for line in found.header)
    if found.cookie:
        headers["Cookie"] = found.cookie
    if found.user:
        headers["Authorization"] = "Basic -"
    url = addresses[0] if "://" in addresses[0] else f"http://{addresses[0]}"
    data = "".join(found.json) or "&".join([*found.data, *map(_encoded, found.encoded)])
    if any(one.startswith("@") for one in (*found.data, *found.json)):
        raise ConfigError("the body of this curl command is in a file, which is not read",
                          hint="write its content in place of @file")  # fmt: skip
    if data and found.get:
        url, data = f"{url}{'&' if '?' in url else '?'}{data}", ""
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    request, form = _body(data, is_json=bool(found.json) or "json" in kind)
    method = (found.method or ("POST" if data else "GET")).upper()
    return Example(url=url, method=method, headers=headers, request=request, form=form)


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def _encoded(text: str) -> str:
    name, equals, value = text.partition("=")
    return f"{name}{equals}{quote(value, safe='{}')}"


def _body(data: str, *, is_json: bool) -> tuple[Any, bool]:
    """The fields of a body, and whether it is a form."""
    if not data:
        return None, False
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict | list):
        return found, False
    if is_json:
        raise ConfigError("the body of this curl command is no JSON object or list")
    fields = parse_qsl(data, keep_blank_values=True)
    if not fields:
        raise ConfigError("the body of this curl command is neither JSON nor a form")
    return dict(fields), True
