"""The vocabulary of sources and commands holds together, and messages say the way out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from recsec.errors import UsageError
from recsec.sources import (
    CAPABILITIES,
    COMMANDS,
    KINDS,
    SAID,
    is_folder,
    kind_of_source,
    lacking,
    needs,
    offered,
    refuse_source,
)


def test_every_capability_is_said_given_and_known() -> None:
    assert set(SAID) == set(CAPABILITIES)
    assert set().union(*(kind.gives for kind in KINDS)) == set(CAPABILITIES)
    assert set().union(*(command.needs for command in COMMANDS.values())) <= set(CAPABILITIES)


def test_each_threat_ends_with_the_kind_that_takes_the_rest() -> None:
    for threat in ("extraction", "evasion"):
        kinds = [kind for kind in KINDS if kind.threat == threat]
        assert [kind.pattern == ".*" for kind in kinds] == [False] * (len(kinds) - 1) + [True]
        assert len({kind.name for kind in kinds}) == len(kinds)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("callable:shop:recommend", "callable"),
        ("https://shop.example/top", "address"),
        ("shop/target.toml", "toml"),
        ("runs/sasrec", "checkpoint"),
        ("", "checkpoint"),
    ],
)
def test_words_name_a_kind(spec: str, name: str) -> None:
    assert kind_of_source(spec, "extraction").name == name
    assert is_folder(spec) == (name == "checkpoint")


def test_what_is_missing_is_said_with_the_way_out() -> None:
    with pytest.raises(UsageError, match=r"harden needs weights .* gives lists of items") as caught:
        refuse_source("harden", "callable:shop:recommend")
    assert caught.value.hint == "give a checkpoint folder"
    refuse_source("harden", "runs/sasrec")


def test_a_source_may_give_less_than_its_kind() -> None:
    assert lacking("similar", {"ids"}) == ["embeddings"]
    with pytest.raises(UsageError, match="this gives nothing"):
        needs("recommend", "runs/broken", ())


def test_forms_that_cannot_do_it_are_not_offered() -> None:
    assert offered("extraction", ["weights"]) == "a checkpoint folder"
    assert offered("extraction", ["embeddings"]) == "nothing that recsec opens"


def test_the_vocabulary_needs_no_library() -> None:
    code = "import sys, recsec.sources; print({'torch', 'numpy', 'polars'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout.strip() == "set()"
