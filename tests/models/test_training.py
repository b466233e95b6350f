"""Training: what it reaches on a planted chain, and that a killed run ends with the same bits."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from dying import dies

from recsec.errors import CheckpointError, ConfigError, DataError
from recsec.metrics import hits, target_ranks
from recsec.models import MarkovConfig, SasRecConfig, Training, load, mask_history, train
from recsec.models.trainer import learning_rate
from recsec.registry import registry

FAST = {"epochs": 10, "batch_size": 16, "max_length": 16, "embedding_dim": 32, "lr": 5e-3}


def hit_rate(model, split) -> float:
    """HR@1, history excluded, of the users whose held-out item is new to them."""
    found = []
    for batch in split.batches("test"):
        scores = mask_history(model.scores(batch.histories), torch.from_numpy(batch.histories))
        ranks = target_ranks(scores, torch.from_numpy(batch.targets)).numpy()
        found.append(ranks[~(batch.histories == batch.targets[:, None]).any(axis=1)])
    return float(hits(np.concatenate(found), 1).mean())


@pytest.mark.parametrize("name", ["markov", "narm", "sasrec"])
def test_order_aware_models_find_the_planted_chain(name, chain):
    kind = registry("models").get(name)
    config = MarkovConfig(reach=1) if name == "markov" else kind.config_class(**FAST)
    model = train(name, chain, config, training=Training(device="cpu"))
    assert hit_rate(model, chain) > 0.75, "the chain is followed in 85 % of the steps"
    assert hit_rate(train("popularity", chain), chain) < 0.2


def test_meanpool_learns_but_cannot_see_order(chain):
    config = registry("models").get("meanpool").config_class(**FAST)
    learned = hit_rate(train("meanpool", chain, config), chain)
    assert hit_rate(train("popularity", chain), chain) < learned < 0.6


SCRIPT = """
import sys, pathlib, pytest
sys.path[:0] = {path!r}
import conftest
chain = conftest.chain.__wrapped__(conftest.successor.__wrapped__())
from recsec.models import SasRecConfig, Training, train
train("sasrec", chain, SasRecConfig(**{fast!r}), seed=5,
      training=Training(out=pathlib.Path(sys.argv[1]), device="cpu", snapshots=2))
