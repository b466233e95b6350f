from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import liar
import numpy as np
import pytest
from liar import Liar, answers, good_list, raw, reset, slow, status, truncated

from recsec.data.catalog import Catalog
from recsec.errors import BudgetExhausted, ConfigError, RecsecError, TargetError, UsageError
from recsec.targets import (
    CONTRACT,
    Budget,
    HttpConfig,
    HttpTarget,
    MeteredTarget,
    PartialAnswer,
    Target,
)

HISTORIES = np.array([[3, 5, 0], [8, 0, 0], [1, 2, 9]])


@pytest.fixture
def catalog():
    return Catalog.from_ids(range(1, 41))


@pytest.fixture
def server():
    with Liar() as running:
        yield running


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def clock(self):
        return self.now


@pytest.fixture
def ask(server, catalog):
    """``ask(key=value...)``: a target with these settings, its time faked."""
    opened = []

    def make(*, environ=None, **settings):
        settings = {"url": server.url, "concurrency": 1, **settings}
        config = HttpConfig.model_validate(settings)
        time = Time()
        target = HttpTarget(
            config, catalog, environ=environ or {}, sleep=time.sleep, clock=time.clock
        )
        target.time = time
        opened.append(target)
        return target

    yield make
    for target in opened:
        target.close()


def expected(histories, k):
    return np.array([good_list([int(i) for i in row if i], k) for row in histories])


def test_a_bare_url_speaks_the_documented_protocol(server, catalog):
    with HttpTarget.from_spec(server.url, catalog) as target:
        assert isinstance(target, Target)
        lists = target.query("thief", HISTORIES, 4)
    np.testing.assert_array_equal(lists, expected(HISTORIES, 4))
    bodies = sorted((body["history"], body["k"]) for _, _, _, body in server.seen)
    assert bodies == [([1, 2, 9], 4), ([3, 5], 4), ([8], 4)]


def test_the_request_template_is_filled_in(server, ask):
    request = {
        "user": {"id": "{account}", "tag": "u-{account}"},
        "history": "{history}",
        "k": "{k}",
        "text": "{k} after {history}",
        "fixed": [1, "{k}", True],
    }
    ask(request=request, headers={"X-Client": "audit"}).query("ann", HISTORIES[:1], 2)
    _, _, headers, body = server.seen[0]
    assert headers["x-client"] == "audit"
    assert body == {
        "user": {"id": "ann", "tag": "u-ann"},
        "history": [3, 5],
        "k": 2,
        "text": "2 after 3,5",
        "fixed": [1, 2, True],
    }


def test_get_sends_query_parameters(server, ask):
    lists = ask(method="GET", url=server.url + "?v=1").query("a", HISTORIES, 3)
    np.testing.assert_array_equal(lists, expected(HISTORIES, 3))
    assert server.seen[0][1] == "/recommend?v=1&history=3%2C5&k=3"


@pytest.mark.parametrize(
    ("path", "document", "found"),
    [
        ("$.items", {"items": [4, 5]}, [4, 5, 0]),
        ("$.items", {"items": []}, [0, 0, 0]),
        ("$.data.results[*].id", {"data": {"results": [{"id": 4}, {"id": 5}]}}, [4, 5, 0]),
        ("$.data.results[*].id", {"data": {"results": [{"id": "4"}]}}, [4, 0, 0]),
        ("$.data.results[*].id", {"data": {"results": []}}, [0, 0, 0]),
        ("$", [7, 8, 9], [7, 8, 9]),
        ("$[*]", [], [0, 0, 0]),
    ],
)
def test_the_response_path_finds_the_ids(server, ask, path, document, found):
    server.otherwise = answers(document)
    assert ask(response=path).query("a", HISTORIES[:1], 3).tolist() == [found]


@pytest.mark.parametrize(
    ("behavior", "words"),
    [
        (answers({"items": [1, 2, 3, 4]}), "answered 4 items where 3 were asked for"),
        (answers({"items": [1, 2, 1]}), "named item 1 twice"),
        (answers({"items": [98, 99]}), "unknown item: item 98 is not among the 40 items"),
        (answers({"items": [1, "x"]}), "unknown item: 'x' is not an item id"),
        (answers({"items": [1, None]}), r"None \(NoneType\) is not an item id"),
        (answers({"items": [True]}), r"True \(bool\) is not an item id"),
        (answers({"items": [1.5]}), r"1.5 \(float\) is not an item id"),
        (answers({"items": [[1]]}), r"\[1\] \(list\) is not an item id"),
        (answers({"list": [1]}), r"where \$.items finds nothing"),
        (answers(None), r"where \$.items finds nothing"),
        (answers([1, 2]), r"where \$.items finds nothing"),
        (raw(b"<html>busy</html>"), "did not answer JSON but '<html>busy</html>'"),
        (raw(b""), "did not answer JSON but nothing"),
        (raw(b"\xff\xfe"), "did not answer JSON"),
        (raw(b"[" * 100_000), "did not answer JSON"),
        (raw(b" " * 2_000_000), "answered more than 1,000,000 bytes"),
        (status(404, b"no such page"), "HTTP 404: 'no such page'"),
        (status(401), "HTTP 401: nothing"),
        (status(302, location="/elsewhere"), "redirects to http://127.0.0.1:.*/elsewhere"),
        (status(307, location="http://evil.example/x?t=1"), "redirects to http://evil.example/x;"),
    ],
)
def test_a_lie_is_refused_at_once(server, ask, behavior, words):
    server.otherwise = behavior
    with pytest.raises(TargetError, match=words):
        ask().query("a", HISTORIES[:1], 3)
    assert len(server.seen) == 1, "no retry and no redirect"


