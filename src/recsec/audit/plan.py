"""What an audit is asked to do: a TOML file, read into frozen models that refuse unknown words."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from recsec.attacks.extraction import Adaptive
from recsec.audit.evasion.plan import EvasionGatePlan, EvasionPlan, ModelPlan, VisualPlan
from recsec.audit.extraction.defense_plan import DefensePlan
from recsec.audit.extraction.opening import is_checkpoint
from recsec.audit.sections import Positive, Section, Seed, Several
from recsec.errors import ConfigError
from recsec.registry import registry
from recsec.reports import UNDEFENDED
from recsec.runs import digest
from recsec.targets.http.config import public_url

__all__ = [
    "EnginePlan",
    "EvaluationPlan",
    "ExtractionPlan",
    "GatePlan",
    "Plan",
    "TargetPlan",
    "TwinRecipe",
    "load_plan",
    "parse_plan",
]


class TwinRecipe(Section):
    """How to train independent models where the target itself does not say how it was trained."""

    count: int = Field(default=1, ge=0, le=10, description="how many, each with its own seed")
    model: str | None = Field(default=None, description="architecture; null: the target's own")
    settings: dict[str, Any] = Field(default_factory=dict, description="of that architecture")


def _recipe(value: Any) -> Any:
    """A number of twins stands for a recipe."""
    return {"count": value} if isinstance(value, int) else value


class TargetPlan(Section):
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
    data: str = Field(description="data set on whose users fidelity is measured")
    columns: dict[str, str] = Field(
        default_factory=dict, description="of an own file: {user = .., item = .., time = ..}"
    )
    access: Literal["ids"] = Field(default="ids", description="what an answer reveals")
    twins: Annotated[TwinRecipe, BeforeValidator(_recipe)] = Field(
        default_factory=TwinRecipe,
        description="independent models for scale: a number, or {count, model, settings}",
    )
    name: str | None = Field(
        default=None, min_length=1, description="what the report calls the target"
    )

    @model_validator(mode="after")
    def _one_source(self) -> TargetPlan:
        if (self.model is None) == (self.train is None):
            raise ValueError("give either model (a finished target) or train (an architecture)")
        if self.model is not None and self.settings:
            raise ValueError("settings belong to train; a finished model has its own")
        return self


class ExtractionPlan(Section):
    """``[extraction]``: a grid of attacks. Several tables ``[[extraction]]`` are several grids."""

    policies: Several[str] = Field(default=("random", "autoregressive", "mixed"))
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


class GatePlan(Section):
    """``[gate]``: what turns evidence into a verdict."""

    metric: Literal["lift", "agr@1", "agr@10", "rbo", "hr_ratio"] = "lift"
    statistic: Literal["low", "value", "high"] = "low"
    moderate: float = 0.1
    high: float = 0.3
    fail_at: Literal["moderate", "high", "never"] = "high"
    max_calls: Positive | None = Field(
        default=None, description="rows with more calls do not count"
    )
    evasion: EvasionGatePlan = Field(
        default_factory=EvasionGatePlan, description="the same for evasion"
    )

    @model_validator(mode="after")
    def _ordered(self) -> GatePlan:
        if self.moderate > self.high:
            raise ValueError(f"moderate = {self.moderate} is above high = {self.high}")
        return self


class EnginePlan(Section):
    """``[engine]``: where the work is done. ``workers`` never changes a result; threads may."""

    workers: Positive | None = Field(
        default=None, description="processes; null: one per core, at most 4"
    )
    threads: Positive = Field(
        default=1, description="threads of the numerical library in each worker"
    )
    device: str = "auto"

    @property
    def processes(self) -> int:
        """``workers`` decided for this machine."""
        return self.workers or max(1, min(4, (os.cpu_count() or 1) // self.threads))


class CostPlan(Section):
    """``[cost]``: the rate limit under which calls are turned into hours."""

    calls_per_second: float = Field(default=10.0, gt=0)


class Plan(Section):
    """A whole audit: extraction of a recommender, evasion of a visual one, or both."""

    title: str | None = Field(default=None, min_length=1, description="of the report")
    target: TargetPlan | None = None
    defense: Several[DefensePlan] = ()
    extraction: Several[ExtractionPlan] = ()
    visual: VisualPlan | None = None
    evasion: Several[EvasionPlan] = ()
    evaluation: EvaluationPlan = Field(default_factory=EvaluationPlan)
    gate: GatePlan = Field(default_factory=GatePlan)
    engine: EnginePlan = Field(default_factory=EnginePlan)
    cost: CostPlan = Field(default_factory=CostPlan)

    @model_validator(mode="after")
    def _some_threat(self) -> Plan:
        for subject, grids, words in (
            (self.target, self.extraction, "[target] and [[extraction]]"),
            (self.visual, self.evasion, "[visual] and [[evasion]]"),
        ):
            if (subject is None) == bool(grids):
                raise ValueError(f"{words} belong together, and one of them is missing")
        if self.target is None and self.visual is None:
            raise ValueError("nothing to attack: give [target], [visual] or both")
        if self.visual is not None:
            self._check_names(self.visual)
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
        if target.model is not None and not is_checkpoint(target.model):
            for defense in self.defense:
                if defense.model is None:
                    raise ValueError(
                        f"the guards of {defense.name!r} stand before a checkpoint, not before "
                        f"{target.model}: a callable and an API bring their own"
                    )
        for grid in self.extraction:
            for name in grid.defenses or ():
                if name not in self.rows:
                    raise ValueError(f"no defense {name!r}; there are: {', '.join(self.rows)}")
        if not any(UNDEFENDED in (grid.defenses or self.rows) for grid in self.extraction):
            raise ValueError(
                f"no [[extraction]] meets {UNDEFENDED!r}, and the verdict is about the bare target"
            )

    def _check_names(self, visual: VisualPlan) -> None:
        """Models and attacks that are named exist, where they are named.

        Raises:
            ValueError: with the name.
        """
        models = [model.name for model in visual.models]
        named = [name for grid in self.evasion for name in grid.models or ()]
        named += [self.gate.evasion.model] if self.gate.evasion.model is not None else []
        for name in named:
            if name not in models:
                raise ValueError(f"no model {name!r}; there are: {', '.join(models)}")
        above = ["all"]
        for grid in self.evasion:
            for label in grid.survivors_of or ():
                if label not in above:
                    raise ValueError(
                        f"survivors_of: no attack {label!r} in the tables above; there are: "
                        f"{', '.join(above)}"
                    )
            above += [attack.label for attack in grid.attacks]

    def public(self) -> Plan:
        """The same plan without what an address may hide: user, password, query."""
        model = None if self.target is None else self.target.model
        if self.target is None or model is None or not model.startswith(("http://", "https://")):
            return self
        target = self.target.model_copy(update={"model": public_url(model)})
        return self.model_copy(update={"target": target})

    def evidence(self) -> dict[str, Any]:
        """The part on which measurements depend, and so what a run directory belongs to.

        Thresholds, prices, the title and the number of workers may change between two runs of the
        same command: the finished work is then judged anew, and nothing is asked again.
        """
        public = self.public()
        whole = public.model_dump(mode="json", exclude={"title", "gate", "cost"})
        del whole["engine"]["workers"]
        if not self.defense:  # as it was before there were defenses, so that old runs go on
            del whole["defense"]
        for grid in whole["extraction"]:
            if grid["defenses"] is None:
                del grid["defenses"]
        if self.target is not None and public is not self:
            whole["target"]["address"] = digest(self.target.model)
        return whole


def parse_plan(values: Mapping[str, Any], *, where: str = "the plan") -> Plan:
    """A plan from plain data.

    Args:
        values: what a TOML file holds.
        where: what to call its source in a message.

    Raises:
        ConfigError: every key that does not fit, and what is allowed there.
    """
    try:
        return Plan.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(_fault(dict(fault)) for fault in error.errors())
        raise ConfigError(f"{where}: {faults}", hint="recsec audit init shows every key") from error


def load_plan(path: Path | str) -> Plan:
    """Read a plan.

    Raises:
        ConfigError: the file is missing, is no TOML, or does not fit.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read the plan {path}: {error.strerror}", hint="recsec audit init writes one"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    return parse_plan(values, where=str(path))


SECTIONS = (
    TargetPlan,
    DefensePlan,
    ExtractionPlan,
    VisualPlan,
    EvasionPlan,
    ModelPlan,
    EvaluationPlan,
    GatePlan,
    EvasionGatePlan,
    EnginePlan,
    CostPlan,
)


def _section(path: tuple[str | int, ...]) -> type[BaseModel]:
    """The section in which a key stands."""
    section: type[BaseModel] = Plan
    for name in path[:-1]:
        field = section.model_fields.get(str(name))
        for kind in SECTIONS:
            if field is not None and kind.__name__ in str(field.annotation):
                section = kind
        if name == "twins":
            section = TwinRecipe
    return section


def _fault(fault: dict[str, Any]) -> str:
    path = fault["loc"]
    key = ".".join(str(part) for part in path if part != 0) or "plan"
    if fault["type"] == "extra_forbidden":
        return f"there is no key {key!r}; allowed: {', '.join(_section(path).model_fields)}"
    if fault["type"] == "missing":
        return f"the key {key!r} is missing"
    text = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return f"{key}: {text}"
    return f"{key} = {fault['input']!r}: {text[0].lower()}{text[1:]}"