"""


def test_killed_training_ends_with_the_same_bits(chain, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    script = SCRIPT.format(path=[str(Path(__file__).parent)], fast={**FAST, "epochs": 6})
    dies(script, str(broken), part="resume/epoch-", count=3)
    assert not (broken / "model.safetensors").exists()
    done = json.loads((broken / "history.json").read_text())
    assert 1 <= len(done) < 6
    config = SasRecConfig(**{**FAST, "epochs": 6})
    for out in (broken, whole):
        training = Training(out=out, device="cpu", snapshots=2)
        train("sasrec", chain, config, seed=5, training=training)
    for name in ("model.safetensors", "history.json", "config.json"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name
    kept = sorted(path.name for path in (broken / "snapshots").iterdir())
    assert kept == ["epoch-0003.safetensors", "epoch-0006.safetensors"]


@pytest.fixture
def trained(chain, tmp_path):
    config = SasRecConfig(**{**FAST, "epochs": 1})
    train("sasrec", chain, config, training=Training(out=tmp_path, device="cpu"))
    return tmp_path, config


def test_a_finished_checkpoint_is_loaded_not_trained(chain, trained):
    folder, config = trained
    before = (folder / "model.safetensors").stat().st_mtime_ns
    again = train("sasrec", chain, config, training=Training(out=folder, device="cpu"))
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    assert torch.equal(again.state()["items.weight"], load(folder).state()["items.weight"])


def test_another_recipe_is_refused(chain, trained):
    folder, config = trained
    with pytest.raises(CheckpointError, match="seed"):
        train("sasrec", chain, config, seed=1, training=Training(out=folder, device="cpu"))


def test_a_recipe_of_which_no_epoch_was_finished_leaves_the_folder(chain, tmp_path):
    with pytest.raises(ConfigError, match="became"):
        wild = SasRecConfig(**{**FAST, "epochs": 1, "lr": 1e30, "warmup": 0.0})
        train("sasrec", chain, wild, training=Training(out=tmp_path, device="cpu"))
    config = SasRecConfig(**{**FAST, "epochs": 1})
    train("sasrec", chain, config, training=Training(out=tmp_path, device="cpu"))
    assert load(tmp_path).config.lr == FAST["lr"]


@pytest.mark.hint("finish it with recsec {}, choose another --out, or delete the folder")
def test_only_the_version_that_began_a_training_continues_it(chain, trained):
    folder, config = trained
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"recsec": "0.0.1"}))
    training = Training(out=folder, device="cpu")
    finished = train("sasrec", chain, config, training=training)
    assert torch.equal(finished.state()["items.weight"], load(folder).state()["items.weight"])
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"training of recsec 0\.0\.1; this is") as error:
        train("sasrec", chain, config, training=training)
    assert "finish it with recsec 0.0.1" in str(error.value.hint)
    shutil.rmtree(folder)
    train("sasrec", chain, config, training=training)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.safetensors").write_bytes(b"\x00" * 40), "cannot read"),
        (lambda f: (f / "model.safetensors").unlink(), "has not finished"),
        (lambda f: (f / "config.json").write_text("{"), "cannot read"),
        (lambda f: (f / "config.json").unlink(), "not a checkpoint"),
        (lambda f: (f / "items.parquet").write_text("no"), "item table"),
        (
            lambda f: (f / "config.json").write_text(
                (f / "config.json").read_text().replace('"heads": 2', '"heads": "many"')
            ),
            "does not fit",
        ),
        (
            lambda f: (f / "config.json").write_text(
                (f / "config.json").read_text().replace('"blocks": 2', '"blocks": 3')
            ),
            "do not fit",
        ),
    ],
)
def test_broken_checkpoints_are_named(trained, damage, message):
    folder, _ = trained
    damage(folder)
    with pytest.raises((CheckpointError, DataError), match=message):
        load(folder)


@pytest.mark.hint("delete {} to train from the start")
def test_a_broken_training_state_is_named(chain, tmp_path):
    config = SasRecConfig(**{**FAST, "epochs": 2})
    training = Training(out=tmp_path, device="cpu")
    train("sasrec", chain, config, training=training)
    (tmp_path / "model.safetensors").unlink()
    newest = sorted((tmp_path / "resume").glob("epoch-*"))[-1]
    (newest / "weights.safetensors").write_bytes(b"half")
    with pytest.raises(CheckpointError, match="training state") as error:
        train("sasrec", chain, config, training=training)
    assert error.value.hint == f"delete {tmp_path / 'resume'} to train from the start"
    shutil.rmtree(tmp_path / "resume")
    train("sasrec", chain, config, training=training)
    assert load(tmp_path).name == "sasrec"


@pytest.mark.parametrize("name", ["weights", "best", "optimizer", "position"])
def test_a_flipped_bit_of_a_training_state_is_named(chain, tmp_path, name):
    config = SasRecConfig(**{**FAST, "epochs": 2})
    training = Training(out=tmp_path, device="cpu")
    train("sasrec", chain, config, training=training)
    (tmp_path / "model.safetensors").unlink()
    newest = sorted((tmp_path / "resume").glob("epoch-*"))[-1]
    if name == "position":
        path = newest / "position.json"
        path.write_text(path.read_text().replace('"best_epoch": ', '"best_epoch": 1'))
    else:
        path = newest / f"{name}.safetensors"
        content = bytearray(path.read_bytes())
        content[-7] ^= 4
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="check sum"):
        train("sasrec", chain, config, training=training)


def test_a_flipped_bit_of_a_model_is_named_and_the_hint_helps(chain, trained):
    folder, config = trained
    path = folder / "model.safetensors"
    before = path.read_bytes()
    path.write_bytes(before[:-7] + bytes([before[-7] ^ 4]) + before[-6:])
    training = Training(out=folder, device="cpu")
    with pytest.raises(CheckpointError, match=r"model.safetensors is damaged") as error:
        train("sasrec", chain, config, training=training)
    assert str(error.value.hint).startswith("delete that file and run the command")
    path.unlink()
    train("sasrec", chain, config, training=training)
    assert path.read_bytes() == before


def test_the_epoch_of_a_kill_before_its_history_is_not_lost(chain, tmp_path):
    """The state of an epoch is in place, and the process dies before it tells."""
    config = SasRecConfig(**{**FAST, "epochs": 2})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train("sasrec", chain, config, training=Training(out=whole, device="cpu"))
    train("sasrec", chain, config, training=Training(out=broken, device="cpu"))
    (broken / "model.safetensors").unlink()
    told = json.loads((broken / "history.json").read_text())
    (broken / "history.json").write_text(json.dumps(told[:1], indent=1))
    train("sasrec", chain, config, training=Training(out=broken, device="cpu"))
    assert (broken / "history.json").read_bytes() == (whole / "history.json").read_bytes()


def test_what_a_kill_at_the_first_write_left_is_cleared(chain, tmp_path):
    left = tmp_path / ".config.json.17.unfinished"
    left.write_text("")
    config = SasRecConfig(**{**FAST, "epochs": 1})
    train("sasrec", chain, config, training=Training(out=tmp_path, device="cpu"))
    assert not left.exists()


def test_divergence_is_an_error_not_a_checkpoint(chain, tmp_path):
    config = SasRecConfig(**{**FAST, "lr": 1e30, "warmup": 0.0})
    with pytest.raises(ConfigError, match="became"):
        train("sasrec", chain, config, training=Training(out=tmp_path, device="cpu"))
    assert not (tmp_path / "model.safetensors").exists()


def test_an_absent_device_is_named(chain):
    with pytest.raises(ConfigError, match="mps"):
        train("sasrec", chain, SasRecConfig(**FAST), training=Training(device="mps"))


def test_schedule_rises_then_falls_to_zero():
    config = SasRecConfig(lr=1.0, warmup=0.1)
    rates = [learning_rate(step, 100, config) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 11)
    assert int(np.argmax(rates)) == 10
    assert rates[100] == pytest.approx(0.0)


def test_nobody_else_may_train_in_the_same_folder(chain, tmp_path):
    from filelock import FileLock

    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(CheckpointError, match="another process"),
    ):
        train("popularity", chain, training=Training(out=tmp_path))


def test_two_processes_train_one_model_together(tmp_path):
    text = SCRIPT.format(path=[str(Path(__file__).parent)], fast={**FAST, "epochs": 4})
    script = tmp_path / "train.py"
    script.write_text(text)
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    out = tmp_path / "model"
    subprocess.run([sys.executable, "-m", *launcher, str(script), str(out)], check=True)
    history = json.loads((out / "history.json").read_text())
    assert len(history) == 4
    assert history[-1]["loss"] < history[0]["loss"]
    assert load(out).name == "sasrec"
