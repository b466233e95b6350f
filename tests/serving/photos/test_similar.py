"""Visual neighbors over HTTP: right ones, counted, screened, and nothing hostile gets far."""

from __future__ import annotations

import asyncio
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image
from service_world import Serve, Service
from small_photos import encode, picture

from recsec.errors import ConfigError
from recsec.screening import RATES
from recsec.serving.batching import Busy
from recsec.serving.photos import BYTES, Held, NoPhoto, Shop
from recsec.serving.policy import SCREENED, Policy, check_screens

ENFORCED = {"enforce": True}
FLAG = {"name": "fake", "evidence": "screen", "p_value": 0.01, "duration": "1h"}
HASTE = {"name": "haste", "more_than": 3, "within": "1h", "duration": "10m"}


def by_item(service: Service, item: Any, k: int = 5, account: str = "ann") -> Any:
    body = {"account": account, "item": item, "k": k}
    answer = service.client.post("/v1/similar", json=body)
    service.engine.settle()
    return answer


def upload(service: Service, photo: bytes, *, kind: str = "image/png", **query: Any) -> Any:
    answer = service.client.post(
        "/v1/similar",
        content=photo,
        headers={"Content-Type": kind},
        params={"account": "ann", **query},
    )
    service.engine.settle()
    return answer


def own_photo(shop: Shop, row: int, form: str = "PNG", **options: Any) -> bytes:
    pixels = shop.photos.pixels([row], shop.encoder.size)[0]
    return encode(Image.fromarray(pixels.transpose(1, 2, 0)), form, **options)


def plain_neighbors(shop: Shop, row: int, k: int) -> list[Any]:
    cosines = (shop.catalog.vectors @ shop.catalog.vectors[row]).double().numpy()
    cosines[row] = -2
    return shop.ids(np.argsort(-cosines, kind="stable")[:k].tolist())


def odd_photo(seed: int = 0) -> bytes:
    """Noise: no squeezed copy of it looks like it."""
    rng = np.random.default_rng(seed)
    return encode(Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)))


def test_an_items_neighbors_are_those_of_the_index(serve: Serve, shop: Shop) -> None:
    service = serve(shop=shop)
    for row in (0, 7, 119):
        answer = by_item(service, shop.ids([row])[0])
        assert answer.json() == {"items": plain_neighbors(shop, row, 5)}
    assert len(by_item(service, shop.ids([0])[0], 50).json()["items"]) == 50
    assert service.client.post("/v1/recommend", json={"history": [3]}).status_code == 200


def test_a_photo_finds_itself_and_its_listing_is_left_out(serve: Serve, shop: Shop) -> None:
    service, item = serve(shop=shop), shop.ids([7])[0]
    near = plain_neighbors(shop, 7, 4)
    assert upload(service, own_photo(shop, 7), k=5).json()["items"] == [item, *near]
    assert upload(service, own_photo(shop, 7), k=4, listing=item).json()["items"] == near
    jpeg = own_photo(shop, 7, "JPEG", quality=95)
    assert item in upload(service, jpeg, kind="image/jpeg; q=1", k=5).json()["items"]


def test_photos_alone_are_served_without_a_recommender(serve: Serve, shop: Shop) -> None:
    service = serve(shop=shop, alone=True)
    assert by_item(service, shop.ids([0])[0]).status_code == 200
    assert service.client.post("/v1/recommend", json={"history": [3]}).status_code == 404
    assert service.client.get("/readyz").status_code == 200


@pytest.mark.parametrize("action", ["observe", "block"])
def test_requests_count_for_rates_whatever_they_ask(serve: Serve, shop: Shop, action: str) -> None:
    service = serve({**ENFORCED, "rules": [{**HASTE, **ENFORCED, "action": action}]}, shop=shop)
    for row in range(2):
        by_item(service, shop.ids([row])[0])
        upload(service, own_photo(shop, row))
    assert service.engine.ledger.active()
    blocked = action == "block"
    for answer in (by_item(service, shop.ids([5])[0]), upload(service, own_photo(shop, 5))):
        assert answer.status_code == (429 if blocked else 200)
        assert ("retry-after" in answer.headers) == blocked
    assert by_item(service, shop.ids([5])[0], account="bob").status_code == 200


