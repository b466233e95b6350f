"""The tables of a plan that are about extraction."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from recsec.attacks.extraction import Adaptive
from recsec.audit.extraction.defense_plan import DefensePlan
from recsec.audit.sections import GatePlan, Plan, Positive, Section, Seed, Several
from recsec.data import Reading
from recsec.errors import ConfigError, UsageError
from recsec.registry import registry
from recsec.reports import UNDEFENDED
from recsec.runs import digest
from recsec.sources import kind_of_source
from recsec.targets import refuse_guards, remembered
from recsec.targets.http.addresses import public_url

__all__ = [
    "CostPlan",
    "EvaluationPlan",
    "ExtractionGatePlan",
    "ExtractionPlan",
    "ExtractionTables",
    "TargetPlan",
    "TwinRecipe",
]

KNOWING = "rank-law"
"""The thief whom every defense meets."""


class TwinRecipe(Section):
    """How to train independent models where the target itself does not say how it was trained."""

    count: int = Field(default=1, ge=0, le=10, description="how many, each with its own seed")
    model: str | None = Field(default=None, description="architecture; null: the target's own")
    settings: dict[str, Any] = Field(default_factory=dict, description="of that architecture")


def _recipe(value: Any) -> Any:
    """A number of twins stands for a recipe."""
    return {"count": value} if isinstance(value, int) else value


class TargetPlan(Section, Reading):
    """``[target]``: the recommender under attack, and the data behind it."""

    model: str | None = Field(
        default=None,
        description="checkpoint folder, callable:module:function, http(s) address or a target's "
        "TOML file",
    )
    train: str | None = Field(
        default=None, description="architecture that the audit trains itself, in place of model"
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="of the trained target")
    seed: Seed = Field(default=0, description="of the trained target")
    data: str = Field(
        description="data set on whose users fidelity is measured; left out, a checkpoint's own"
    )
    fingerprint: str | None = Field(
        default=None, description="SHA-256 that the data must have; null: any"
    )
    access: Literal["ids"] = Field(default="ids", description="what an answer reveals")
    twins: Annotated[TwinRecipe, BeforeValidator(_recipe)] = Field(
        default_factory=TwinRecipe,
        description="independent models for scale: a number, or {count, model, settings}",
    )
    name: str | None = Field(
        default=None, min_length=1, description="what the report calls the target"
    )

    @model_validator(mode="before")
    @classmethod
    def _remembered(cls, values: Any) -> Any:
        """Data that are left out are those that a checkpoint was trained on."""
        if not isinstance(values, dict) or "data" in values or "model" not in values:
            return values
        known = remembered(str(values["model"]))
        said = {"data": known.data, "fingerprint": known.fingerprint, **known.reading.said()}
        return {**said, **values}

    @model_validator(mode="after")
    def _one_source(self) -> TargetPlan:
        if (self.model is None) == (self.train is None):
            raise ValueError("give either model (a finished target) or train (an architecture)")
        if self.model is not None and self.settings:
            raise ValueError("settings belong to train; a finished model has its own")
        return self


class ExtractionPlan(Section):
    """``[extraction]``: a grid of attacks. Several tables ``[[extraction]]`` are several grids."""

    policies: Several[str] = Field(
        default=("random", "autoregressive", "mixed"),
        description="unset, in a plan with defenses, also the one who knows them: rank-law",
    )
    policy_settings: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="by policy: {mixed = {share = 0.3}}"
    )
    k: Several[Positive] = Field(default=(10,), description="list lengths asked for")
    calls: Several[Positive] = Field(description="budgets: prefixes of one collection")
    seeds: Several[Seed] = Field(default=(0, 1, 2))
    surrogate: str = "sasrec"
    surrogate_settings: dict[str, Any] = Field(default_factory=dict)
    loss: Literal["cross-entropy", "listmle", "hinge"] = "cross-entropy"
    length: Positive = Field(default=200, description="items to which a session grows")
    sessions: Positive = Field(default=50, description="sessions that grow side by side")
    leak: float = Field(
        default=0.0, ge=0, lt=1, description="share of users whose histories the thief has"
    )
    proxy: str = Field(
        default="",
        description="public data set whose histories the thief has, its items mapped by title",
    )
    adaptive: tuple[str, ...] = Field(
        default=(), description="switches of a thief who fears defenses: set-only, human-like, ..."
    )
    defenses: Several[str] | None = Field(
        default=None, description="which of [[defense]] it meets, and undefended; null: all"
    )

    @model_validator(mode="after")
    def _known_policies(self) -> ExtractionPlan:
        try:
            Adaptive.parse(self.adaptive)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        known = registry("policies").keys()
        if self.proxy and self.leak:
            raise ValueError("give either leak or proxy: whose histories does the thief have?")
        for policy in (*self.policies, *self.policy_settings):
            if policy not in known:
                raise ValueError(f"no policy {policy!r}; allowed: {', '.join(known)}")
        return self


class EvaluationPlan(Section):
    """``[evaluation]``: on whom and how finely fidelity is measured."""

    users: Positive | None = Field(default=None, description="users drawn at random; null: all")
    depth: int = Field(default=20, ge=10, description="list length that is compared")
    resamples: int = Field(
        default=1000, ge=100, description="bootstrap resamples behind an interval"
    )
    seed: Seed = Field(default=0, description="of the drawn users and resamples")
    recheck: bool = Field(
        default=True,
        description="train the deciding copy again, longer or by the default recipe: is it the "
        "recommender that is hard to copy, or the thief who is lazy?",
    )


class CostPlan(Section):
    """``[cost]``: the rate limit under which calls are turned into hours."""

    calls_per_second: float = Field(default=10.0, gt=0)


class ExtractionGatePlan(GatePlan):
    """``[gate]``: what turns evidence of extraction into a verdict; its keys stand at the top."""

    metric: Literal["lift", "agr@1", "agr@10", "rbo", "hr_ratio"] = "lift"
    statistic: Literal["low", "value", "high"] = "low"
    moderate: float = 0.1
    high: float = 0.3
    max_calls: Positive | None = Field(
        default=None, description="rows with more calls do not count"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.moderate > self.high:
            raise ValueError(f"moderate = {self.moderate} is above high = {self.high}")
        return self


class ExtractionTables(Plan):
    """A plan with the tables of extraction."""

    target: TargetPlan | None = None
    defense: Several[DefensePlan] = ()
    extraction: Several[ExtractionPlan] = ()
    evaluation: EvaluationPlan = Field(default_factory=EvaluationPlan)
    cost: CostPlan = Field(default_factory=CostPlan)

    @field_validator("extraction")
    @classmethod
    def _who_knows(
        cls, grids: tuple[ExtractionPlan, ...], info: ValidationInfo
    ) -> tuple[ExtractionPlan, ...]:
        """Every defense meets a thief who knows it, unless a grid says who comes."""
        if not info.data.get("defense"):
            return grids
        return tuple(
            grid.model_copy(update={"policies": (*grid.policies, KNOWING)})
            if not {"policies", "adaptive"} & grid.model_fields_set
            else grid
            for grid in grids
        )

    @model_validator(mode="after")
    def _target_fits(self) -> Self:
        if (self.target is None) == bool(self.extraction):
            raise ValueError(
                "[target] and [[extraction]] belong together, and one of them is missing"
            )
        if self.target is None and self.defense:
            raise ValueError("[[defense]] stands before [target], which is missing")
        if self.target is not None:
            self._check_defenses(self.target)
        return self

    @property
    def rows(self) -> tuple[str, ...]:
        """What a thief may meet: the bare target first."""
        return (UNDEFENDED, *(defense.name for defense in self.defense))

    def _check_defenses(self, target: TargetPlan) -> None:
        """Defenses fit the target, and grids name those that there are.

        Raises:
            ValueError: with the name.
        """
        for at, name in enumerate(self.rows):
            if name in self.rows[:at]:
                raise ValueError(f"two defenses are called {name!r}")
        if target.model is not None:
            gives = kind_of_source(target.model, "extraction").gives
            for defense in self.defense:
                if defense.model is None:
                    try:
                        refuse_guards(defense.tables, target.model, gives)
                    except UsageError as error:
                        raise ValueError(f"{error.message}; {error.hint}") from error
        for grid in self.extraction:
            for name in grid.defenses or ():
                if name not in self.rows:
                    raise ValueError(f"no defense {name!r}; there are: {', '.join(self.rows)}")
        if not any(UNDEFENDED in (grid.defenses or self.rows) for grid in self.extraction):
            raise ValueError(
                f"no [[extraction]] meets {UNDEFENDED!r}, and the verdict is about the bare target"
            )

    def public(self) -> Self:
        """See ``Plan.public``: the address of a target may hide user, password and query."""
        model = None if self.target is None else self.target.model
        if self.target is None or model is None or not model.startswith(("http://", "https://")):
            return super().public()
        target = self.target.model_copy(update={"model": public_url(model)})
        return super().public().model_copy(update={"target": target})

    def spoken(self, command: str) -> str:
        """See ``Plan.spoken``."""
        if self.target is not None and self.target.model is not None:
            shown = self.public().target
            command = command.replace(self.target.model, str(shown.model if shown else ""))
        return super().spoken(command)

    def evidence(self) -> dict[str, Any]:
        """See ``Plan.evidence``: prices may change too, and what is checked afterwards."""
        whole = super().evidence()
        del whole["cost"], whole["evaluation"]["recheck"]
        unsaid = {**Reading().model_dump(mode="json"), "fingerprint": None}
        for name in unsaid.keys() - {"columns"}:  # old runs go on, as below
            if whole["target"] and whole["target"][name] == unsaid[name]:
                del whole["target"][name]
        if not self.defense:  # as it was before there were defenses, so that old runs go on
            del whole["defense"]
        for grid in whole["extraction"]:
            if grid["defenses"] is None:
                del grid["defenses"]
            if not grid["proxy"]:
                del grid["proxy"]
        if self.target is not None and self.public().target != self.target:
            whole["target"]["address"] = digest(self.target.model)
        return whole
