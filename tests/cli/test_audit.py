"""``recsec audit``: words, exit codes, and what goes where."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from report_example import defended_report
from waiting import until

from recsec.cli.main import main
from recsec.targets import SPOTS

CALL = "import sys; from recsec.cli.main import main; sys.exit(main())"
PLAN = """
[target]
model = "{model}"
data = "{data}"
twins = {twins}
[extraction]
policies = "mixed"
calls = [60, 200]
seeds = 0
length = 10
sessions = 20
surrogate_settings = {{ embedding_dim = 8, blocks = 1, max_length = 10, epochs = 2 }}
[evaluation]
resamples = 100
recheck = false
[gate]
high = {high}
[engine]
workers = 1
device = "cpu"
"""


def write_plan(folder: Path, model: object, data: str, *, high: float = 0.3, twins: int = 0) -> str:
    path = folder / "plan.toml"
    path.write_text(PLAN.format(model=model, data=data, high=high, twins=twins))
    return str(path)


def test_a_plan_from_the_first_query_to_the_gate(
    tmp_path: Path, small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    assert main(["train", "markov", "--data", small_data, "--out", str(model), "--quiet"]) == 0
    capsys.readouterr()
    plan = write_plan(tmp_path, model, small_data, high=-9.0, twins=1)
    plan_text = Path(plan).read_text().replace("moderate", "")
    Path(plan).write_text(plan_text.replace("[gate]", "[gate]\nmoderate = -9.0"))
    out = tmp_path / "run"
    assert main(["audit", plan, "--out", str(out), "--json"]) == 1
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert found["verdict"]["level"] == "high"
    row = found["rows"][1]
    assert row["calls"] == {"value": 200, "low": None, "high": None, "n": 1}
    for key in ("agr@1", "agr@10", "rbo", "floor", "lift", "hr@10"):
        assert set(row[key]) == {"value", "low", "high", "n"}
    assert row["twin"] is None  # a second markov is the target itself
    assert found["synthetic"] is True
    assert "2 attacks, 200 API calls, measured on all users" in said.err
    assert said.err.index("2 attacks, 200 API calls") < said.err.index("ask mixed-k10-s0")

    gate = tmp_path / "mild.toml"
    gate.write_text("high = 9.0\nmoderate = 8.0\n")
    assert main(["audit", plan, "--out", str(out), "--gate", str(gate)]) == 0
    said = capsys.readouterr()
    assert "low, gate passed (made-up data" in said.out
    assert "floor" in said.out
    assert "2 attacks finished earlier" in said.err
    assert all(len(line) <= 80 for line in said.out.splitlines() if not line.startswith("report"))


def test_init_writes_a_plan_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["audit", "init"]) == 0
    assert "recsec audit audit.toml --out" in capsys.readouterr().out
    assert "[[extraction]]" in Path("audit.toml").read_text()
    assert main(["audit", "init"]) == 2
    assert "audit.toml exists" in capsys.readouterr().err
    assert main(["audit", "init", "other.toml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plan"] == "other.toml"


def test_wrong_words_exit_2_and_missing_things_3(
    tmp_path: Path, checkpoints: Path, small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = write_plan(tmp_path, checkpoints / "markov", small_data)
    out = ["--out", str(tmp_path / "run")]
    assert main(["audit", plan]) == 2
    assert "missing --out" in capsys.readouterr().err
    assert main(["audit", str(tmp_path / "none.toml"), *out]) == 2
    assert "recsec audit init" in capsys.readouterr().err
    assert main(["audit", plan, "extra", *out]) == 2
    absent = write_plan(tmp_path, tmp_path / "nothing", small_data)
    assert main(["audit", absent, *out]) == 3
    unknown = write_plan(tmp_path, checkpoints / "markov", "no-such-data")
    assert main(["audit", unknown, *out]) == 2
    nodata = write_plan(tmp_path, checkpoints / "markov", str(tmp_path / "none.csv"))
    assert main(["audit", nodata, *out]) == 3
    other = write_plan(tmp_path, checkpoints / "markov", "synthetic:users=50,items=40,length=8")
    assert main(["audit", other, *out]) == 3
    assert not (tmp_path / "run").exists()


def test_a_guard_that_does_not_fit_exits_2_before_anything_is_opened(
    tmp_path: Path, small_data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = write_plan(tmp_path, tmp_path / "nothing", small_data)
    with open(plan, "a") as file:
        file.write('[[defense]]\nname = "short"\nguards = ["truncate:k=5"]\n')
    assert main(["audit", plan, "--out", str(tmp_path / "run")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "settings of the guard truncate: k:" in said
    assert "the settings there are: length" in said


def test_the_table_of_defenses_fits_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    report = defended_report()
    part = report.extraction
    long = part.defenses[2].model_copy(
        update={"name": "a-hardened-model-and-watermark-and-truncate"}
    )
    part = part.model_copy(update={"defenses": (*part.defenses[:2], long)})
    report = report.model_copy(update={"extraction": part})
    (tmp_path / "report.json").write_text(report.model_dump_json(), encoding="utf-8")
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = lines[: next(at for at, line in enumerate(lines) if line.startswith("same:"))]
    assert max(map(len, table)) <= 80
    row = next(line for line in table if line.startswith(" watermark"))
    assert ".96 (.95-.97)" in row
    assert row.split()[-2:] == [".10", "(.09-.11)"]


def test_an_interrupted_audit_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slow_shop.py").write_text(
        "import time\n\n"
        "def recommend(histories, k):\n"
        "    with open('asked.log', 'a') as log:\n"
        "        log.write('.' * len(histories))\n"
        "    time.sleep(0.0 if SPEED else 0.3)\n"
        "    return [[i for i in range(1 + h[-1] % 5, 41) if i not in h][:k] "
        "for h in histories]\n\n"
        "SPEED = __import__('os').environ.get('FAST')\n"
    )
    pairs = [(user, step) for user in range(40) for step in range(8)]
    rows = [f"{user},{(user * 7 + step) % 40 + 1},{step}" for user, step in pairs]
    (tmp_path / "shop.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    plan = write_plan(tmp_path, "callable:slow_shop:recommend", "shop.csv")
    words = ["audit", plan, "--out", "run"]
    transcript = tmp_path / "run" / "transcript" / "mixed-k10-s0"
    with subprocess.Popen(
        [sys.executable, "-c", CALL, *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as running:  # a shell's background job, such as this test may be, ignores the signal
        journal = transcript / "journal.jsonl"
        until(
            lambda: (
                (journal.exists() and "got" in journal.read_text()) or running.poll() is not None
            )
        )
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=120)
    assert running.returncode == 130, err
    assert "interrupted" in err
    assert "next: recsec audit" in err
    assert "Traceback" not in err
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAST", "1")
    before = len((tmp_path / "asked.log").read_text())
    assert main(words) in (0, 1)
    capsys.readouterr()
    asked = len((tmp_path / "asked.log").read_text())
    check, owner, budget, unrecorded = 3 * 24, 40, 200, 20
    whole = check + owner + budget
    assert whole <= asked <= whole + unrecorded + SPOTS  # which are asked again on purpose
    assert before < asked
