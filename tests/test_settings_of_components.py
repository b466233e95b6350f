"""Settings that mean nothing are refused when they are read, whatever component they are of."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from recsec.attacks.extraction import ExtractionConfig
from recsec.attacks.extraction.adaptive import Adaptive
from recsec.detection.fit import FitConfig
from recsec.registry import KINDS, registry
from recsec.traffic.clicks import ClickLaw

OTHERS = (Adaptive, ClickLaw, ExtractionConfig, FitConfig)
"""Settings of no component."""


def config_classes() -> dict[str, type[BaseModel]]:
    found: dict[str, type[BaseModel]] = {kind.__name__: kind for kind in OTHERS}
    for kind in KINDS:
        for key, component in registry(kind).items().items():
            config = getattr(component, "config_class", None) or getattr(component, "Config", None)
            if config is not None:
                found[f"{kind}.{key}"] = config
    return found


def kinds_of(annotation: object) -> set[object]:
    """The plain types that a field takes."""
    if typing.get_origin(annotation) is typing.Annotated:
        return kinds_of(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return set().union(*map(kinds_of, typing.get_args(annotation)))
    return {annotation}


def numbers() -> Iterator[tuple[str, type[BaseModel], str, set[object]]]:
    for name, config in config_classes().items():
        for field, info in config.model_fields.items():
            kinds = kinds_of(info.annotation)
            if kinds & {int, float}:
                yield f"{name}.{field}", config, field, kinds


FIELDS = list(numbers())


def refuses(config: type[BaseModel], field: str, value: object) -> bool:
    try:
        config.model_validate({field: value})
    except ValidationError as error:
        return any(fault["loc"][:1] == (field,) for fault in error.errors())
    return False


def test_the_walk_finds_the_settings() -> None:
    assert len(config_classes()) > 40
    assert {name for name, *_ in FIELDS} > {"models.sasrec.epochs", "hardenings.gro.lr"}


@pytest.mark.hostile(kind="settings", what="NaN and infinities, in every number of every component")
@pytest.mark.parametrize(
    ("config", "field"),
    [pytest.param(config, field, id=name) for name, config, field, kinds in FIELDS],
)
def test_a_number_is_finite(config: type[BaseModel], field: str) -> None:
    for value in (math.nan, math.inf, -math.inf, "nan", "inf"):
        assert refuses(config, field, value), value


@pytest.mark.hostile(kind="settings", what="-1, in every number of every component")
@pytest.mark.parametrize(
    ("config", "field"),
    [pytest.param(config, field, id=name) for name, config, field, kinds in FIELDS],
)
def test_no_number_is_negative(config: type[BaseModel], field: str) -> None:
    assert refuses(config, field, -1)
