"""The policy: from evidence about an account to what is done, in a file of its own.

detectors = "runs/detectors"      # what recsec detect fit wrote
enforce = false                   # nothing is enforced: shadow

[[rules]]
name = "thief"
p_value = 0.01                    # at most so many of honest accounts in each period
action = "block"
duration = "1h"

[[rules]]
name = "haste"
more_than = 500
within = "1h"
action = "slow"
duration = "10m"
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from recsec.errors import ConfigError
from recsec.serving.places import Places
from recsec.serving.webhooks import Webhook
from recsec.settings import checked
from recsec.targets.http.addresses import fits_header, parsed_url

__all__ = [
    "ACTIONS",
    "Action",
    "Policy",
    "Rule",
    "check_screens",
    "marking",
    "read_policy",
    "seconds",
    "share",
]

Action: TypeAlias = Literal[
    "observe", "tag", "watermark", "slow", "shorten", "decoy", "challenge", "block"
]
"""Take note; name the decision in a header; mark lists more strongly; wait; a shorter list; wrong
items; refuse until the account has passed a challenge of yours; refuse."""

ACTIONS: tuple[Action, ...] = (
    "observe",
    "tag",
    "watermark",
    "slow",
    "shorten",
    "decoy",
    "challenge",
    "block",
)
"""From the mildest to the hardest."""

SCREENED = (0.01, 0.001)
"""False-positive rates that screens are fitted for: ``recsec.screening.RATES``."""

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
SLOWEST = 10.0
"""Seconds that a slowed request waits at most: it holds a place meanwhile."""


def seconds(value: Any) -> Any:
    """Seconds of a text such as ``90s``, ``15m``, ``1h`` or ``30d``; a number stays.

    >>> seconds("15m")
    900.0
    """
    found = (
        re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhd])", value)
        if isinstance(value, str)
        else None
    )
    if found is not None:
        return float(found[1]) * UNITS[found[2]]
    if isinstance(value, str):
        raise ValueError("expected a time such as 90s, 15m, 1h or 30d")
    return value


Time = Annotated[float, BeforeValidator(seconds), Field(gt=0, le=10 * 365 * UNITS["d"])]


class Rule(BaseModel):
    """One rule: which evidence about whom leads to what, and for how long.

    Evidence is a p-value (of an account, by all detectors together or by one; of young accounts
    pooled; of a cluster of accounts that ask alike), a photo that screens flag, or a rate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    scope: Literal["account", "young", "key", "all"] = Field(
        "account", description="one account; one seen first less than `young` ago; a key; everybody"
    )
    p_value: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of honest accounts that the rule may reach per period; pooled: chance "
        "to reach them while accounts are young; screen: share of honest uploads, 0.01 or 0.001",
    )
    evidence: Literal["alone", "pooled", "cluster", "screen"] = Field(
        "alone",
        description="p-value of one account; of the young ones pooled (scope: young); of those "
        "that ask alike (scope: account); a photo that was uploaded (scope: account)",
    )
    detector: str = Field("combined", description="whose p-value of one account")
    more_than: int | None = Field(None, ge=1, description="requests ...")
    within: Time | None = Field(None, description="... in any window of this length")
    action: Action = "observe"
    delay: float = Field(1.0, gt=0, le=SLOWEST, description="seconds, of slow")
    length: int = Field(3, ge=0, description="most items, of shorten")
    bias: float = Field(
        1.0,
        gt=0,
        le=2,
        description="how far marked items rise, of watermark; more than the model's own bias",
    )
    challenge: str | None = Field(
        None, description="where an account shows that it is a person, of challenge; {id} is known"
    )
    duration: Time = Field(3600.0, description="of the first decision about somebody")
    growth: float = Field(
        2.0, ge=1, le=100, description="of the duration with each former decision"
    )
    longest: Time = Field(30 * UNITS["d"], description="most that the duration grows to")
    clear_above: float | None = Field(
        None, gt=0, le=1, description="a later p-value above this ends the decision early"
    )
    enforce: bool = Field(False, strict=True, description="false: in shadow")

    @model_validator(mode="after")
    def _has_one_kind_of_evidence(self) -> Self:
        rate = self.more_than is not None
        if rate == (self.p_value is not None):
            raise ValueError("a rule has p_value, or more_than and within")
        if rate != (self.within is not None):
            raise ValueError("more_than and within go together")
        if not rate and self.scope in ("key", "all"):
            raise ValueError("p-values are of accounts: scope is account or young")
        if rate and self.clear_above is not None:
            raise ValueError("clear_above is about p-values")
        if (self.action == "challenge") != (self.challenge is not None):
            raise ValueError('action = "challenge" and challenge = "https://..." go together')
        if self.challenge is not None:
            parsed_url(self.challenge.replace("{id}", "d-0"))
            if not fits_header(self.challenge):
                raise ValueError("challenge does not fit into a header")
        if self.evidence != "alone" and rate:
            raise ValueError("evidence is about p-values")
        if self.evidence == "pooled" and self.scope != "young":
            raise ValueError('pooled evidence is about all young accounts: scope = "young"')
        if self.evidence == "screen" and (self.scope != "account" or self.p_value not in SCREENED):
            raise ValueError(
                'screens are about one account, at one of two rates: scope = "account", '
                "p_value = 0.01 or 0.001"
            )
        if self.evidence == "screen" and self.clear_above is not None:
            raise ValueError("a screen judges one photo: no later one clears an account")
        if self.evidence == "cluster" and self.scope != "account":
            raise ValueError('evidence of a cluster is about its accounts: scope = "account"')
        if self.evidence != "alone" and self.detector != "combined":
            raise ValueError("detector is about the p-value of one account")
        return self

    @property
    def detected(self) -> bool:
        """Whether its evidence is a p-value, which needs detectors."""
        return self.p_value is not None and self.evidence != "screen"

    @property
    def alone(self) -> bool:
        """Whether its evidence is the p-value of one account."""
        return self.p_value is not None and self.evidence == "alone"


