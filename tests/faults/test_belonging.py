"""A run knows what it belongs to: what changed since is refused, with both sides named."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from recsec.audit import parse_plan, run_audit
from recsec.errors import ConfigError, RecsecError, RunError
from recsec.targets import SPOTS

if TYPE_CHECKING:
    from conftest import Place

COMMAND = "recsec audit plan.toml --out run"
BOTH = r"was \w{12}, now it is \w{12}"


def half_done(place: Place, plan: dict[str, Any]) -> None:
    """The owner's answers are recorded, and so is half of the thief's."""
    place.killed("transcript/mixed-k10-s0/journal", 13, plan)


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run imports the function anew."""
    monkeypatch.delitem(sys.modules, "planted_api", raising=False)


@pytest.mark.hostile(kind="runs", what="a function's source changed while its run was interrupted")
@pytest.mark.hint("give --out another folder, or bring the old one back{}")
def test_another_function_is_refused(
    place: Place, undisturbed: Place, plan: dict[str, Any], monkeypatch: Any
) -> None:
    half_done(place, plan)
    before = place.asked
    api = place.folder / "planted_api.py"
    text = api.read_text()
    api.write_text(text.replace("* 7 +", "* 9 +"))
    forget(monkeypatch)
    with pytest.raises(RunError, match=rf"planted_api\.py changed .*{BOTH}") as caught:
        place.run(plan)
    assert place.asked == before, "nothing was asked"
    assert "--same-answers" in str(caught.value.hint)
    with pytest.raises(RunError, match=r"call \d+ was answered \[.*\] then, and is answered \["):
        run_audit(parse_plan(plan), "run", command="recsec", same_answers=True)
    api.write_text(text)
    place.run(plan)
    assert place.report == undisturbed.report


@pytest.mark.hostile(kind="runs", what="a function's source changed, its answers did not")
def test_the_same_answers_from_other_code_are_believed_when_asked_again(
    place: Place, undisturbed: Place, plan: dict[str, Any], monkeypatch: Any
) -> None:
    half_done(place, plan)
    before = len(place.asked)
    api = place.folder / "planted_api.py"
    api.write_text(api.read_text() + "\n\nREPAIRED = True\n")
    forget(monkeypatch)
    run_audit(parse_plan(plan), "run", command=COMMAND, same_answers=True)
    assert place.report == undisturbed.report
    spots = json.loads((place.folder / "run" / "cells" / "spot-check-1.json").read_text())["calls"]
    assert spots > SPOTS
    under_way = 8
    assert len(place.asked) - before == len(undisturbed.asked) - before + under_way + spots
    place.run(plan)  # the new code is what the run belongs to now


@pytest.mark.hostile(kind="runs", what="a function answers otherwise though its source is the same")
@pytest.mark.hint("bring back the target that answered then, or give --out another folder")
def test_what_no_file_tells_is_found_by_asking_again(place: Place, plan: dict[str, Any]) -> None:
    half_done(place, plan)
    (place.folder / "other-mood").touch()
    with pytest.raises(RunError, match=r"call \d+ was answered \[.*\] then, and is answered \["):
        place.run(plan)
    (place.folder / "other-mood").unlink()
    place.run(plan)


@pytest.mark.hostile(kind="runs", what="settings, items or weights of a checkpoint changed")
@pytest.mark.parametrize("name", ["config.json", "items.parquet", "model.safetensors"])
def test_another_checkpoint_is_refused(
    place: Place, plan: dict[str, Any], monkeypatch: Any, name: str
) -> None:
    place.run({**plan, "target": {"train": "markov", "data": "shop.csv", "twins": 0}})
    shutil.copytree(place.folder / "run" / "target", place.folder / "model")
    shutil.rmtree(place.folder / "run")
    model = {**plan, "target": {"model": "model", "data": "shop.csv", "twins": 0}}
    place.run(model)
    path = place.folder / "model" / name
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"seed": 0', b'"seed": 7') if name == "config.json"
                     else content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])  # fmt: skip
    with pytest.raises(RecsecError, match=rf"{name} (changed .*{BOTH}|is damaged)|footer|Parquet"):
        place.run(model)


