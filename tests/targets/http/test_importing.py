"""A target file from a curl command or an OpenAPI description, and a check of it over loopback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from liar import Liar

from recsec.cli.main import main
from recsec.errors import ConfigError
from recsec.targets import HttpConfig, read_guarded
from recsec.targets.http.imported.curl import from_curl
from recsec.targets.http.imported.guess import target_file
from recsec.targets.http.imported.openapi import from_openapi

AT = "http://127.0.0.1:8080"


def asked(command: str) -> dict[str, Any]:
    config = target_file(from_curl(command)).config
    return {"url": config.url, "method": config.method, "body": config.body, **{
        "request": config.request, "headers": config.headers}}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "method", "url", "request_"),
    [
        (
            f"""curl {AT}/r -H 'accept-encoding: gzip' -d '{{"clicked": [1, 2], "userId": "7",
            "page_size": 5, "max_price": 9, "lang": "de"}}'""",
            "POST", f"{AT}/r",
            {"clicked": "{history}", "userId": "{account}", "page_size": "{k}", "max_price": 9,
             "lang": "de"},
        ),
        (
            f"""curl -sS -XPUT '{AT}/r?limit=10&lang=de%26' --json '{{"events": [{{"sku": "a",
            "kind": "view"}}], "options": {{"num": 20}}}}'""",
            "PUT", f"{AT}/r?limit={{k}}&lang=de%26",
            {"events": [{"sku": "{item}", "kind": "view"}], "options": {"num": "{k}"}},
        ),
        (f"curl -G {AT}/r -d user=5 -d history=1,2 --data-urlencode 'k=10'", "GET", f"{AT}/r",
         {"user": "{account}", "history": "{history}", "k": "{k}"}),
        (f"curl \\\n '{AT}/r?seed=1&seed=2' \\\n -b sid=7", "GET", f"{AT}/r", {"seed": ["{item}"]}),
        (f"curl {AT}/r -d 'items=1,2&top_k=3' ", "POST", f"{AT}/r",
         {"items": "{history}", "top_k": "{k}"}),
        (f"curl {AT}/r -d '[1, 2]'", "POST", f"{AT}/r", ["{item}"]),
        (f"""curl {AT}/u/{{account}} -d '{{"a": [1], "b": [2], "c": "{{history}}"}}'""", "POST",
         f"{AT}/u/{{account}}", {"a": [1], "b": [2], "c": "{history}"}),
    ],
)  # fmt: skip
def test_a_curl_command_is_understood(command, method, url, request_) -> None:
    found = asked(command)
    assert (found["method"], found["url"], found["request"]) == (method, url, request_)
    assert found["headers"] == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (f"""curl {AT}/r -d '{{"clicked": "{{history}}", "w": "{{word}}"}}'""", "names {word}"),
        (f"curl {AT}/users/42/recs", "must carry {history}"),
        (f"curl '{AT}/r?api_key=abcdefgh&ids=1,2' -H 'X-Api-Key: 1'", "target file has"),
        (f"""curl {AT}/r -d '{{"ids": [1], "a": {{"token": "abcd"}}, "key": "e"}}'""", "has one"),
        (f"curl {AT}/r -H 'X-Api-Key: 1' -H 'Authorization: Basic x' -d '[1]'", "target file has"),
        (f"curl {AT}/r -F a=b", "unrecognized arguments: -F"),
        (f"curl {AT}/r -d @/etc/hostname", "in a file, which is not read"),
        (f"curl {AT}/r -d '[1]' | sh", "ends the curl command"),
        (f"curl {AT}/r -d $'[1]'", "only a shell can read"),
        (f"curl {AT}/r -d '[1]", "No closing quotation"),
        (f"curl {AT}/r {AT}/s -d '[1]'", "one address"),
        (f"curl {AT}/r -H 'content-type: application/json' -d 'a=1'", "no JSON object"),
        ("curl", "one address is expected, this has 0"),
        ("wget x", "no curl command"),
    ],
)  # fmt: skip
def test_a_curl_command_that_cannot_be_a_target_is_refused(words: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("{", r"\{")):
        asked(words)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    rows = [
        f"{user},{(user * 7 + step) % 40 + 1},{step}" for user in range(30) for step in range(8)
    ]
    (tmp_path / "shop.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    return "shop.csv"


def test_an_imported_target_is_checked_and_its_secret_stays_out(data, capsys, monkeypatch) -> None:
    with Liar() as server:
        Path("request.txt").write_text(
            f"""curl '{server.url}' \\\n  -H 'Authorization: Bearer s3cret-of-the-shop' \\
  -H 'X-Client: audit' --data-raw '{{"history":[12,7],"k":5,"user":"me"}}' --compressed\n"""
        )
        assert main(["target", "import", "--curl", "request.txt", "--json", "-q"]) == 0
        said = capsys.readouterr()
        found = json.loads(said.out)
        text = Path("target.toml").read_text()
        assert found["toml"] == text
        assert "s3cret" not in said.out + said.err + text
        assert 'body: history = "{history}"' in found["notes"]
        assert any("TARGET_SECRET" in one for one in found["notes"])
        assert main(["target", "import", "--curl", "request.txt", "-q"]) == 2
        assert "there already" in capsys.readouterr().err
        monkeypatch.setenv("TARGET_SECRET", "s3cret-of-the-shop")
        assert main(["target", "check", "target.toml", "--data", data, "--json", "-q"]) == 0
        assert json.loads(capsys.readouterr().out)["kind"] == "toml"
        _, _, headers, body = server.seen[0]
        assert headers["authorization"] == "Bearer s3cret-of-the-shop"
        assert headers["x-client"] == "audit"
        assert body == {"history": body["history"], "k": 10, "user": "owner"}


KEY = "k3y of+the/shop"
"""As an address writes it: k3y%20of%2Bthe%2Fshop."""


@pytest.mark.parametrize(
    "command",
    [
        "curl '{url}?api_key=k3y%20of%2Bthe%2Fshop&history=12,7&k=5'",
        """curl '{url}?api_key=k3y%20of%2Bthe%2Fshop' -d '{{"history": [12, 7], "k": 5}}'""",
        """curl {url} --json '{{"history": [2], "k": 5, "auth": {{"key": "k3y of+the/shop"}}}}'""",
    ],
    ids=["query", "query-of-post", "body"],
)
def test_a_secret_in_the_address_goes_to_the_environment_and_nowhere_else(
    command: str, data: str, capsys: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    caplog.set_level(0)
    with Liar() as server:
        words = ["target", "import", "--curl", command.format(url=server.url), "--json", "-q"]
        assert main(words) == 0
        said = capsys.readouterr()
        text = Path("target.toml").read_text()
        assert "{secret}" in text
        assert 'auth_env = "TARGET_SECRET"' in text
        assert any(
            "set TARGET_SECRET to the value of" in one for one in json.loads(said.out)["notes"]
        )
        check = ["target", "check", "target.toml", "--data", data, "--json", "-q"]
        monkeypatch.delenv("TARGET_SECRET", raising=False)
        assert main(check) == 2
        assert "TARGET_SECRET is not set" in capsys.readouterr().err
        monkeypatch.setenv("TARGET_SECRET", KEY)
        assert main(check) == 0
        method, path, headers, body = server.seen[0]
        sent = [body.get("api_key"), body.get("auth", {}).get("key"), unquote(path[-22:])]
        assert KEY in str(sent)
        assert "authorization" not in headers
        out = said.out + said.err + text + "".join(capsys.readouterr())
        server.otherwise = lambda handler: handler.send(  # it repeats what it was sent
            f"{handler.path} {json.dumps(handler.body)}".encode(), status=403
        )
        assert main(check) == 3
        refused = "".join(capsys.readouterr())
        assert "where the file names {secret}" in refused
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert f"HTTP Request: {method} {server.url}" in logged, "httpx logs addresses"
    for spelled in ("k3y", "of+the", "of%2Bthe"):
        assert spelled not in out + refused + logged


def test_placeholders_of_secrets_need_their_variable() -> None:
    with pytest.raises(ValueError, match="auth_env must name its variable"):
        HttpConfig(url=f"{AT}/r?key={{secret}}")
    assert not HttpConfig(url=AT, auth_env="KEY").secret_travels


def test_a_fault_of_the_whole_file_has_no_empty_place(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text(f'url = "{AT}/r"\n[request]\nk = "{{k}}"\n')
    with pytest.raises(ConfigError) as raised:
        HttpConfig.load(file)
    assert f"{file} does not fit: the request must carry {{history}}" in str(raised.value)
    file.write_text('guards = []\nmodel = "a"\ncheckpoint = "b"\n')
    with pytest.raises(ConfigError, match=r"t\.toml: value error, give either checkpoint"):
        read_guarded(file)


def described(port: int) -> dict[str, Any]:
    query = {"type": "object", "required": ["history"], "properties": {
        "history": {"type": "array", "items": {"type": "integer"}},
        "k": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "tenant": {"type": "string", "enum": ["de"]}, "debug": {"type": "boolean"},
    }}  # fmt: skip
    answer = {"type": "object", "properties": {
        "took": {"type": "number"}, "items": {"type": "array", "items": {"type": "integer"}},
    }}  # fmt: skip
    json_ = "application/json"
    return {
        "openapi": "3.1.0",
        "servers": [{"url": f"http://127.0.0.1:{port}"}],
        "components": {
            "schemas": {"Query": query, "Answer": answer},
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}},
        },
        "security": [{"key": []}],
        "paths": {
            "/recommend": {"post": {
                "requestBody": {"content": {json_: {
                    "schema": {"$ref": "#/components/schemas/Query"}}}},
                "responses": {"200": {"content": {json_: {
                    "schema": {"$ref": "#/components/schemas/Answer"}}}}},
            }},
            "/users/{user_id}/next": {"get": {
                "security": [],
                "parameters": [
                    {"name": "user_id", "in": "path", "schema": {"type": "string"}},
                    {"name": "limit", "in": "query", "schema": {"type": "integer"}},
                    {"name": "seen", "in": "query", "required": True, "example": ["a", "b"],
                     "schema": {"type": "array", "items": {"type": "string"}}},
                    {"name": "color", "in": "query", "schema": {"type": "string"}},
                ],
                "responses": {"200": {"content": {json_: {"schema": {
                    "type": "array", "items": {"type": "object", "properties": {
                        "score": {"type": "number"}, "sku": {"type": "string"}}}}}}}},
            }},
            "/strange": {"post": {"requestBody": {"content": {json_: {"schema": {
                "type": "object", "required": ["mood"],
                "properties": {"mood": {"type": "string"}}}}}}}},
        },
    }  # fmt: skip


def test_a_described_target_is_imported_and_checked(data, capsys, monkeypatch) -> None:
    with Liar() as server:
        Path("openapi.json").write_text(json.dumps(described(server.server_port)))
        words = ["target", "import", "--openapi", "openapi.json", "--path", "/recommend", "-q"]
        assert main(words) == 0
        assert "X-Api-Key" in capsys.readouterr().out
        text = Path("target.toml").read_text()
        assert 'request]\nhistory = "{history}"\nk = "{k}"\n' in text
        assert 'response = "$.items"' in text
        monkeypatch.setenv("TARGET_SECRET", "0123456789")
        assert main(["target", "check", "target.toml", "--data", data, "-q"]) == 0
        assert server.seen[0][2]["x-api-key"] == "0123456789"


def test_parameters_and_lists_of_objects_are_understood() -> None:
    found = target_file(from_openapi(described(80), "/users/{user_id}/next")).config
    assert found.url == "http://127.0.0.1:80/users/{account}/next"
    assert found.request == {"limit": "{k}", "seen": ["{item}"]}
    assert found.response == "$[*].sku"
    assert found.auth_env is None
    moved = from_openapi(described(80), "http://127.0.0.1:99/v1/recommend")
    assert target_file(moved).config.url == "http://127.0.0.1:99/v1/recommend"


@pytest.mark.parametrize(
    ("path", "said"),
    [("/absent", "no path /absent"), ("/strange", "requires mood, and nothing says what it holds")],
)
def test_what_a_description_does_not_say_is_refused(path: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        from_openapi(described(80), path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--curl", "nothing.txt"], "neither a curl command nor a file"),
        (["--openapi", "nothing.json", "--path", "/r"], "cannot read"),
        (["--openapi", "openapi.json"], "one example"),
        ([], "one example"),
        (["--openapi", "https://shop.example/openapi.json", "--path", "/r"], "not on this machine"),
    ],
)
def test_wrong_words_write_nothing(data, words, said, capsys) -> None:
    assert main(["target", "import", *words, "-q"]) == 2
    assert said in capsys.readouterr().err
    assert not Path("target.toml").exists()
