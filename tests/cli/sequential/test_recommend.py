"""``recsec recommend``: scripted on stdin, and with a person at a terminal."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recsec.cli.main import main
from recsec.cli.sequential import recommend
from recsec.data import load

Script = Callable[..., tuple[int, str, str]]


class Terminal(io.StringIO):
    """Standard input of a person."""

    def isatty(self) -> bool:
        """True: prompts are shown."""
        return True


@pytest.fixture
def script(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Script:
    """Run a session from text on stdin; exit code, stdout, stderr."""

    def run(text: str, *more: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        code = main(["recommend", "--model", str(checkpoints / "markov"), *more])
        seen = capsys.readouterr()
        return code, seen.out, seen.err

    return run


def replies(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_one_json_line_per_command(script: Script, small_data: str) -> None:
    first = str(load(small_data).catalog.ids[0])
    code, out, _ = script(f"add {first}\n\n# note\nrecommend 3\nshow\n", "--json")
    found = replies(out)
    assert code == 0
    assert [reply["command"] for reply in found] == ["add", "recommend", "show"]
    assert len(found[1]["items"]) == 3
    assert str(found[2]["items"][0]["id"]) == first
    assert first not in [str(item["id"]) for item in found[1]["items"]]


def test_wrong_commands_give_a_line_and_the_session_goes_on(script: Script) -> None:
    code, out, _ = script("dance\nadd nothing\nremove\npopular 2\n", "--json")
    found = replies(out)
    assert code == 0
    assert [reply["ok"] for reply in found] == [False, False, False, True]
    assert all(reply["error"] for reply in found[:3])
    code, out, err = script("dance\npopular 2\n")
    assert code == 0
    assert "error: no command 'dance'" in err
    assert "Traceback" not in err
    assert out


def test_exit_ends_and_later_lines_are_not_read(script: Script) -> None:
    _, out, _ = script("exit\npopular\n", "--json")
    assert [reply["command"] for reply in replies(out)] == ["exit"]


def test_the_last_line_needs_no_newline(script: Script) -> None:
    _, out, _ = script("popular 1", "--json")
    assert len(replies(out)) == 1


def test_accents_are_shown_right_and_found_without(script: Script, small_data: str) -> None:
    catalog = load(small_data).catalog
    title = next(title for title in catalog.titles if not title.isascii())
    _, out, _ = script(f"search {title.upper()}\n", "--json")
    assert title in [item["title"] for item in replies(out)[0]["items"]]
    assert title in out  # as text, not as escapes
    _, out, _ = script(f"search {title}\n")
    assert title in out


def test_tables_fit_80_columns(script: Script) -> None:
    _, out, _ = script("popular 5\nrecommend\nhelp\n")
    assert max(map(len, out.splitlines())) <= 80
    assert "id" in out
    assert "genres" in out


def test_popular_counts_the_data(script: Script, small_data: str) -> None:
    split = load(small_data).split()
    _, out, _ = script("popular 1\n", "--json", "--data", small_data)
    most = int(split.full.counts[1:].argmax())
    assert replies(out)[0]["items"][0]["id"] == split.catalog.ids[most]
    _, out, _ = script("popular 1\n", "--json")
    assert "without data" in replies(out)[0]["message"]


def test_full_genre_bias_follows_the_history(script: Script, small_data: str) -> None:
    catalog = load(small_data).catalog
    at = next(row for row, genres in enumerate(catalog.genres) if len(genres) == 1)
    add = f"add {catalog.ids[at]}\nrecommend 1\n"
    _, out, _ = script(add, "--json", "--genre-bias", "1")
    assert catalog.genres[at][0] in replies(out)[1]["items"][0]["genres"]
    code, _, err = script(add, "--json", "--genre-bias", "2")
    assert code == 2
    assert "between 0 and 1" in err


def test_a_target_needs_data_for_its_items(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["recommend", "--model", "callable:shop:answer"]) == 2
    assert "needs --data" in capsys.readouterr().err


def typing(monkeypatch: pytest.MonkeyPatch, *acts: str | BaseException) -> None:
    """A person who types these lines, or presses Ctrl-C or Ctrl-D."""
    left: Iterator[str | BaseException] = iter(acts)

    def typed(prompt: str) -> str:
        assert prompt == recommend.PROMPT
        act = next(left)
        if isinstance(act, BaseException):
            raise act
        return act

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", typed)


def test_control_d_ends(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typing(monkeypatch, "popular 1", EOFError())
    assert main(["recommend", "--model", str(checkpoints / "markov")]) == 0
    assert "help shows the commands" in capsys.readouterr().err


def test_control_c_cancels_the_line_and_twice_ends(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = KeyboardInterrupt
    typing(monkeypatch, stop(), "popular 1", stop(), "popular 1", stop(), stop())
    assert main(["recommend", "--model", str(checkpoints / "markov")]) == 130
    seen = capsys.readouterr()
    assert seen.out.count("genres") == 2
    assert "Traceback" not in seen.err
