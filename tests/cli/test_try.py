"""``recsec try`` as a process: the page comes up, Ctrl-C ends it, wrong words are refused."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest

from recsec.cli.main import main

CALL = "import sys; from recsec.cli.main import main; sys.exit(main())"


def test_the_page_comes_up_and_ctrl_c_ends_it(checkpoints: Path, small_data: str) -> None:
    words = ["try", "--model", str(checkpoints / "markov"), "--data", small_data, "--json", "-q"]
    words += ["--compare", str(checkpoints / "popularity"), "--guard", "reverse"]
    with subprocess.Popen(
        [sys.executable, "-c", CALL, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"BROWSER": "false"},
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as running:
        assert running.stdout is not None
        try:
            url = json.loads(running.stdout.readline())["url"]
            patient = httpx.HTTPTransport(retries=8)  # the address is told a moment too early
            with httpx.Client(transport=patient, timeout=60) as client:
                about = client.get(f"{url}api/start").json()
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=60)
        finally:
            running.kill()
    assert about["lists"]["names"] == ["markov", "markov + reverse", "popularity"]
    assert about["photos"] is None
    assert running.returncode == 0, err
    assert err == ""


@pytest.mark.hint("recsec try --model DIR --data NAME")
def test_a_model_needs_its_data(
    checkpoints: Path,
    small_data: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recsec.trying.serve", lambda app, opened: opened.close())
    model = ["--model", str(checkpoints / "markov")]
    assert main(["try", *model]) == 2  # a checkpoint that remembers nothing
    assert "does not remember its data" in capsys.readouterr().err
    assert main(["try", *model, "--data", small_data]) == 0
    assert main(["try", "--compare", str(checkpoints / "markov")]) == 2
    assert "recsec try --model DIR --data NAME" in capsys.readouterr().err


@pytest.mark.hint("leave --port out: a free one is taken")
def test_a_port_that_is_taken(
    checkpoints: Path,
    small_data: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recsec.trying.serve", lambda app, opened: opened.close())
    words = ["try", "--model", str(checkpoints / "markov"), "--data", small_data]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main([*words, "--port", str(taken.getsockname()[1])]) == 2
    assert "leave --port out" in capsys.readouterr().err
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("http://127.0.0.1:")
