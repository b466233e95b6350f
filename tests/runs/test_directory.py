"""A run directory belongs to one plan and survives its processes."""

import json
import os
import subprocess
import sys

import pytest

from recsec.errors import RunError
from recsec.runs import RunDirectory, environment
from recsec.runs import directory as module

PLAN = {"seed": 1, "extraction": {"k": [10, 100], "policy": "mixed"}}


def take(path, plan=PLAN, kind="audit"):
    return RunDirectory.create_or_resume(path, kind, plan, threads=1)


def test_the_same_plan_continues_where_it_was(tmp_path):
    with take(tmp_path / "run") as run:
        assert run.done("cell-1") is None
        run.finish("cell-1", {"value": 0.5})
    with take(tmp_path / "run", {"extraction": dict(PLAN["extraction"]), "seed": 1}) as again:
        assert again.done("cell-1") == {"value": 0.5}
        assert [event["event"] for event in again.events()] == ["created", "resumed"]
    read = RunDirectory.open(tmp_path / "run")
    assert read.plan == PLAN
    assert read.kind == "audit"
    assert read.threads == 1


def test_another_plan_is_refused_and_the_difference_named(tmp_path):
    with take(tmp_path) as run:
        run.finish("cell", {})
    changed = {**PLAN, "extraction": {"k": [10], "policy": "mixed"}}
    with pytest.raises(RunError, match=r"differ in extraction\.k") as caught:
        take(tmp_path, changed)
    assert "--out" in caught.value.hint
    with pytest.raises(RunError, match="kind 'audit', not 'train'"):
        take(tmp_path, kind="train")
    take(tmp_path).close()  # a refusal lets go of the lock


def test_a_folder_in_which_nothing_was_done_is_free_for_another_plan(tmp_path):
    """A plan that failed at once is corrected, and the same --out takes the correction."""
    take(tmp_path).close()
    with take(tmp_path, {"seed": 2}, kind="train") as run:
        assert run.plan == {"seed": 2}
        run.finish("cell", {})
    with pytest.raises(RunError, match="of kind 'train'"):
        take(tmp_path)


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match=r"thesis\.tex"):
        take(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.hint("wait until it ends, or give --out another folder")
def test_two_processes_do_not_work_in_one_folder(tmp_path):
    code = (
        "import sys; from recsec.runs import RunDirectory; "
        "run = RunDirectory.create_or_resume(sys.argv[1], 'audit', {'a': 1}, threads=1); "
        "print('taken', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout.readline() == "taken\n"
        with pytest.raises(RunError, match="another process"):
            take(tmp_path, {"a": 1})
    finally:
        other.kill()
        other.communicate()
    take(tmp_path, {"a": 1}).close()  # the lock dies with its holder


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kind": "audit"}', "\x00\x01"])
def test_a_broken_description_is_named(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunError, match=r"run\.json"):
        RunDirectory.open(tmp_path)


def test_a_changed_result_is_named_and_the_hint_helps(tmp_path):
    with RunDirectory.create_or_resume(tmp_path, "audit", {"a": 1}) as run:
        run.finish("cell", {"calls": 14})
        path = tmp_path / "cells" / "cell.json"
        path.write_text(path.read_text().replace("14", "15"))
        with pytest.raises(RunError, match=r"cell\.json is damaged") as caught:
            run.done("cell")
        assert str(caught.value.hint).startswith("delete that file")
        path.unlink()
        assert run.done("cell") is None


def test_a_changed_plan_is_named(tmp_path):
    RunDirectory.create_or_resume(tmp_path, "audit", {"seed": 14}).close()
    path = tmp_path / "run.json"
    path.write_text(path.read_text().replace("14", "15"))
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        RunDirectory.open(tmp_path)


def test_damaged_timings_stop_nobody(tmp_path):
    with RunDirectory.create_or_resume(tmp_path, "audit", {"a": 1}) as run:
        (tmp_path / "timings.json").write_text('{"seconds": [1')
        run.add_seconds("asking", 2.0)
    assert '"asking": 2.0' in (tmp_path / "timings.json").read_text()


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(RunError, match="no folder"):
        RunDirectory.open(tmp_path / "nowhere")
    with pytest.raises(RunError, match="not a run directory"):
        RunDirectory.open(tmp_path)


def test_a_torn_event_line_is_skipped_and_the_next_one_is_whole(tmp_path):
    with take(tmp_path) as run:
        with open(tmp_path / "events.jsonl", "a") as file:
            file.write('{"event": "half')
        run.record("after", calls=3)
        assert [event["event"] for event in run.events()] == ["created", "after"]


def test_leftovers_of_a_killed_writer_go(tmp_path):
    take(tmp_path).close()
    left = tmp_path / "cells" / ".a.json.77.unfinished"
    left.parent.mkdir()
    left.write_text("half")
    take(tmp_path).close()
    assert not left.exists()


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 300])
def test_a_cell_cannot_leave_the_folder(tmp_path, name):
    with take(tmp_path) as run, pytest.raises(ValueError, match="cannot name a cell"):
        run.finish(name, {})


def test_times_are_kept_apart_and_add_up(tmp_path):
    with take(tmp_path) as run:
        run.add_seconds("collect", 1.5)
        run.add_seconds("collect", 0.25)
        with run.timed("render"):
            pass
    timings = json.loads((tmp_path / "timings.json").read_text())
    assert timings["seconds"]["collect"] == 1.75
    assert timings["seconds"]["render"] >= 0
    assert "host" not in (tmp_path / "run.json").read_text()


def test_a_second_version_is_told(tmp_path, monkeypatch):
    take(tmp_path).close()
    now = environment(threads=1)
    now["versions"]["torch"] = "9.9"
    monkeypatch.setattr(module, "environment", lambda threads: now)
    with take(tmp_path) as run:
        assert run.versions["torch"].endswith(", then 9.9")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_a_run_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="cannot write"):
        take(tmp_path / "run")
    tmp_path.chmod(0o700)


def test_the_environment_names_what_numbers_depend_on():
    found = environment(threads=3)
    assert found["threads"] == 3
    assert {"python", "recsec", "torch", "numpy"} <= found["versions"].keys()
    assert environment()["threads"] >= 1


def test_a_word_that_cannot_be_written_frees_the_folder(tmp_path):
    with take(tmp_path / "run"):
        pass
    (tmp_path / "run" / ".attempt").unlink()
    (tmp_path / "run" / ".attempt").mkdir()
    with pytest.raises(RunError, match="cannot write in"):
        take(tmp_path / "run")
    (tmp_path / "run" / ".attempt").rmdir()
    take(tmp_path / "run").close()
