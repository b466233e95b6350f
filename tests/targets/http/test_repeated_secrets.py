"""A server that repeats what it was sent: no error holds the secret."""

from __future__ import annotations

import json

import liar
import numpy as np
import pytest

from recsec.data.catalog import Catalog
from recsec.errors import ConfigError, TargetError
from recsec.targets import HttpConfig, HttpTarget

SECRET = 'pa"ss-wd-xyz'


@pytest.mark.hostile(kind="server", what="the secret in an id, a header, a page or a redirect")
@pytest.mark.parametrize(
    "behavior",
    [
        lambda h: h.send(json.dumps({"items": [h.headers["x-key"]]}).encode()),
        lambda h: h.send(json.dumps({"items": ["x" * 70 + h.headers["x-key"]]}).encode()),
        lambda h: h.send(json.dumps({"items": h.headers["x-key"]}).encode()),
        lambda h: h.send(json.dumps({"items": [1, {"a": h.headers["x-key"]}]}).encode()),
        lambda h: h.send(json.dumps({h.headers["x-key"]: 1}).encode()),
        lambda h: h.send(b"<p>" + b"-" * 190 + h.headers["x-key"].encode(), status=404),
        lambda h: h.send(repr(h.headers["x-key"]).encode(), status=400),
        lambda h: h.send(b"", status=302, headers={"location": "/x/" + h.headers["x-key"]}),
        lambda h: h.send(b"", status=302, headers={"location": "/pa%22ss-wd-xyz/"}),
        lambda h: h.send(b"", headers={"content-encoding": h.headers["x-key"]}),
        lambda h: h.connection.sendall(b"HTTP/1.1 " + h.headers["x-key"].encode() + b"\r\n\r\n"),
        lambda h: h.connection.sendall(
            b"HTTP/1.1 200 OK\r\n" + h.headers["x-key"].encode() + b" : 1\r\n\r\n"
        ),
    ],
    ids=range(12),
)
@pytest.mark.parametrize("whence", ["auth_env", "headers"])
def test_a_repeated_secret_is_in_no_error(server, ask, behavior, whence):
    def final(handler):
        handler.close_connection = True
        behavior(handler)

    server.otherwise = final
    settings = {"headers": {"X-Key": SECRET}}
    if whence == "auth_env":
        settings = {"auth_env": "KEY", "auth_header": "X-Key", "auth_prefix": ""}
    with pytest.raises(TargetError) as caught:
        ask(environ={"KEY": SECRET}, **settings)
    shown, error = "", caught.value
    while error is not None:
        shown += f"{error!r} {getattr(error, 'message', '')} {getattr(error, 'hint', '')}\n"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert "***" in shown
    for half in ("pa", "ss-wd", "xyz"):
        assert half not in shown.replace("path", "").replace("repartee", "")


def test_what_the_address_and_the_request_hold_is_a_secret_too(server, ask):
    server.otherwise = lambda h: h.send(f"{h.path} {json.dumps(h.body)}".encode(), status=400)
    with pytest.raises(TargetError) as caught:
        ask(
            url=server.url + "?api_key=abc-key-1",
            headers={"Authorization": "Basic dXNlcjpwYXNzd29yZA=="},
            request={"history": "{history}", "token": "abc-token-2"},
        )
    assert "/recommend?api_key=*** " in caught.value.message
    assert "abc-" not in caught.value.message


def test_an_id_that_holds_a_word_of_a_header_stays_an_id(server):
    catalog = Catalog.from_ids(["electronics-1", "electronics-2"])
    server.otherwise = liar.answers({"items": ["electronics-2"]})
    config = HttpConfig(url=server.url, headers={"X-Shop": "electronics"})
    with HttpTarget(config, catalog) as target:
        assert target.query("a", np.array([[1]]), 2).tolist() == [[2, 0]]


@pytest.mark.hostile(kind="server", what="a secret that no header may hold")
@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\x00", "é", " "])
def test_a_secret_that_fits_no_header_is_refused_at_once(catalog, server, end):
    secret = f"tok-abc123{end}"
    config = HttpConfig(url=server.url, auth_env="SHOP_TOKEN")
    with pytest.raises(ConfigError, match=r"the value of SHOP_TOKEN .* no header may hold") as env:
        HttpTarget(config, catalog, environ={"SHOP_TOKEN": secret})
    assert "tok" not in f"{env.value!r} {env.value.hint}"