class Policy(BaseModel):
    """All rules, and where the evidence comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    detectors: Path | None = Field(None, description="folder that recsec detect fit wrote")
    enforce: bool = Field(False, strict=True, description="false: all rules in shadow")
    period: Time = Field(UNITS["d"], description="evidence begins anew after this time")
    accounts: int = Field(100_000, ge=1, description="most accounts with evidence; then it is new")
    young: Time = Field(UNITS["d"], description="how long an account is young")
    probation: Time = Field(
        7 * UNITS["d"], description="rules only observe an account after a decision was taken back"
    )
    on_backend_loss: Literal["open", "closed", "last-known"] = Field(
        "open",
        description="when state cannot be reached for longer than `grace`: treat nobody; refuse "
        "everybody, if any rule is enforced; go on with the decisions that are known",
    )
    grace: Time = Field(30.0, description="so long the known decisions hold in any case")
    traffic: Places | None = Field(
        None, description="where account, history and list stand in the requests of your API"
    )
    rules: tuple[Rule, ...] = ()
    webhooks: tuple[Webhook, ...] = Field((), description="who else is told about decisions")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ValueError("two rules have one name")
        if self.detectors is None and any(rule.detected for rule in self.rules):
            raise ValueError("p_value needs detectors = the folder that recsec detect fit wrote")
        return self

    def enforced(self, rule: Rule) -> bool:
        """Whether the rule of that name acts, or only says what it would do."""
        return self.enforce and any(one.name == rule.name and one.enforce for one in self.rules)

    @property
    def acts(self) -> bool:
        """Whether any rule acts."""
        return any(self.enforced(rule) and rule.action != "observe" for rule in self.rules)

    def told(self) -> str:
        """What will be enforced, in one clause."""
        if not self.rules:
            return "no rules: nothing is decided"
        acting = [rule for rule in self.rules if self.enforced(rule) and rule.action != "observe"]
        if not acting:
            return f"{len(self.rules)} rules, all in shadow: nothing is enforced"
        named = ", ".join(f"{rule.name} ({rule.action})" for rule in acting)
        return f"{len(self.rules)} rules; ENFORCED: {named}"


def check_screens(policy: Policy, *, screened: bool) -> None:
    """Refuse rules about screens where no photo is screened.

    Raises:
        ConfigError: the rule is named.
    """
    found = next((rule.name for rule in policy.rules if rule.evidence == "screen"), None)
    if found is not None and not screened:
        raise ConfigError(
            f"the rule {found} is about photos, and none are uploaded here",
            hint="recsec serve --visual ENCODER --photos NAME screens them",
        )


def marking(policy: Policy) -> list[Rule]:
    """Rules that ask for a stronger watermark."""
    return [rule for rule in policy.rules if rule.action == "watermark"]


def read_policy(path: Path) -> Policy:
    """The policy in a file; a relative folder of detectors is seen from the file.

    Raises:
        ConfigError: it is missing, is no TOML, or a setting does not fit.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the policy {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the policy {path} is not TOML: {error}") from error
    policy = checked(Policy, values, where=f"the policy {path}")
    if policy.detectors is not None:
        folder = path.parent / policy.detectors.expanduser()
        policy = policy.model_copy(update={"detectors": folder})
    return policy


def share(queries: int, checkpoints: tuple[int, ...]) -> float:
    """The share of a rule's level that is spent after so many queries; 0 if nothing is judged.

    An account is judged at each checkpoint, and then whenever its queries have doubled. All of
    these looks share the level: three quarters go to the checkpoints in equal parts, the rest to
    the doublings, each half of the one before. So however many queries an honest account makes,
    the chance that a rule ever reaches it within a period is at most the rule's level.

    >>> [share(queries, (20, 50)) for queries in (19, 20, 50, 100, 200)]
    [0.0, 0.375, 0.375, 0.125, 0.0625]
    """
    if queries in checkpoints:
        return 0.75 / len(checkpoints)
    last = checkpoints[-1]
    doublings, rest = divmod(queries, last)
    if rest or doublings < 2 or doublings & (doublings - 1):
        return 0.0
    return float(0.25 / doublings)
