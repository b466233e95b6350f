"""The tables of a plan that are about visual recommenders."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from recsec.attacks.evasion import POLICIES
from recsec.audit.sections import GatePlan, Plan, Positive, Section, Seed, Several
from recsec.registry import registry
from recsec.targets.http.addresses import public_url

__all__ = [
    "AttackPlan",
    "EvasionGate",
    "EvasionGatePlan",
    "EvasionPlan",
    "EvasionTables",
    "ModelPlan",
    "SurrogatePlan",
    "VisualPlan",
]

Budget: TypeAlias = Annotated[float, Field(gt=0, le=1)]


class ModelPlan(Section):
    """``[[visual.models]]``: a model under test. One of ``model``, ``train`` and ``harden``."""

    name: str = Field(min_length=1, description="what the report calls it")
    model: str | None = Field(default=None, description="as evade --model takes it")
    train: str | None = Field(default=None, description="architecture that the audit trains itself")
    harden: str | None = Field(default=None, description="hardening method the audit applies")
    base: str | None = Field(
        default=None, description="name of the model that is hardened; null: the first one"
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="of training or hardening")
    seed: Seed = Field(default=0, description="of training or hardening")

    @model_validator(mode="after")
    def _one_source(self) -> ModelPlan:
        if sum(source is not None for source in (self.model, self.train, self.harden)) != 1:
            raise ValueError("give one of model (a checkpoint), train and harden")
        if self.model is not None and self.settings:
            raise ValueError("settings belong to train and harden; a checkpoint has its own")
        if self.base is not None and self.harden is None:
            raise ValueError("base belongs to harden")
        return self


class SurrogatePlan(Section):
    """``[visual.surrogate]``: what ``transfer`` attacks on that name no surrogates.

    The audit trains it on the photos of the catalog, as an attacker could who sees the shop.
    """

    train: str = Field(default="resnet", description="architecture")
    settings: dict[str, Any] = Field(default_factory=dict, description="of its training")
    seed: Seed = Field(default=1, description="of its training; another than the model's")


class VisualPlan(Section):
    """``[visual]``: models under test, their photos, and the pairs that every attack gets."""

    data: str = Field(description="photos: a known set, photos:items=600, or a folder")
    models: Several[ModelPlan] = Field(description="the first one is the recommender as it is")
    pairs: Positive = Field(default=200, description="pairs of photo and target item at each eps")
    pairs_at: dict[str, Positive] = Field(
        default_factory=dict, description='more or fewer at some: {"0.05" = 1000}'
    )
    policy: str = Field(
        default="cross-category", description=f"{', '.join(POLICIES)}, or a CSV: item,target"
    )
    split: Literal["test", "validation"] = Field(
        default="test", description="held-out photos from which pairs are drawn"
    )
    seed: Seed = Field(default=0, description="of pairs, noise and random starts")
    surrogate: SurrogatePlan = Field(
        default_factory=SurrogatePlan,
        description="what the audit trains for transfer attacks that name no surrogates",
    )

    @model_validator(mode="after")
    def _names_fit(self) -> VisualPlan:
        names: list[str] = []
        for model in self.models:
            if model.name in names:
                raise ValueError(f"two models are called {model.name!r}")
            if model.harden is not None and (model.base or (names or [""])[0]) not in names:
                raise ValueError(
                    f"{model.name} is hardened from {model.base!r}, which is no model above it"
                )
            names.append(model.name)
        if self.policy not in POLICIES and not self.policy.endswith(".csv"):
            raise ValueError(
                f"no pair policy {self.policy!r}; allowed: {', '.join(POLICIES)}, or a CSV file"
            )
        for eps in self.pairs_at:
            try:
                fits = 0 < float(eps) <= 1
            except ValueError:
                fits = False
            if not fits:
                raise ValueError(f"pairs_at: {eps!r} is no eps between 0 and 1")
        return self

    def count(self, eps: float) -> int:
        """Pairs at a budget."""
        at = {float(key): count for key, count in self.pairs_at.items()}
        return at.get(eps, self.pairs)

    def base_of(self, model: ModelPlan) -> str:
        """Name of the model that ``model`` is hardened from."""
        return model.base or self.models[0].name


class AttackPlan(Section):
    """An attack and those of its settings that differ from its defaults."""

    key: str
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> AttackPlan:
        known = registry("attacks").keys()
        if self.key not in known and self.key.rpartition("-")[0] not in known:
            raise ValueError(f"no attack {self.key!r}; allowed: {', '.join(known)}")
        return self

    @property
    def label(self) -> str:
        """``pgd`` or ``pgd steps=8``, as the report prints it.

        >>> AttackPlan.model_construct(key="pgd", settings={"steps": 8}).label
        'pgd steps=8'
        """
        return " ".join([self.key, *(f"{k}={self.settings[k]}" for k in sorted(self.settings))])


def _attack(value: Any) -> Any:
    """``"pgd"`` or ``{ attack = "pgd", steps = 8 }``."""
    if isinstance(value, str):
        return {"key": value}
    if isinstance(value, dict) and "attack" in value:
        settings = {name: setting for name, setting in value.items() if name != "attack"}
        return {"key": value["attack"], "settings": settings}
    return value


Attack: TypeAlias = Annotated[AttackPlan, BeforeValidator(_attack)]


class EvasionPlan(Section):
    """``[[evasion]]``: a grid of attacks and budgets. Several tables are several grids."""

    attacks: Several[Attack] = Field(
        default=(AttackPlan(key="auto"),),
        description='keys (auto, mi-100), or {attack = "mi", momentum = 0.5}',
    )
    eps: Several[Budget] = Field(description="L-infinity budgets, shares of the pixel range")
    pairs: Positive | None = Field(
        default=None, description="at most so many of the pairs; null: all of them"
    )
    models: Several[str] | None = Field(default=None, description="names; null: all models")
    survivors_of: Several[str] | None = Field(
        default=None,
        description="only pairs that none of these attacks brought to rank 1; all: every attack "
        "of the tables above",
    )
    size: Positive | None = Field(
        default=None,
        description="side of the attacked photos in pixels, made small inside the gradient; null: "
        "what the models see",
    )
    project: bool = Field(
        default=True, description="put images into the ball; off: measured as the attack left them"
    )


class EvasionGatePlan(Section):
    """``[gate.evasion]``: what turns evidence of evasion into a verdict."""

    metric: Literal["success@1", "success@3", "success@10", "success@100"] = "success@10"
    statistic: Literal["low", "value", "high"] = "low"
    eps: Budget = Field(default=0.05, description="the largest budget that counts")
    model: str | None = Field(default=None, description="the model judged; null: the first one")
    moderate: float = 0.02
    high: float = 0.1

    @model_validator(mode="after")
    def _ordered(self) -> EvasionGatePlan:
        if self.moderate > self.high:
            raise ValueError(f"moderate = {self.moderate} is above high = {self.high}")
        return self


class EvasionGate(GatePlan):
    """``[gate]`` with its table ``[gate.evasion]``."""

    evasion: EvasionGatePlan = Field(
        default_factory=EvasionGatePlan, description="the same for evasion"
    )


class EvasionTables(Plan):
    """A plan with the tables of evasion."""

    visual: VisualPlan | None = None
    evasion: Several[EvasionPlan] = ()

    @model_validator(mode="after")
    def _photos_fit(self) -> Self:
        if (self.visual is None) == bool(self.evasion):
            raise ValueError("[visual] and [[evasion]] belong together, and one of them is missing")
        if self.visual is not None:
            self._check_names(self.visual)
        return self

    def public(self) -> Self:
        """See ``Plan.public``: the address of a search may hide user, password and query."""
        if self.visual is None:
            return super().public()
        models = [
            model.model_copy(update={"model": _public(model.model)}) for model in self.visual.models
        ]
        visual = self.visual.model_copy(update={"models": tuple(models)})
        return super().public().model_copy(update={"visual": visual})

    def _check_names(self, visual: VisualPlan) -> None:
        """Models and attacks that are named exist, where they are named.

        Raises:
            ValueError: with the name.
        """
        models = [model.name for model in visual.models]
        named = [name for grid in self.evasion for name in grid.models or ()]
        judged = self.gate.of(EvasionGate).evasion.model
        named += [judged] if judged is not None else []
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


def _public(spec: str | None) -> str | None:
    address = spec is not None and spec.startswith(("http://", "https://"))
    return public_url(spec) if address and spec is not None else spec