@pytest.mark.parametrize(
    "behavior",
    [status(429), status(500), status(503), truncated, reset, status(502, b"x" * 10)],
    ids=["429", "500", "503", "truncated", "reset", "502"],
)
def test_a_passing_failure_is_tried_again(server, ask, behavior):
    server.script.extend([behavior, behavior])
    target = ask()
    np.testing.assert_array_equal(target.query("a", HISTORIES, 3), expected(HISTORIES, 3))
    assert len(server.seen) == 5
    first, second = target.time.slept
    assert 0.25 <= first <= 0.5 <= second <= 1.0, "doubled, with jitter"


def test_a_slow_answer_is_tried_again(server, ask):
    server.script.append(slow)
    lists = ask(timeout=0.2).query("a", HISTORIES[:1], 3)
    np.testing.assert_array_equal(lists, expected(HISTORIES[:1], 3))


@pytest.mark.parametrize(
    ("behavior", "words"),
    [
        (status(500), "no answer in 3 attempts: HTTP 500"),
        (slow, "no answer in 3 attempts: no response within 0.1 s"),
        (reset, "no answer in 3 attempts: (ReadError|RemoteProtocolError)"),
        (truncated, "no answer in 3 attempts: RemoteProtocolError"),
    ],
)
def test_a_lasting_failure_ends_with_its_reason(server, ask, behavior, words):
    server.otherwise = behavior
    with pytest.raises(TargetError, match=words) as caught:
        ask(retries=2, timeout=0.1 if behavior is slow else 10).query("a", HISTORIES[:1], 3)
    assert len(server.seen) == 3
    assert "run the same command again" in caught.value.hint


def test_a_dead_server_is_named(server, ask):
    target = ask(retries=1)
    server.die()
    with pytest.raises(TargetError, match=r":\d+/recommend gave no answer in 2 attempts: Conn"):
        target.query("a", HISTORIES, 3)


def test_retry_after_in_seconds_holds_back_the_next_request(server, ask):
    server.script.append(status(429, retry_after="7"))
    target = ask()
    target.query("a", HISTORIES[:1], 3)
    assert target.time.slept == [7.0]


def test_retry_after_as_a_date(server, ask):
    server.script.append(
        status(503, retry_after=format_datetime(datetime.now(UTC) + timedelta(seconds=20)))
    )
    target = ask()
    target.query("a", HISTORIES[:1], 3)
    assert 15 < target.time.slept[0] <= 20


def test_retry_after_that_makes_no_sense_is_ignored(server, ask):
    server.script.append(status(429, retry_after="soon"))
    target = ask()
    target.query("a", HISTORIES[:1], 3)
    assert 0.25 <= target.time.slept[0] <= 0.5


def test_retry_after_beyond_the_longest_wait_ends_the_run(server, ask):
    server.script.append(status(429, retry_after="3600"))
    with pytest.raises(TargetError, match=r"asks to wait 3600 s, more than max_wait \(60 s\)"):
        ask().query("a", HISTORIES[:1], 3)
    assert len(server.seen) == 1


def test_backoff_never_exceeds_the_longest_wait(server, ask):
    server.otherwise = status(500)
    target = ask(retries=8, max_wait=3.0)
    with pytest.raises(TargetError):
        target.query("a", HISTORIES[:1], 3)
    assert max(target.time.slept) <= 3.0


def test_the_rate_is_kept(server, ask):
    target = ask(rate=4.0)
    target.query("a", np.repeat(HISTORIES, 3, axis=0), 3)
    assert target.time.now == pytest.approx(8 / 4)


def test_requests_run_side_by_side(server, catalog):
    """Four requests that wait for each other: one at a time would never end."""
    import threading

    barrier = threading.Barrier(4, timeout=20)

    def together(handler):
        barrier.wait()
        liar.good(handler)

    server.otherwise = together
    histories = np.arange(1, 9)[:, None]
    with HttpTarget(HttpConfig(url=server.url, concurrency=4), catalog) as target:
        np.testing.assert_array_equal(target.query("a", histories, 2), expected(histories, 2))


