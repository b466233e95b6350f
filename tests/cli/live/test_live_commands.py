"""Keys and decisions from the command line, and what a user may get wrong."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from recsec.cli.main import main
from recsec.serving.engine import open_state
from recsec.serving.state import Decision


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def state(tmp_path: Path) -> str:
    return str(tmp_path / "state")


@pytest.mark.hint("recsec keys list")
def test_a_key_is_shown_once_and_can_be_rotated_and_revoked(
    capsys: pytest.CaptureFixture[str], state: str
) -> None:
    limits = ("--rate", "5/second", "--scores")
    made = said(capsys, "keys", "create", "shop", "--state", state, *limits)
    assert made["key"].startswith(f"rs_{made['id']}_")
    secret = made["key"].split("_", 2)[2]
    for path in Path(state).iterdir():
        assert secret.encode() not in path.read_bytes()
    turned = said(capsys, "keys", "rotate", made["id"], "--state", state)
    assert (turned["rate"], turned["scores"]) == ("5/second", True)
    wrong = said(capsys, "keys", "revoke", made["id"], "--state", state, code=2)
    assert wrong["error"]["hint"] == "recsec keys list"
    shown = said(capsys, "keys", "list", "--state", state)["keys"]
    assert [bool(one["revoked"]) for one in shown] == [True, False]
    said(capsys, "keys", "revoke", shown[1]["id"], "--state", state)
    assert main(["keys", "list", "--state", state]) == 0
    assert secret not in capsys.readouterr().out
    assert said(capsys, "monitor", "verify", "--state", state)["entries"] == 4


@pytest.mark.hint("as in --rate 100/minute")
def test_a_rate_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], state: str) -> None:
    words = ("keys", "create", "shop", "--state", state, "--rate")
    assert "--rate" in said(capsys, *words, "fast", code=2)["error"]["hint"]
    said(capsys, *words, "100/minute")


@pytest.mark.hint("as in 90s, 15m, 1h or 30d")
def test_decisions_are_explained_taken_back_and_the_trail_is_whole(
    capsys: pytest.CaptureFixture[str], state: str
) -> None:
    names, store = open_state(Path(state))
    now = time.time()
    made = Decision(
        id="d-0123456789abcdef",
        scope="account",
        subject=names.account("eve"),
        rule="haste",
        action="block",
        enforced=True,
        at=now,
        until=now + 60,
        evidence={"rate": {"requests": 31, "more_than": 30, "within": 60.0}},
    )
    store.decide(made)
    store.close()
    told = said(capsys, "monitor", "explain", "eve", "--state", state)
    assert [one["id"] for one in told["decisions"]] == [made.id]
    assert main(["monitor", "explain", made.id, "--state", state]) == 0
    assert "more than 30" in capsys.readouterr().out
    clear = ("monitor", "clear", made.id, "--reason", "appeal", "--state", state, "--probation")
    assert "30d" in said(capsys, *clear, "soon", code=2)["error"]["hint"]
    said(capsys, *clear, "30d")
    assert said(capsys, *clear, "30d", code=2)["error"]["hint"].startswith("recsec monitor explain")
    told = said(capsys, "monitor", "explain", "eve", "--state", state)
    assert told["decisions"][0]["lifted"] is not None
    assert "appeal" in told["allowed"][0]["reason"]
    said(capsys, "monitor", "forbid", "eve", "--state", state)
    said(capsys, "monitor", "forbid", "eve", "--state", state, code=2)
    said(capsys, "monitor", "allow", "bob", "--reason", "partner", "--for", "30d", "--state", state)
    assert said(capsys, "monitor", "verify", "--state", state)["faults"] == []


@pytest.mark.hint("add --bound")
@pytest.mark.hint("recsec keys create NAME --state {}")
def test_wrong_options_are_refused_before_the_port_opens(
    capsys: pytest.CaptureFixture[str],
    state: str,
    checkpoints: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[object] = []

    def not_run(app: object, engine: Any, opened: Any, **_: object) -> int:
        opened.close()
        engine.store.close()
        started.append(app)
        return 0

    monkeypatch.setattr("recsec.serving.running.run", not_run)
    words = ["serve", str(checkpoints / "markov"), "--state", state, "--port", "0"]
    assert main([*words, "--pace"]) == 2
    assert "add --bound" in capsys.readouterr().err
    assert main([*words, "--pace", "--bound"]) == 0
    assert main([*words, "--host", "0.0.0.0"]) == 2
    assert "recsec keys create NAME" in capsys.readouterr().err
    assert main(["keys", "create", "shop", "--state", state]) == 0
    assert main([*words, "--host", "0.0.0.0"]) == 0
    assert len(started) == 2
    assert "1 keys" in capsys.readouterr().err


@pytest.mark.hint("recsec serve --visual ENCODER --photos NAME screens them")
@pytest.mark.hint("leave the rule out")
@pytest.mark.hint("recsec serve MODEL --visual ENCODER --photos NAME serves both")
@pytest.mark.hint("--visual ENCODER --photos fashion")
def test_photos_are_served_alone_or_beside_lists(
    capsys: pytest.CaptureFixture[str],
    state: str,
    checkpoints: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    started: list[list[str]] = []

    def not_run(app: Any, engine: Any, opened: Any, **_: object) -> int:
        opened.close()
        engine.store.close()
        started.append(sorted(app.openapi()["paths"]))
        return 0

    monkeypatch.setattr("recsec.serving.running.run", not_run)
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rules]]\nname = "fake"\nevidence = "screen"\np_value = 0.01\n')
    rest = ["--policy", str(policy), "--state", state, "--port", "0"]
    photos = [
        "--visual",
        "callable:visual_shop:vectors",
        "--photos",
        "photos:items=60,categories=2",
    ]
    model = str(checkpoints / "markov")
    assert main(["serve", model, *rest]) == 2
    assert "the rule fake is about photos" in capsys.readouterr().err
    assert main(["serve", *photos[:2], *rest]) == 2
    assert "go together" in capsys.readouterr().err
    assert main(["serve", *photos, *rest]) == 0
    assert "cannot vouch for 1 % and 0.1 %" in capsys.readouterr().err
    assert main(["serve", model, *photos, *rest]) == 0
    assert ["/v1/similar" in paths for paths in started] == [True, True]
    assert ["/v1/recommend" in paths for paths in started] == [False, True]
    policy.write_text(
        '[[rules]]\nname = "more"\nmore_than = 9\nwithin = "1h"\naction = "watermark"\n'
    )
    for words, why in (([model], "carries no watermark"), (photos, "only photos are served")):
        assert main(["serve", *words, *rest]) == 2
        error = capsys.readouterr().err
        assert "the rule more" in error
        assert why in error
    policy.write_text('detectors = "d"\n')
    assert main(["serve", *photos, *rest]) == 2
    assert "serves both" in capsys.readouterr().err


@pytest.mark.hint("recsec monitor allow ACCOUNT --reason WHY")
@pytest.mark.hint("names of accounts, one a line")
def test_an_allow_list_is_imported_and_shown(
    capsys: pytest.CaptureFixture[str], state: str, tmp_path: Path
) -> None:
    said(capsys, "keys", "create", "shop", "--state", state)
    allow, file = ("monitor", "allow", "--state", state), tmp_path / "partners.txt"
    nobody = said(capsys, *allow, "--reason", "partner", code=2)
    assert nobody["error"]["hint"] == "recsec monitor allow ACCOUNT --reason WHY"
    missing = said(capsys, *allow, "--reason", "partner", "--from", str(file), code=2)
    assert missing["error"]["hint"] == "names of accounts, one a line"
    file.write_text("ann\n\n bob \n")
    made = said(capsys, *allow, "--reason", "partner", "--from", str(file), "--for", "30d", "eve")
    assert made["allowed"] == ["eve", "ann", "bob"]
    shown = said(capsys, "monitor", "allowed", "--state", state)["allowed"]
    assert [(one["holds"], one["reason"]) for one in shown] == [(True, "partner")] * 3
    assert main(["monitor", "allowed", "--state", state]) == 0
    assert "ann" not in capsys.readouterr().out, "accounts are named as they are kept"


def test_tables_go_back_by_command_and_forward_by_themselves(
    capsys: pytest.CaptureFixture[str], state: str
) -> None:
    said(capsys, "keys", "create", "shop", "--state", state)
    wrong = said(capsys, "monitor", "migrate", "0099", "--state", state, code=2)
    assert "0001" in wrong["error"]["hint"]
    assert said(capsys, "monitor", "migrate", "0001", "--state", state) == {"form": "0001"}
    assert len(said(capsys, "keys", "list", "--state", state)["keys"]) == 1