def test_a_flagged_photo_is_refused_at_once_and_its_account_for_a_while(
    serve: Serve, shop: Shop
) -> None:
    rules = [{**FLAG, **ENFORCED, "action": "block"}]
    service = serve({**ENFORCED, "rules": rules}, shop=shop)
    item = shop.ids([7])[0]
    assert upload(service, own_photo(shop, 7), listing=item).status_code == 200
    refused = upload(service, odd_photo(), listing=item)
    assert refused.status_code == 429
    decision = service.engine.store.decision(refused.json()["decision"])
    assert decision is not None
    screen = decision.evidence["screen"]
    assert screen["scores"]["panel"] > screen["threshold"]
    assert set(screen["scores"]) == {"consistency", "hubs", "neighbors", "relisting", "panel"}
    assert (screen["listing"], screen["level"]) == (str(item), 0.01)
    assert upload(service, own_photo(shop, 7)).status_code == 429
    assert by_item(service, item, account="bob").status_code == 200


def test_in_shadow_a_flagged_photo_is_answered_as_without_rules(serve: Serve, shop: Shop) -> None:
    plain = serve(shop=shop, state="plain")
    service = serve({"rules": [{**FLAG, "action": "block"}]}, shop=shop)
    for listing in ({}, {"listing": shop.ids([7])[0]}):
        answers = [upload(one, odd_photo(), **listing) for one in (plain, service)]
        assert answers[0].content == answers[1].content
        assert answers[1].status_code == 200
    (decision,) = service.engine.ledger.active()
    assert (decision.rule, decision.enforced) == ("fake", False)
    assert set(decision.evidence["screen"]["scores"]) == {"consistency", "hubs", "panel"}


@pytest.mark.parametrize("action", ["shorten", "decoy", "tag"])
def test_actions_of_a_screen_change_the_answer(serve: Serve, shop: Shop, action: str) -> None:
    rule = {**FLAG, **ENFORCED, "action": action} | ({"length": 2} if action == "shorten" else {})
    plain = serve(shop=shop, state="plain")
    service = serve({**ENFORCED, "rules": [rule]}, shop=shop)
    true = upload(plain, odd_photo()).json()["items"]
    first, later = (upload(service, odd_photo()) for _ in range(2))
    assert first.content == later.content
    if action == "tag":
        assert first.json()["items"] == true
        assert first.headers["x-recsec-decision"].startswith("d-")
    elif action == "shorten":
        assert first.json()["items"] == true[:2]
    else:
        assert len(first.json()["items"]) == 10
        assert first.json()["items"] != true
        item = shop.ids([7])[0]
        assert by_item(service, item).json()["items"] != plain_neighbors(shop, 7, 5)
        assert item not in by_item(service, item).json()["items"]


