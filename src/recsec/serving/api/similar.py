"""``/v1/similar``: visual neighbors of an item, or of a photo that is uploaded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from recsec.serving.answering import Reply
from recsec.serving.api.bodies import Account, Lists, Near
from recsec.serving.api.callers import Client, listed_length, scores_allowed
from recsec.serving.api.edge import MAX_BODY
from recsec.serving.api.problems import PROBLEM, PROBLEMS, Refused
from recsec.serving.api.quick import tagged
from recsec.serving.photos import BYTES, KINDS, NoPhoto, Similar
from recsec.serving.state import Key

__all__ = ["PATH", "add_similar"]

PATH: Final = "/v1/similar"

JSON: Final = "application/json"

LIMITS: Final = f"{BYTES:,} bytes and " + ", ".join(
    f"{pixels:,} pixels ({kind})" for kind, (_, pixels) in KINDS.items()
)

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"an item, or a photo of at most {LIMITS}",
        "content": {
            JSON: {"schema": Near.model_json_schema()},
            **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in KINDS},
        },
    }
}

RESPONSES: dict[int | str, dict[str, Any]] = PROBLEMS | {
    415: {"description": f"not {JSON}, {', '.join(KINDS)}", "content": {PROBLEM: {}}}
}


def add_similar(app: FastAPI, similar: Similar, asking: Client) -> None:
    """The route.

    Args:
        app: gets it.
        similar: who answers.
        asking: the key of a client.
    """

    async def of_item(request: Request, body: bytes, key: Key) -> Reply:
        try:
            near = Near.model_validate_json(body)
        except ValidationError as error:
            faults = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
            raise RequestValidationError(faults) from error
        account = near.account or f"key {key.id}"
        request.state.account = similar.engine.names.account(account)
        k = listed_length(near.k, similar.limits.k, key)
        if near.scores:
            scores_allowed(key)
        return await similar.of_item(account, near.item, k, key=key.id, scores=near.scores)

    @app.post(
        PATH,
        responses=RESPONSES,
        tags=["lists"],
        openapi_extra=BODY,
        response_model_exclude_unset=True,
    )
    async def nearest(
        request: Request,
        response: Response,
        account: Annotated[
            Account | None, Query(description="of a photo: the end user; without: the key")
        ] = None,
        listing: Annotated[
            str | None,
            Query(max_length=200, description="of a photo: the item whose photo it is to be"),
        ] = None,
        k: Annotated[
            int, Query(ge=1, le=10_000, description="of a photo: length of the list")
        ] = 10,
        scores: Annotated[
            bool, Query(description="of a photo: cosines too, if the key allows scores")
        ] = False,
        key: Key = asking,
    ) -> Lists:
        """The items that look most like an item, or like a photo.

        A photo is the body itself; it is screened, as one for its listing if that is named.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != JSON and kind not in KINDS:
            raise Refused(415, "Neither an item nor a photo", f"{JSON}, {', '.join(KINDS)}")
        limit = MAX_BODY if kind == JSON else BYTES
        try:
            body = await similar.held.read(_parts(request), limit)
            try:
                if kind == JSON:
                    reply = await of_item(request, body, key)
                else:
                    k = listed_length(k, similar.limits.k, key)
                    if scores:
                        scores_allowed(key)
                    account = account or f"key {key.id}"
                    request.state.account = similar.engine.names.account(account)
                    reply = await similar.of_photo(
                        account, body, kind, k, listing=listing, key=key.id, scores=scores
                    )
            finally:
                similar.held.let_go(body)
        except NoPhoto as error:
            raise _refused(huge=error.huge) from error
        response.headers.update(tagged(reply))
        return Lists.of(reply.items, reply.scores)


async def _parts(request: Request) -> AsyncIterator[bytes]:
    async for part in request.stream():
        yield part


def _refused(*, huge: bool) -> Refused:
    if huge:
        return Refused(413, "Too large", f"at most {LIMITS}")
    return Refused(422, "Not a photo", f"whole, and of its content type: {', '.join(KINDS)}")
