"""``recsec train``: what it writes, refuses and says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recsec.cli.main import main
from recsec.models import load

DATA = "synthetic:users=60,items=40,length=8,seed=2"


def words(out: Path, *more: str) -> list[str]:
    return ["train", "popularity", "--data", DATA, "--out", str(out), *more]


def test_a_checkpoint_and_validation_metrics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    assert main(words(out, "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["checkpoint"] == str(out)
    assert found["hr@10"]["n"] > 50
    assert found["hr@10"]["low"] <= found["hr@10"]["value"] <= found["hr@10"]["high"]
    assert "second-last item held out" in found["protocol"]
    assert len(load(out).catalog) > 0


def test_the_same_command_again_loads_and_another_recipe_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    assert main(words(out)) == 0
    before = (out / "model.safetensors").stat().st_mtime_ns
    capsys.readouterr()
    assert main(words(out)) == 0
    assert "nothing is left to train" in capsys.readouterr().err
    assert (out / "model.safetensors").stat().st_mtime_ns == before
    assert main(words(out, "--seed", "1")) == 3
    assert "differs in seed" in capsys.readouterr().err


def test_folders_of_others_are_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    assert main(words(tmp_path)) == 3
    assert main(words(tmp_path / "letter.txt")) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    assert "choose another --out" in capsys.readouterr().err


def test_a_kill_at_the_very_first_write_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("")
    (tmp_path / ".config.json.17.unfinished").write_text('{"for')
    assert main(words(tmp_path)) == 0


def test_neural_model_with_settings_snapshots_and_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, file = tmp_path / "model", tmp_path / "settings.toml"
    file.write_text("epochs = 1\nembedding_dim = 8\n")
    more = ["--config", str(file), "--set", "epochs=2", "--snapshots", "2", "--device", "cpu"]
    command = ["train", "meanpool", "--data", DATA, "--out", str(out), *more]
    assert main(command) == 0
    streams = capsys.readouterr()
    assert "best epoch:" in streams.out
    assert f"next: recsec evaluate --model {out}\n" in streams.out
    assert "training: " in streams.err
    assert len(list((out / "snapshots").iterdir())) == 2
    settings = json.loads((out / "config.json").read_text())["config"]
    assert (settings["epochs"], settings["embedding_dim"]) == (2, 8)


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--set", "epochs=many"], 2, "epochs = 'many'"),
        (["--set", "epoch=2"], 2, "there is no 'epoch'"),
        (["--set", "epochs"], 2, "expected key=value"),
        (["--precision", "int3"], 2, "'int3' is not one of"),
        (["--config", "absent.toml"], 2, "cannot read absent.toml"),
        (["--columns", "user"], 2, "expected ours=theirs"),
        (["--device", "cuda:9", "--set", "epochs=1"], 2, "device"),
        (["--seed", "-1"], 2, "greater than or equal to 0"),
    ],
)
def test_wrong_words(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    code: int,
    said: str,
) -> None:
    out = str(tmp_path / "model")
    assert main(["train", "meanpool", "--data", DATA, "--out", out, *more]) == code
    assert said in capsys.readouterr().err


def test_unknown_model_and_absent_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "model")
    assert main(["train", "nope", "--data", DATA, "--out", out]) == 2
    assert "recsec list models" in capsys.readouterr().err
    assert main(["train", "sasrec", "--data", "absent.csv", "--out", out]) == 3
    assert not Path(out).exists()