@pytest.mark.hostile(kind="runs", what="a bit of a recorded answer flipped")
@pytest.mark.parametrize(
    "name",
    [
        "transcript/mixed-k10-s0/calls-*.parquet",
        "answers/mixed-k10-c150-s0.parquet",
        "answers/target.parquet",
        "answers/floor.parquet",
        "cells/ask-mixed-k10-s0.json",
    ],
)
@pytest.mark.hint("delete that file and run the same command again: only this is done again")
@pytest.mark.hint("delete that file and run the same command again: only its calls are asked again")
def test_damage_is_named_and_the_hint_helps(
    place: Place, undisturbed: Place, plan: dict[str, Any], name: str
) -> None:
    shutil.copytree(undisturbed.folder / "run", place.folder / "run")
    path = next((place.folder / "run").glob(name))
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with pytest.raises(RunError, match=path.name) as caught:
        place.run(plan)
    assert str(caught.value.hint).startswith("delete that file and run the same command again")
    path.unlink()
    place.run(plan)
    assert place.report == undisturbed.report
    calls = 150 + SPOTS if name.startswith("transcript") else 0
    assert len(place.asked) == calls


def wrong_rate(plan: dict[str, Any]) -> dict[str, Any]:
    """A plan whose surrogates can only fail."""
    settings = {**plan["extraction"]["surrogate_settings"], "lr": 1e30, "warmup": 0.0}
    return {**plan, "extraction": {**plan["extraction"], "surrogate_settings": settings}}


def test_a_corrected_plan_asks_nothing_again(
    place: Place, undisturbed: Place, plan: dict[str, Any]
) -> None:
    place.run(wrong_rate(plan))
    assert json.loads(place.report)["verdict"]["level"] == "incomplete"
    before = place.asked
    place.run(plan)
    assert place.asked == before
    assert place.report == undisturbed.report
    with pytest.raises(RunError, match="belongs to another plan"):
        place.run(wrong_rate(plan))


def test_another_folder_takes_the_answers_along(
    place: Place, undisturbed: Place, plan: dict[str, Any]
) -> None:
    place.run(wrong_rate(plan))
    before = len(place.asked)
    run_audit(parse_plan(plan), "other", command=COMMAND, answers_of="run")
    assert len(place.asked) == before
    assert (place.folder / "other" / "report.json").read_bytes() == undisturbed.report


def test_other_questions_are_asked_and_the_first_ones_come_back(
    place: Place, undisturbed: Place, plan: dict[str, Any]
) -> None:
    other = {**plan, "extraction": {**plan["extraction"], "sessions": 5}}
    half_done(place, other)
    place.run(plan)
    assert place.report == undisturbed.report
    owner, thief, preflight = 40, 150, 72
    assert len(place.asked) > owner + thief + preflight


@pytest.mark.parametrize(
    "change",
    [
        lambda plan: plan["engine"].update(device="evil"),
        lambda plan: plan["engine"].update(device="cuda:99"),
        lambda plan: plan.update(cost={"calls_per_second": float("inf")}),
        lambda plan: plan["extraction"]["surrogate_settings"].update(lr=float("nan")),
        lambda plan: plan["extraction"]["surrogate_settings"].update(lr=-1.0),
        lambda plan: plan["extraction"]["surrogate_settings"].update(lr=float("inf")),
        lambda plan: plan["extraction"]["surrogate_settings"].update(dropout=float("nan")),
        lambda plan: plan["gate"].update(high=float("nan")),
        lambda plan: plan["target"]["twins"].update(model="no-such-model"),
        lambda plan: plan["target"]["twins"].update(settings={"reach": -3}),
        lambda plan: plan["extraction"].update(surrogate="markov"),
        lambda plan: plan["extraction"].update(loss="listmle", adaptive=["set-only"]),
        lambda plan: plan["extraction"].update(policies="few-shot"),
        lambda plan: plan["extraction"].update(leak=1e-9),
    ],
)
@pytest.mark.hostile(kind="runs", what="a plan that can only fail after its calls were paid")
def test_a_plan_that_can_only_fail_asks_nothing(
    place: Place, plan: dict[str, Any], change: Callable[[dict[str, Any]], None]
) -> None:
    from copy import deepcopy

    broken = deepcopy(plan)
    change(broken)
    with pytest.raises(ConfigError):
        place.run(broken)
    assert place.asked == []
    assert not (place.folder / "run").exists()


@pytest.mark.hostile(kind="runs", what="a disk without room for what a plan records")
@pytest.mark.hint("make room, or give --out a folder on another disk")
def test_room_on_the_disk_is_looked_for_first(place: Place, plan: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 1))
        with pytest.raises(RunError, match=r"needs about .* and has"):
            place.run(plan)
    assert place.asked == []
    place.run(plan)


def test_a_run_folder_of_the_undisturbed(undisturbed: Place) -> None:
    """The folder that the others copy holds what they damage."""
    assert list((undisturbed.folder / "run" / "transcript").rglob("calls-*.parquet"))
    assert Path(undisturbed.folder / "run" / "answers" / "target.parquet").exists()
