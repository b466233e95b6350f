"""What goes in and out of the routes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from recsec.serving.state import Decision
from recsec.types import ItemId

__all__ = [
    "Account",
    "Act",
    "Acted",
    "Ask",
    "Freed",
    "Item",
    "Items",
    "Lists",
    "Logged",
    "Named",
    "Near",
    "Passed",
    "Query",
    "Told",
]

LONGEST = 10_000
"""Items of a history that are read at all."""

Item: TypeAlias = (
    Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)] | Annotated[StrictStr, Field(max_length=200)]
)
Account: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ask(_Body):
    """Ask for a list after a history."""

    account: Account | None = Field(None, description="the end user; without: the key itself")
    history: list[Item] = Field(max_length=LONGEST, description="item ids, oldest first")
    k: int = Field(10, ge=1, le=10_000, strict=True, description="length of the list")
    scores: bool = Field(False, strict=True, description="scores too, if the key allows it")


class Lists(_Body):
    """A list."""

    items: list[int | str] = Field(description="item ids, best first")
    scores: list[float] | None = Field(None, description="of the items, where they were asked for")

    @classmethod
    def of(cls, items: list[ItemId], scores: list[float] | None) -> Lists:
        """What was found; scores that nobody asked for are not set, so they are not sent."""
        if scores is None:
            return cls.model_construct(items=items)
        return cls.model_construct(items=items, scores=scores)


class Near(_Body):
    """Ask for the items that look most like one."""

    account: Account | None = Field(None, description="the end user; without: the key itself")
    item: Item
    k: int = Field(10, ge=1, le=10_000, strict=True, description="length of the list")
    scores: bool = Field(False, strict=True, description="scores too, if the key allows it")


class Act(_Body):
    """An account acted on an item."""

    account: Account
    item: Item


class Acted(_Body):
    """When the event counts."""

    counts_in: float = Field(description="seconds from now; 0: at once")


class Named(_Body):
    """An item."""

    id: int | str
    title: str


class Items(_Body):
    """What a search found."""

    items: list[Named]


class Query(_Body):
    """One request that another server answered."""

    account: Account
    history: list[Item] | None = Field(None, max_length=LONGEST)
    answer: list[Item] = Field([], max_length=1000)


class Logged(_Body):
    """Requests that another server answered, in the order of answering."""

    queries: list[Query] = Field(max_length=1000)


class Passed(_Body):
    """An account passed its challenge."""

    reason: str = Field(min_length=3, max_length=300, description="how; it stands in the trail")
    account: Account | None = Field(None, description="who, where the decision is about many")


class Freed(_Body):
    """How long rules only observe the account."""

    until: float = Field(description="seconds since 1970")


class Told(_Body):
    """A decision, as gateways read it."""

    id: str
    scope: Literal["account", "key", "young", "all"]
    subject: str
    rule: str
    action: str
    enforced: bool
    until: float
    parameters: dict[str, Any]

    @classmethod
    def of(cls, decision: Decision) -> Told:
        """What a gateway needs of a decision."""
        values = {name: getattr(decision, name) for name in cls.model_fields}
        return cls.model_validate(values)
