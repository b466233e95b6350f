"""Scores: only for keys that may, only where they are asked for, and never past a guard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from service_world import Serve, Service, World

from recsec.serving.photos import Shop
from recsec.serving.state import new_key
from recsec.targets import LocalTarget
from recsec.targets.guards import Truncate

HISTORY = [3, 4]


def keyed(service: Service, *, scores: bool) -> dict[str, str]:
    text, _ = new_key(service.engine.store, "shop", role="client", k=50, scores=scores)
    service.engine.keys.reload()
    return {"Authorization": f"Bearer {text}"}


def ask(service: Service, headers: dict[str, str], **more: Any) -> Any:
    body = {"account": "ann", "history": HISTORY, "k": 5, **more}
    answer = service.client.post("/v1/recommend", json=body, headers=headers)
    service.engine.settle()
    return answer


def test_a_key_with_the_right_sees_the_models_own_scores(serve: Serve, world: World) -> None:
    service = serve()
    may = keyed(service, scores=True)
    plain, answer = ask(service, may), ask(service, may, scores=True).json()
    assert plain.json() == {"items": answer["items"]}
    rows = world.model.catalog.index(answer["items"])
    history = world.model.catalog.index(HISTORY)[None]
    own = world.model.scores(history)[0].double().numpy()
    assert answer["scores"] == own[rows].tolist()
    assert answer["scores"] == sorted(answer["scores"], reverse=True)
    bound = serve(state="bound", bound=True)
    may = keyed(bound, scores=True)
    for item in HISTORY:
        act = {"account": "ann", "item": item}
        assert bound.client.post("/v1/events", json=act, headers=may).status_code == 200
    kept = bound.client.get("/v1/recommend/ann?k=5&scores=true", headers=may)
    assert kept.json() == answer
    assert bound.client.get("/v1/recommend/ann?k=5", headers=may).content == plain.content


def test_a_key_without_the_right_is_told_so(serve: Serve, shop: Shop) -> None:
    service = serve(shop=shop)
    nobody = ask(service, {}, scores=True)
    headers = keyed(service, scores=False)
    item = shop.ids([0])[0]
    answers = [
        nobody,
        ask(service, headers, scores=True),
        service.client.get("/v1/recommend/ann?scores=true", headers=headers),
        service.client.post("/v1/similar", json={"item": item, "scores": True}, headers=headers),
        service.client.post(
            "/v1/similar?scores=true",
            content=b"",
            headers={**headers, "Content-Type": "image/png"},
        ),
    ]
    assert [one.status_code for one in answers] == [403] * 5
    assert {one.json()["title"] for one in answers} == {"No scores with this key"}
    assert "--scores" in answers[0].json()["detail"]
    assert ask(service, headers).status_code == 200


def test_visual_scores_are_cosines(serve: Serve, shop: Shop) -> None:
    service = serve(shop=shop)
    body = {"item": shop.ids([7])[0], "k": 5, "scores": True}
    answer = service.client.post(
        "/v1/similar", json=body, headers=keyed(service, scores=True)
    ).json()
    rows = shop.photos.rows(answer["items"])
    cosines = shop.catalog.vectors[rows] @ shop.catalog.vectors[7]
    np.testing.assert_allclose(answer["scores"], cosines.numpy(), atol=1e-6)


@pytest.mark.parametrize("action", ["shorten", "decoy"])
def test_scores_are_of_the_list_that_is_served(serve: Serve, world: World, action: str) -> None:
    rule = {"name": "haste", "more_than": 1, "within": "1h", "action": action, "enforce": True}
    rule |= {"length": 2} if action == "shorten" else {}
    service = serve({"enforce": True, "rules": [rule]})
    may = keyed(service, scores=True)
    for _ in range(3):
        true = ask(service, may, k=10, scores=True).json()
    treated = ask(service, may, k=10, scores=True).json()
    assert len(treated["scores"]) == len(treated["items"]) == (2 if action == "shorten" else 10)
    assert treated == true
    own = world.model.scores(world.model.catalog.index(HISTORY)[None])[0].double().numpy()
    honest = own[world.model.catalog.index(treated["items"])].tolist()
    assert (treated["scores"] == honest) == (action == "shorten")


def test_no_key_sees_scores_past_a_guard(serve: Serve, world: World) -> None:
    service = serve(target=LocalTarget(world.model, [Truncate(3)]))
    answer = ask(service, keyed(service, scores=True), scores=True)
    assert (answer.status_code, answer.json()["title"]) == (422, "There are no scores")