def test_rows_answered_before_a_failure_are_kept(server, ask):
    server.script.extend([liar.good, status(404), liar.good])
    with pytest.raises(PartialAnswer) as caught:
        ask().query("a", HISTORIES, 3)
    assert caught.value.answered.tolist() == [True, False, False]
    np.testing.assert_array_equal(caught.value.lists[0], expected(HISTORIES[:1], 3)[0])
    assert len(server.seen) == 2, "nothing is started after a failure"


def test_a_collection_over_a_bad_line_asks_no_finished_query_twice(server, ask, tmp_path):
    """Killed again and again by failures, the same command finishes in the end."""

    def collect():
        target = ask(retries=0, concurrency=3)
        with MeteredTarget(target, budget=Budget(calls=24, k=3), folder=tmp_path) as meter:
            histories = np.arange(1, 7)[:, None]
            for _ in range(4):
                lists = meter.query("thief", histories, 3)
                histories = np.column_stack([histories, lists[:, 1]])
        return meter

    bad = [status(500), reset, raw(b"no"), truncated]
    fails = 0
    for at in (0, 1, 5, 8):
        server.script.extend([liar.good] * at + [bad[fails]])
        with pytest.raises(TargetError):
            collect()
        server.script.clear()
        fails += 1
    meter = collect()
    assert meter.transcript().complete == 24
    good = len(server.seen) - fails
    assert good == 24
    assert len(set(server.histories)) == 24
    with pytest.raises(BudgetExhausted):
        meter.query("thief", np.array([[1]]), 3)


def test_another_host_needs_permission(catalog):
    with pytest.raises(
        UsageError, match=r"http://shop.example/api is not on this machine"
    ) as caught:
        HttpTarget.from_spec("http://shop.example/api?key=hush", catalog)
    assert "--i-am-authorised" in caught.value.hint
    assert "hush" not in str(caught.value)
    HttpTarget.from_spec("http://shop.example/api", catalog, authorised=True).close()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:1/x", True),
        ("http://127.8.9.1/x", True),
        ("http://[::1]:5/x", True),
        ("http://localhost.example.com/x", False),
        ("http://127.0.0.1.example.com/x", False),
        ("http://10.0.0.1/x", False),
        ("https://0.0.0.0/x", False),
    ],
)
def test_what_counts_as_this_machine(catalog, url, local):
    if local:
        HttpTarget.from_spec(url, catalog).close()
    else:
        with pytest.raises(UsageError):
            HttpTarget.from_spec(url, catalog)


def test_the_secret_is_sent_and_never_shown(server, ask, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "s3cret-token"

    def echo(handler):
        shown = f"who is {handler.headers['authorization']}, {handler.headers['x-key']}?"
        handler.send(shown.encode())

    server.otherwise = echo
    target = ask(auth_env="TOKEN", headers={"X-Key": "other-secret"}, environ={"TOKEN": secret})
    with pytest.raises(TargetError) as caught:
        target.query("a", HISTORIES[:1], 3)
    assert server.seen[0][2]["authorization"] == f"Bearer {secret}"
    shown = " ".join([str(caught.value), repr(caught.value), repr(target), repr(target.config)])
    assert "who is Bearer ***, ***?" in shown
    assert secret not in shown + caplog.text
    assert "other-secret" not in shown + caplog.text


def test_a_missing_secret_is_named(ask):
    with pytest.raises(ConfigError, match="environment variable TOKEN is not set"):
        ask(auth_env="TOKEN")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "url: Field required"),
        ('url = "ftp://x/y"', "url: expected http://host/path"),
        ('url = "http://ann:pw@localhost/y"', "url: a URL must not hold a password"),
        ('url = "http://localhost/y"\nspeed = 3', "speed: Extra inputs are not permitted"),
        ('url = "http://localhost/y"\nresponse = "$$["', "is not a JSONPath"),
        ('url = "http://localhost/y"\nrequest = {k = "{k}"}', "must carry {history}"),
        ('url = "http://localhost/y"\ntimeout = 0', "timeout: Input should be greater than 0"),
        ("url = ", "cannot read the target file"),
    ],
)
def test_a_target_file_that_does_not_fit_is_explained(tmp_path, text, words):
    path = tmp_path / "target.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        HttpConfig.load(path)
    assert words in str(caught.value)
    assert "pw" not in str(caught.value)


def test_a_missing_target_file_is_named(tmp_path, catalog):
    with pytest.raises(RecsecError, match=r"absent\.toml"):
        HttpTarget.from_spec(str(tmp_path / "absent.toml"), catalog)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_contract(server, catalog, check):
    with HttpTarget.from_spec(server.url, catalog) as target:
        check(target, HISTORIES)


def test_the_example_file_is_complete_and_shows_the_defaults():
    path = Path(__file__).parents[3] / "examples" / "target.toml"
    config = HttpConfig.load(path)
    assert config == HttpConfig(url=config.url)
    text = path.read_text()
    assert [name for name in HttpConfig.model_fields if name not in text] == []
