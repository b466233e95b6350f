"""APIs that know people: events first, then the question, and nothing stays."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from liar import good_list
from people import People

from recsec.data.catalog import Catalog
from recsec.errors import ConfigError, TargetError
from recsec.targets import CONTRACT, HttpConfig, HttpTarget
from recsec.targets.preflight import preflight

HISTORIES = np.array([[3, 5, 0], [8, 0, 0], [1, 2, 9]])
EXAMPLE = Path(__file__).parents[3] / "examples" / "target-sessions.toml"


@pytest.fixture
def shop():
    with People() as running:
        yield running


@pytest.fixture
def opened(shop):
    """``opened(key=value...)``: by default one event for each item, then a GET for the session."""
    targets = []

    def make(*, environ=None, user="{session}", **settings):
        events = {
            "url": f"{shop.url}/users/{user}/events",
            "request": {"sku": "{item}", "kind": "view"},
        }
        settings = {
            "url": f"{shop.url}/users/{user}/recommendations",
            "method": "GET",
            "request": {"limit": "{k}"},
            "response": "$.results[*].sku",
            "before": [events],
            "backoff": 0.0,
            "retries": 2,
            **settings,
        }
        config = HttpConfig.model_validate(settings)
        targets.append(HttpTarget(config, Catalog.from_ids(range(1, 41)), environ=environ or {}))
        return targets[-1]

    yield make
    for target in targets:
        target.close()


def expected(histories, k):
    rows = [[int(item) for item in row if item] for row in histories]
    lists = [[item for item in good_list(row, 40) if item not in row][:k] for row in rows]
    return np.array(lists)


def test_events_are_told_item_by_item_before_the_question(shop, opened):
    target = opened(concurrency=1)
    np.testing.assert_array_equal(target.query("ann", HISTORIES[:1], 4), expected(HISTORIES[:1], 4))
    methods = [(method, fields) for method, _, fields in shop.seen]
    assert methods == [
        ("POST", {"sku": 3, "kind": "view"}),
        ("POST", {"sku": 5, "kind": "view"}),
        ("GET", {}),
    ]
    assert len({path.split("/")[2] for _, path, _ in shop.seen}) == 1, "one session"
    assert target.requests == 3


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_a_new_session_for_each_question_keeps_the_contract(opened, check):
    check(opened(), HISTORIES)


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_so_does_one_user_whose_events_are_removed(shop, opened, check):
    remove = {"url": f"{shop.url}/users/{{account}}", "method": "DELETE"}
    check(opened(user="{account}", after=[remove], concurrency=1), HISTORIES)


def test_all_events_in_one_request_as_objects(shop, opened):
    events = {
        "url": f"{shop.url}/users/{{session}}/events",
        "request": {"events": [{"sku": "{item}", "kind": "view"}]},
    }
    lists = opened(before=[events]).query("ann", HISTORIES, 3)
    np.testing.assert_array_equal(lists, expected(HISTORIES, 3))
    sent = [fields["events"] for method, _, fields in shop.seen if method == "POST"]
    assert [{"sku": 3, "kind": "view"}, {"sku": 5, "kind": "view"}] in sent


def test_what_the_service_names_is_kept_and_what_is_not_told_is_left_out(shop, opened):
    begin = {"url": f"{shop.url}/visits", "keep": {"visit": "$.visit.id"}}
    events = {"url": f"{shop.url}/users/{{visit}}/events", "request": {"sku": "{item}"}}
    target = opened(before=[begin, events], url=f"{shop.url}/users/{{visit}}/recommendations")
    np.testing.assert_array_equal(target.query("ann", HISTORIES, 3), expected(HISTORIES, 3))


def test_cookies_are_kept_for_one_question_and_only_when_asked_for(shop, opened):
    begin = {"url": f"{shop.url}/visits"}
    events = {"url": f"{shop.url}/mine/events", "request": {"sku": "{item}"}}
    settings = {"before": [begin, events], "url": f"{shop.url}/mine/recommendations"}
    target = opened(cookies=True, **settings)
    np.testing.assert_array_equal(target.query("ann", HISTORIES, 3), expected(HISTORIES, 3))
    assert len(shop.events) == 3, "a visit for each question"
    with pytest.raises(ValueError, match="nothing keeps the events of one question"):
        opened(**settings)
    with pytest.raises(TargetError, match="HTTP 404"):
        opened(
            **{
                **settings,
                "before": [{**begin, "request": {"a": "{session}"}}, events],
                "request": {"limit": "{k}", "s": "{session}"},
            }
        ).query("ann", HISTORIES, 3)


@pytest.mark.hostile(kind="server", what="a user-id API that leaks events between users")
def test_state_that_leaks_between_users_is_noticed_before_anything_is_spent(shop, opened):
    shop.leaks = True
    with pytest.raises(TargetError, match="depends on what others asked") as caught:
        preflight(opened(concurrency=1), HISTORIES, 3)
    assert "{session}" in caught.value.hint


@pytest.mark.hostile(kind="server", what="a user-id API that forgets nothing when told to")
def test_a_removal_that_removes_nothing_is_noticed(shop, opened):
    shop.forgets = False
    remove = {"url": f"{shop.url}/users/{{account}}", "method": "DELETE"}
    with pytest.raises(TargetError, match="depends on what others asked"):
        preflight(opened(user="{account}", after=[remove], concurrency=1), HISTORIES, 3)


def test_a_failure_among_the_events_begins_the_question_anew(shop, opened):
    shop.fails = [503, 429]
    np.testing.assert_array_equal(
        opened(concurrency=1).query("ann", HISTORIES[:1], 3), expected(HISTORIES[:1], 3)
    )
    sessions = [path.split("/")[2] for method, path, _ in shop.seen if method == "POST"]
    assert len(set(sessions)) == 3, "no session of a failed attempt is asked again"


def test_what_a_failed_question_began_is_ended(shop, opened):
    remove = {"url": f"{shop.url}/users/{{account}}", "method": "DELETE"}
    target = opened(user="{account}", after=[remove], response="$.nothing")
    with pytest.raises(TargetError, match="nothing finds nothing"):
        target.query("ann", HISTORIES[:1], 3)
    assert shop.seen[-1][:2] == ("DELETE", "/users/ann")
    assert shop.events == {}


def test_a_step_that_is_refused_ends_the_question(shop, opened):
    shop.fails = [404]
    with pytest.raises(TargetError, match=r"/users/\{session\}/events answered HTTP 404: .*later"):
        opened(concurrency=1).query("ann", HISTORIES[:1], 3)


@pytest.mark.parametrize(
    ("request_", "pages", "asked"),
    [
        ({"limit": "{k}", "page": "{page}"}, {"size": 4}, 3),
        ({"limit": "{k}", "offset": "{offset}"}, {"size": 4}, 3),
        ({"limit": "{k}", "cursor": "{cursor}"}, {"size": 4, "next": "$.next"}, 3),
        ({"limit": "{k}", "offset": "{offset}"}, {}, 2),
    ],
)
def test_pages_are_asked_for_until_the_list_is_long_enough(shop, opened, request_, pages, asked):
    shop.largest = 7
    lists = opened(request=request_, pages=pages).query("ann", HISTORIES[1:2], 10)
    np.testing.assert_array_equal(lists, expected(HISTORIES[1:2], 10))
    assert sum(method == "GET" for method, _, _ in shop.seen) == asked


def test_the_last_page_ends_the_list(opened):
    target = opened(request={"limit": "{k}", "cursor": "{cursor}"}, pages={"next": "$.next"})
    lists = target.query("ann", HISTORIES[1:2], 40)
    assert (lists[0] > 0).sum() == 39
    assert lists[0][-1] == 0


TOKEN = {"body": "form", "request": {"client_secret": "{secret}"}}


def test_a_token_is_asked_for_once_and_again_when_it_ends(shop, opened):
    shop.token, shop.lives = "none yet", 4
    target = opened(
        token={**TOKEN, "url": f"{shop.url}/token"},
        concurrency=1,
        auth_env="SHOP_SECRET",
        environ={"SHOP_SECRET": "hush-hush"},
    )
    np.testing.assert_array_equal(target.query("ann", HISTORIES, 3), expected(HISTORIES, 3))
    assert shop.tokens == 3, "9 requests, 4 for each token"


def test_a_wrong_secret_is_named_by_what_happened(shop, opened):
    shop.token = "token-0"
    wrong = {"auth_env": "SHOP_SECRET", "environ": {"SHOP_SECRET": "not-this-one"}}
    with pytest.raises(TargetError, match="HTTP 401") as caught:
        opened(**wrong).query("ann", HISTORIES, 3)
    assert "the value of SHOP_SECRET was sent in the header Authorization after" in (
        caught.value.hint or ""
    )
    with pytest.raises(TargetError, match=r"/token answered HTTP 401: .*\*\*\* is no") as caught:
        opened(token={**TOKEN, "url": f"{shop.url}/token"}, **wrong).query("ann", HISTORIES, 3)
    assert caught.value.hint == "the token was asked for with the value of SHOP_SECRET"
    with pytest.raises(TargetError, match="HTTP 401") as caught:
        opened().query("ann", HISTORIES, 3)
    assert "no secret was sent" in (caught.value.hint or "")


def test_names_of_accounts_cannot_leave_their_place_in_the_address(shop, opened):
    remove = {"url": f"{shop.url}/users/{{account}}", "method": "DELETE"}
    opened(user="{account}", after=[remove]).query("a/../b?c", HISTORIES[:1], 3)
    assert shop.seen[-1][1] == "/users/a%2F..%2Fb%3Fc"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"request": {"limit": "{size}"}}, "the question names {size}, which is no placeholder"),
        ({"url": "http://localhost/{user}/x"}, "the question names {user}"),
        ({"headers": {"X-User": "{usr}"}}, "the question names {usr}"),
        ({"request": {"page": "{page}"}}, "the question names {page}"),
        ({"request": {"sku": "{item}"}}, "the question names {item} outside of a list"),
        ({"request": {"user": {"id": "{k}"}}}, "a query holds fields of texts, numbers and lists"),
        ({"url": "http://{account}.localhost/x"}, "cannot stand in the name of the host"),
        ({"before": []}, "must carry {history} somewhere"),
        ({"pages": {}}, "must carry {page}, {offset} or {cursor}"),
        ({"request": {"c": "{cursor}"}, "pages": {}}, "the setting next of pages go together"),
        ({"token": {"url": "http://localhost/t", "request": {"s": "{secret}"}}}, "auth_env must"),
        ({"token": {"url": "http://localhost/t", "request": {"s": "{k}"}}}, "token names {k}"),
        ({"after": [{"url": "http://localhost/{visit}"}]}, "after 1 names {visit}"),
        ({"before": [{"url": "http://localhost/{item}", "keep": {"k": "$.k"}}]}, "of its own"),
        ({"url": "http://localhost/x"}, "nothing keeps the events of one question from the next"),
    ],
)
def test_what_cannot_work_is_refused_before_any_request(shop, opened, change, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        opened(**change)
    assert shop.seen == []


def test_a_text_in_braces_is_written_with_two(shop, opened):
    opened(request={"limit": "{k}", "q": "{{k}}"}).query("ann", HISTORIES[:1], 3)
    assert shop.seen[-1][1].endswith("limit=3&q=%7Bk%7D")


def test_the_example_opens_and_names_every_setting(tmp_path):
    text = EXAMPLE.read_text(encoding="utf-8")
    config = HttpConfig.load(EXAMPLE)
    assert config.before[0].per_item
    shown = tomllib.loads(text)
    assert {"before", "after", "pages", "token", "cookies", "settle"} <= set(shown)
    broken = tmp_path / "target.toml"
    broken.write_text(text.replace("{item}", "{thing}"))
    with pytest.raises(ConfigError, match=r"before 1 names \{thing\}"):
        HttpConfig.load(broken)
