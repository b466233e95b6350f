"""From a template to the request that carries a history."""

from __future__ import annotations

from typing import Any

import httpx

from recsec.types import ItemId

__all__ = ["render", "with_query"]


def render(template: Any, history: list[ItemId], k: int, account: str) -> Any:
    """Fill in the placeholders of a request."""
    if isinstance(template, dict):
        return {key: render(value, history, k, account) for key, value in template.items()}
    if isinstance(template, list):
        return [render(value, history, k, account) for value in template]
    if not isinstance(template, str):
        return template
    whole: dict[str, Any] = {"{history}": history, "{k}": k, "{account}": account}
    if template in whole:
        return whole[template]
    joined = ",".join(str(item) for item in history)
    for name, text in (("{history}", joined), ("{k}", str(k)), ("{account}", account)):
        template = template.replace(name, text)
    return template


def with_query(url: str, body: dict[str, Any]) -> httpx.URL:
    """The address with a request as query parameters; lists are joined by commas.

    Raises:
        httpx.InvalidURL: it gets longer than an address may be.
    """
    flat = {
        key: ",".join(map(str, value)) if isinstance(value, list) else value
        for key, value in body.items()
    }
    return httpx.URL(url).copy_merge_params(flat)
