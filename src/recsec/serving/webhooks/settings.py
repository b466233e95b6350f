"""A webhook in the policy: where to, about what, in which words.

[[webhooks]]
url = "https://chat.example/hooks/7"
secret_env = "RECSEC_WEBHOOK"     # environment variable; signs what is sent
actions = ["block"]               # of decisions that are told; all by default
body = { text = "{rule}: {action} of {subject} until {until} ({mode}, {id})" }
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from recsec.serving.state import Decision
from recsec.targets.http.addresses import parsed_url, public_url
from recsec.targets.http.placeholders import mentioned, render

__all__ = ["Webhook", "sample"]

FACTS: Final = ("id", "scope", "subject", "rule", "action", "mode", "at", "until", "number")
EVERYTHING: Final = {name: f"{{{name}}}" for name in FACTS}


class Webhook(BaseModel):
    """One address that is told about decisions. Subjects are named as they are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str = Field(repr=False)
    secret_env: str | None = Field(None, description="environment variable of the signing secret")
    actions: tuple[str, ...] = Field((), description="of decisions that are told; none: all")
    shadow: bool = Field(False, description="also decisions in shadow")
    body: dict[str, Any] = Field(EVERYTHING, description="JSON with {id}, {rule}, {action}, ...")

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parsed_url(url)
        return url

    @field_validator("body")
    @classmethod
    def _knows_its_placeholders(cls, body: dict[str, Any]) -> dict[str, Any]:
        known = (*FACTS, "challenge")
        unknown = sorted(set(mentioned(body)) - set(known))
        if unknown:
            raise ValueError(f"{{{unknown[0]}}} is no placeholder; known are {', '.join(known)}")
        return body

    @property
    def name(self) -> str:
        """Its address without what may be secret."""
        return public_url(self.url)

    def wants(self, decision: Decision) -> bool:
        """Whether it is told about a decision."""
        there = self.shadow or decision.enforced
        return there and (not self.actions or decision.action in self.actions)

    def filled(self, decision: Decision) -> Any:
        """What is sent about a decision."""
        values: dict[str, Any] = {name: getattr(decision, name) for name in FACTS if name != "mode"}
        values["challenge"] = decision.parameters.get("address", "")
        values["mode"] = "enforced" if decision.enforced else "shadow"
        for name in ("at", "until"):
            values[name] = datetime.fromtimestamp(values[name], UTC).isoformat(timespec="seconds")
        return render(self.body, values)


def sample(at: float) -> Decision:
    """A decision that was never made, for a test of the address."""
    return Decision(
        id="d-test",
        scope="account",
        subject="0" * 32,
        rule="test",
        action="observe",
        enforced=False,
        at=at,
        until=at,
    )