def test_rules_about_photos_need_photos() -> None:
    assert SCREENED == RATES
    policy = Policy.model_validate({"rules": [FLAG]})
    check_screens(policy, screened=True)
    with pytest.raises(ConfigError, match="fake") as error:
        check_screens(policy, screened=False)
    assert "--visual" in str(error.value.hint)
    for change in ({"p_value": 0.02}, {"scope": "young"}, {"clear_above": 0.5}):
        with pytest.raises(ValueError, match="screen"):
            Policy.model_validate({"rules": [{**FLAG, **change}]})


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, lines: bytes = b"") -> bytes:
    """A PNG that claims a size."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


GOOD = encode(picture(3))
GIF = encode(picture(3), "GIF")
HOSTILE: dict[str, tuple[bytes, str, int]] = {
    "nothing": (b"", "image/png", 422),
    "text": (b"<svg/>" * 100, "image/png", 422),
    "cut short": (GOOD[: len(GOOD) // 2], "image/png", 422),
    "without its last bytes": (GOOD[:-60], "image/png", 422),
    "another type than it says": (encode(picture(3), "JPEG"), "image/png", 422),
    "a type that nobody takes": (GIF, "image/gif", 415),
    "a GIF that says PNG": (GIF, "image/png", 422),
    "no type": (GOOD, "", 415),
    "a form": (GOOD, "multipart/form-data; boundary=x", 415),
    "a bomb of zeros": (png(60_000, 60_000, bytes(1 << 20)), "image/png", 413),
    "more pixels than allowed": (png(3500, 3500), "image/png", 413),
    "sides of 2**31": (png(2**31 - 1, 2**31 - 1), "image/png", 413),
    "no pixels": (png(0, 5), "image/png", 422),
    "a line of millions": (png(11_000_000, 1), "image/png", 422),
    "too many bytes": (GOOD + bytes(BYTES), "image/png", 413),
    "a bomb of text": (
        GOOD[:33] + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 24))) + GOOD[33:],
        "image/png",
        422,
    ),
}


@pytest.mark.hostile(kind="service", what="uploads that are no photo", cases=len(HOSTILE))
def test_hostile_uploads_are_refused_in_words_and_the_next_one_is_answered(
    serve: Serve, shop: Shop
) -> None:
    service = serve(shop=shop)
    for name, (photo, kind, code) in HOSTILE.items():
        answer = upload(service, photo, kind=kind)
        assert answer.status_code == code, name
        assert answer.headers["content-type"] == "application/problem+json"
        assert "0x" not in answer.text, name
    assert upload(service, own_photo(shop, 7), k=1).json()["items"] == shop.ids([7])
    assert [one for one in service.logged if one["event"] == "failed"] == []


@pytest.mark.hostile(kind="service", what="photos of odd shapes and modes", cases=9)
def test_odd_photos_are_answered(serve: Serve, shop: Shop) -> None:
    service = serve(shop=shop)
    image, odd = picture(3), io.BytesIO()
    image.save(odd, "PNG", exif=b"Exif\0\0" + bytes(40))
    photos = [odd.getvalue()]
    for mode in ("L", "LA", "P", "RGBA", "1", "I;16"):
        base = image.convert("L").convert("I") if mode == "I;16" else image
        photos.append(encode(base.convert(mode)))
    photos += [encode(Image.new("RGB", size)) for size in ((1, 1), (3000, 1))]
    assert [upload(service, photo).status_code for photo in photos] == [200] * 9


def test_what_does_not_fit_is_refused(serve: Serve, shop: Shop) -> None:
    service, item = serve(shop=shop), shop.ids([7])[0]
    assert by_item(service, item, 51).status_code == 422
    assert upload(service, GOOD, k=51).status_code == 422
    assert by_item(service, "no such item").status_code == 422
    assert upload(service, GOOD, listing="no such item").status_code == 422
    for body in (b"", b"{", b"[" * 2000, b'{"item": 1.5}', b'{"item": 1, "more": 2}', b"\xff"):
        headers = {"Content-Type": "application/json"}
        answer = service.client.post("/v1/similar", content=body, headers=headers)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
    big = b'{"item": 1, "account": "' + b"a" * 300_000 + b'"}'
    answer = service.client.post("/v1/similar", content=big, headers=headers)
    assert answer.status_code == 413


def test_what_is_held_of_all_uploads_is_bounded() -> None:
    held = Held(10)

    async def sent(*parts: bytes) -> Any:
        for part in parts:
            yield part

    async def read() -> None:
        first = await held.read(sent(b"1234", b"56"), 8)
        assert first == b"123456"
        with pytest.raises(Busy):
            await held.read(sent(b"123", b"45"), 8)
        held.let_go(first)
        with pytest.raises(NoPhoto):
            await held.read(sent(b"12345", b"6789"), 8)
        assert await held.read(sent(b"12345678"), 8) == b"12345678"

    asyncio.run(read())
