"""Webhooks against a real server that fails as it is told."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from service_world import Serve

from recsec.cli.main import main
from recsec.errors import ConfigError
from recsec.serving.webhooks import Sender, Webhook, sample

RULE = {"name": "haste", "more_than": 1, "within": "1h", "action": "block", "duration": "1h"}


class Receiver(ThreadingHTTPServer):
    """Keeps what comes; answers the statuses that it is given, then 204."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.came: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hooks/s3cret?token=t0ken"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.came.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_decision_is_told_signed_and_in_own_words(
    serve: Serve, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", "shh")
    hook = {
        "url": receiver.url,
        "secret_env": "HOOK",
        "actions": ["block"],
        "body": {"text": "{rule}: {action} of {subject} ({mode})", "n": "{number}"},
    }
    rules = [{**RULE, "enforce": True}, {**RULE, "name": "quiet", "action": "tag"}]
    service = serve({"enforce": True, "rules": rules, "webhooks": [hook]})
    for _ in range(3):
        body = {"account": "mallory", "history": [3], "k": 5}
        service.client.post("/v1/recommend", json=body)
        service.engine.settle()
    service.engine.hooks.close()
    ((headers, body_sent),) = receiver.came
    subject = service.engine.names.account("mallory")
    assert json.loads(body_sent) == {"text": f"haste: block of {subject} (enforced)", "n": 1}
    at, told = (part.partition("=")[2] for part in headers["x-recsec-signature"].split(","))
    right = hmac.new(b"shh", f"{at}.".encode() + body_sent, hashlib.sha256).hexdigest()
    assert told == right
    assert headers["x-recsec-decision"].startswith("d-")
    logged = [one for one in service.logged if one["event"] == "webhook"]
    assert [one["became"] for one in logged] == ["delivered"]
    assert "s3cret" in str(logged), "a path is public; put secrets into the query"
    assert "t0ken" not in str(service.logged)
    metrics = service.client.get("/metrics").text
    assert 'recsec_webhooks_total{became="delivered"} 1.0' in metrics


def test_what_fails_is_sent_again_and_then_given_up(receiver: Receiver) -> None:
    became: list[str] = []
    waits: list[float] = []
    receiver.statuses = [500, 302, 204, *[503] * 5]
    sender = Sender(
        [Webhook(url=receiver.url, shadow=True)],
        lambda how, words: became.append(how),
        wait=lambda seconds: bool(waits.append(seconds)),
    )
    sender.tell(sample(0.0))
    sender.tell(sample(1.0))
    sender.close()
    assert became == ["delivered", "failed"]
    assert waits == [2.0, 4.0, 2.0, 4.0, 8.0, 16.0]
    assert len(receiver.came) == 3 + 5


def test_nobody_waits_for_a_hook_that_is_dead(serve: Serve, receiver: Receiver) -> None:
    dead = receiver.url.replace(str(receiver.server_address[1]), "1")
    rules = [{**RULE, "enforce": True}]
    service = serve({"enforce": True, "rules": rules, "webhooks": [{"url": dead}]})
    for _ in range(3):
        body = {"account": "mallory", "history": [3], "k": 5}
        status = service.client.post("/v1/recommend", json=body).status_code
        service.engine.settle()
    assert status == 429


def test_the_commands_try_a_hook_and_tell_it_again(
    serve: Serve, receiver: Receiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = serve({"enforce": True, "rules": [{**RULE, "enforce": True}]})
    for _ in range(2):
        service.client.post("/v1/recommend", json={"account": "m", "history": [3], "k": 5})
        service.engine.settle()
    (decision,) = service.engine.ledger.active()
    policy = tmp_path / "hooks.toml"
    policy.write_text(f'[[webhooks]]\nurl = "{receiver.url}"\n')
    words = ["--policy", str(policy), "--json"]
    assert main(["monitor", "webhook", "test", *words]) == 0
    assert json.loads(receiver.came[0][1])["id"] == "d-test"
    again = ["monitor", "webhook", "resend", decision.id, "--state", str(tmp_path / "state")]
    capsys.readouterr()
    assert main([*again, *words]) == 0
    assert json.loads(capsys.readouterr().out)["webhooks"][0]["delivered"]
    assert json.loads(receiver.came[1][1])["rule"] == "haste"
    receiver.statuses = [500]
    assert main([*again, *words]) == 3
    assert "t0ken" not in capsys.readouterr().err
    again[3] = "d-0"
    assert main([*again, *words]) == 2


def test_a_hook_that_cannot_work_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOK", raising=False)
    with pytest.raises(ConfigError, match="HOOK is not set"):
        Sender([Webhook(url="http://127.0.0.1:1", secret_env="HOOK")], lambda how, words: None)
    with pytest.raises(ValidationError, match="no placeholder"):
        Webhook(url="http://127.0.0.1:1", body={"a": "{account}"})
    with pytest.raises(ValidationError, match="expected http"):
        Webhook(url="file:///etc/passwd")
