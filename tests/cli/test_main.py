"""The front door: what is imported, how it fails, which exit code."""

from __future__ import annotations

import json
import subprocess
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recsec import __version__
from recsec.cli import main as front
from recsec.cli.shared.common import JsonOption, QuietOption
from recsec.cli.shared.output import emit, note, resumable
from recsec.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    EvidenceIncomplete,
    RecsecError,
    RunError,
    TargetError,
    UsageError,
)

Install = Callable[[Callable[..., Any]], None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a function in the place of ``recsec train``."""

    def put(run: Callable[..., Any]) -> None:
        module = types.ModuleType("recsec.cli.train")
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "recsec.cli.train", module)

    return put


def raising(error: BaseException) -> Callable[..., None]:
    def run(json: JsonOption = False) -> None:
        """Fail."""
        raise error

    return run


def test_help_imports_nothing_heavy() -> None:
    """The root's help and every command's help, each in a fresh interpreter."""
    code = (
        "import sys; from recsec.cli.main import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'polars', 'matplotlib', 'scipy'} & set(sys.modules);"
        "sys.stderr.write(' '.join(sorted(heavy))); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", front.COMMANDS)
def test_help_of_a_command_needs_no_torch(name: str) -> None:
    code = (
        "import sys; from recsec.cli.main import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'matplotlib', 'scipy'} & set(sys.modules);"
        "sys.stderr.write(' '.join(sorted(heavy))); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, name, "--help"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--help" in done.stdout


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert front.main(["--version"]) == 0
    assert capsys.readouterr().out == f"recsec {__version__}\n"


def test_no_words_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert front.main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name}" in shown for name in front.COMMANDS)
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (ConfigError("x"), 2),
        (DataError("x"), 3),
        (CheckpointError("x"), 3),
        (RunError("x"), 3),
        (TargetError("x"), 3),
        (EvidenceIncomplete("x"), 4),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("a defect"), 3),
        (PermissionError(13, "Permission denied", "report.json"), 3),
    ],
)
def test_each_error_has_its_exit_code(
    install: Install, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    install(raising(error))
    assert front.main(["train"]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_an_error_says_what_was_found_and_what_is_next(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(raising(DataError("no file [x.csv], expected one", hint="recsec data list")))
    assert front.main(["train"]) == 3
    streams = capsys.readouterr()
    assert streams.err == "error: no file [x.csv], expected one\nnext: recsec data list\n"
    assert streams.out == ""


def test_an_error_is_an_object_with_json(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(raising(DataError("gone", hint="look elsewhere")))
    assert front.main(["train", "--json"]) == 3
    assert json.loads(capsys.readouterr().out) == {
        "error": {"kind": "DataError", "message": "gone", "hint": "look elsewhere", "exit_code": 3}
    }


def test_debug_shows_the_traceback_wherever_it_stands(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(raising(ZeroDivisionError("a defect")))
    for words in (["--debug", "train"], ["train", "--debug"]):
        assert front.main(words) == 3
        assert "Traceback" in capsys.readouterr().err
    assert front.main(["train"]) == 3
    assert "--debug" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "no such command 'trian'. Did you mean 'train'?"),
        (["--nope"], "no such option: --nope"),
        (["train", "--nope"], "no such option: --nope"),
        (["train", "--json", "--nope"], "no such option: --nope"),
        (["train", "extra"], "got unexpected extra argument(s) (extra)"),
    ],
)
def test_wrong_words_exit_2_in_one_line(
    install: Install, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    install(raising(AssertionError("never called")))
    assert front.main(words) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"error: {said}")
    assert second.startswith("next: recsec")
    assert second.endswith("--help")


def test_an_interrupt_names_the_command_that_resumes(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> None:
        """Stop in the middle."""
        resumable("recsec train sasrec --out here")
        raise KeyboardInterrupt

    install(run)
    assert front.main(["train"]) == 130
    assert "next: recsec train sasrec --out here\n" in capsys.readouterr().err


def test_json_stays_one_object_when_warnings_occur(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(json: JsonOption = False, quiet: QuietOption = False) -> None:
        """Warn, talk and answer."""
        warnings.warn("old file [format]", UserWarning, stacklevel=1)
        note("working")
        emit({"hr@10": float("nan")}, lambda console: None, json=json)

    install(run)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert front.main(["train", "--json"]) == 0
        streams = capsys.readouterr()
        assert json.loads(streams.out) == {"hr@10": None}
        assert streams.err == "warning: old file [format]\nworking\n"
        assert front.main(["train", "--json", "--quiet"]) == 0
        assert capsys.readouterr().err == ""


def test_a_reader_that_goes_away_is_no_verdict() -> None:
    """A closed pipe exits as a shell would, never with the 1 of a failed gate."""
    done = subprocess.run(
        f"(sleep 1; {sys.executable} -m recsec list models; echo $? >&2) | true",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == f"{front.EXIT_PIPE_CLOSED}\n"


def test_every_error_class_has_a_documented_exit_code() -> None:
    found = {kind.exit_code for kind in [RecsecError, *RecsecError.__subclasses__()]}
    assert found == {2, 3, 4}


STREAMS = {
    "closed stdout": (">&-", {0: 0, 2: 2}),
    "closed stderr": ("2>&-", {0: 0, 2: 2}),
    "all closed": ("<&- >&- 2>&-", {0: 0, 2: 2}),
    "full stdout": (">/dev/full", {0: 3, 2: 2}),
    "full stderr": ("2>/dev/full", {0: 0, 2: 2}),
    "stdout without a reader": ("| true", {0: front.EXIT_PIPE_CLOSED, 2: 2}),
    "stderr without a reader": ("2> >(true)", {0: 0, 2: 2}),
}


@pytest.mark.hostile(kind="streams", what="a standard stream that is closed, full or unread")
@pytest.mark.parametrize("streams", STREAMS)
@pytest.mark.parametrize("words", ["--version", "--json trian"])
def test_exit_codes_stay_what_the_table_says(streams: str, words: str, tmp_path: Path) -> None:
    redirection, codes = STREAMS[streams]
    wait = "sleep 0.3;" if "true" in redirection else ""
    script = f"({wait} {sys.executable} -m recsec {words}; echo $? > {tmp_path}/code) {redirection}"
    subprocess.run(["/bin/bash", "-c", script], check=False, capture_output=True)
    code = int((tmp_path / "code").read_text())
    assert code == codes[2 if "trian" in words else 0]


def test_an_exit_inside_a_command_is_no_success(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    class Panic(BaseException):
        """What Rust code raises through pyo3."""

    for error, said in ((SystemExit(0), "sys.exit(0)"), (Panic("deep"), "Panic: deep")):
        install(raising(error))
        assert front.main(["train"]) == 3
        assert said in capsys.readouterr().err
