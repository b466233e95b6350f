"""The page through its socket: what it answers, whom it refuses, and how an attack ends."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from try_world import list_bench, photo_bench, served
from waiting import until

from recsec.trying import ListBench, PhotoBench, listen
from recsec.trying.app import MOST_ATTACKS
from recsec.trying.photos import Attack, Stopped

ATTACK = {"photo": 0, "target": 1, "levels": 12}


@pytest.fixture(scope="module")
def lists() -> ListBench:
    return list_bench()


@pytest.fixture(scope="module")
def photos() -> PhotoBench:
    return photo_bench()


@pytest.fixture(scope="module")
def page(lists: ListBench, photos: PhotoBench) -> Iterator[httpx.Client]:
    with served(lists, photos) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


def told(text: str) -> list[tuple[str, Any]]:
    """Names and data of server-sent events."""
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data[6:])) for name, data in blocks]


def pixels(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def test_lists_stand_side_by_side(page: httpx.Client) -> None:
    found = page.post("/api/lists", json={"history": [1, 2], "k": 4}).json()["lists"]
    assert [one["name"] for one in found] == ["original", "copy", "closed"]
    assert [item["item"] for item in found[0]["items"]] == [3, 4, 5, 6]
    assert [(item["item"], item["shared"]) for item in found[1]["items"]] == [
        (5, True), (6, True), (7, False), (8, False),
    ]  # fmt: skip
    assert found[1]["shared"] == 2
    assert found[2]["error"] == "the shop is closed"


def test_items_are_found_and_histories_taken(page: httpx.Client) -> None:
    popular = page.get("/api/items").json()["items"]
    title = popular[0]["title"]
    found = page.get("/api/items", params={"words": title}).json()["items"]
    assert title in [item["title"] for item in found]
    for kind in ("person", "random"):
        items = page.get("/api/history", params={"kind": kind}).json()["items"]
        assert items
        assert all(1 <= item["item"] <= 60 for item in items)


@pytest.mark.parametrize(
    "body",
    [
        {"history": [1] * 201},
        {"history": [61]},
        {"history": [0]},
        {"history": [], "k": 51},
        {"history": [], "k": 0},
        {"history": [], "other": 1},
    ],
)
def test_what_is_too_much_is_refused(page: httpx.Client, body: dict[str, Any]) -> None:
    assert page.post("/api/lists", json=body).status_code in (400, 422)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1:1"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_other_sites_are_refused(page: httpx.Client, headers: dict[str, str], status: int) -> None:
    for path in ("/api/start", "/api/pair", "/photos.js"):
        answer = page.get(path, headers=headers)
        assert answer.status_code == status
        assert "synthetic" not in answer.text


def test_a_link_from_another_site_opens_the_page_and_nothing_else(page: httpx.Client) -> None:
    assert page.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


def test_large_and_endless_bodies_are_refused(page: httpx.Client) -> None:
    assert page.post("/api/lists", content=b" " * 20_000).status_code == 413
    assert page.post("/api/lists", content=iter([b"{}"])).status_code == 411


@pytest.mark.parametrize("path", ["/", "/page.css", "/lists.js", "/api/start", "/nowhere"])
def test_headers_allow_nothing_from_elsewhere(page: httpx.Client, path: str) -> None:
    headers = page.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_an_attack_is_told_step_by_step(page: httpx.Client) -> None:
    answer = page.post("/api/attack", json=ATTACK)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = told(answer.text)
    names = [name for name, _ in events]
    assert names[0] == "start"
    assert names[-1] == "done"
    frames = [data for name, data in events if name == "frame"]
    done = events[-1][1]
    assert frames[0]["step"] == 0
    assert frames[0]["rank"] == done["rank_before"]
    original = pixels(frames[0]["picture"]).astype(int)
    for frame in [*frames, done]:
        assert abs(pixels(frame["picture"]).astype(int) - original).max() <= 12
    assert (pixels(frames[0]["difference"]) == 128).all()
    assert done["rank_after"] <= done["rank_before"]
    assert min(frame["rank"] for frame in frames) >= done["rank_after"]
    near = [one["row"] for one in events[0][1]["neighbors"]]
    assert len(near) == 10
    assert not {0, 1} & set(near)


def test_square_is_watched_too(photos: PhotoBench) -> None:
    events: list[str] = []

    def tell(name: str, _: dict[str, Any]) -> None:
        events.append(name)
        if events.count("frame") == 12:
            raise Stopped("seen enough")

    with pytest.raises(Stopped):
        photos.attack(Attack(0, 1, 1, attack="square"), tell)


@pytest.mark.parametrize(
    "change",
    [{"target": 0}, {"photo": 60}, {"levels": 0}, {"levels": 99}, {"encoder": 1}, {"attack": "x"}],
)
def test_an_attack_that_does_not_fit_is_refused(page: httpx.Client, change: dict[str, Any]) -> None:
    answer = page.post("/api/attack", json=ATTACK | change)
    assert answer.status_code == 422 or told(answer.text)[-1][0] == "problem"


def test_an_attack_stops_when_nobody_watches(photos: PhotoBench) -> None:
    frames = 0

    def tell(name: str, data: dict[str, Any]) -> None:
        nonlocal frames
        frames += name == "frame"
        if frames == 3:
            raise Stopped("gone")

    with pytest.raises(Stopped):
        photos.attack(Attack(0, 1, 1), tell)
    assert frames == 3


def test_few_attacks_run_at_a_time_and_leaving_frees_the_place(page: httpx.Client) -> None:
    slow = ATTACK | {"attack": "square", "levels": 1}
    open_ = [page.stream("POST", "/api/attack", json=slow) for _ in range(MOST_ATTACKS)]
    for one in open_:
        assert one.__enter__().status_code == 200
    try:
        refused = page.post("/api/attack", json=ATTACK)
    finally:
        for one in open_:
            one.__exit__(None, None, None)
    assert refused.status_code == 429
    assert "cancel one" in refused.json()["detail"]
    until(lambda: page.post("/api/attack", json=ATTACK).status_code == 200, "a free place")


def test_a_port_that_is_taken_is_said() -> None:
    from recsec.errors import UsageError

    opened, port = listen()
    opened.listen()
    with opened, pytest.raises(UsageError, match=f"port {port} is not free"):
        listen(port)
