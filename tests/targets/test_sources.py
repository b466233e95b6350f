"""What a target's answers depend on: a change of any of it is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsec.errors import CheckpointError, ConfigError, RunError
from recsec.models import SasRec, SasRecConfig, save_checkpoint
from recsec.targets import (
    Budget,
    CallableTarget,
    LocalTarget,
    MeteredTarget,
    code_digests,
    spot_check,
    target_digests,
)
from recsec.targets.guards.key import write_key


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalog) -> Path:
    """A checkpoint, guards with a key and a verdict, an API's file, and two pieces of code."""
    monkeypatch.chdir(tmp_path)
    model = SasRec(catalog, SasRecConfig(embedding_dim=4, heads=1, blocks=1, max_length=4))
    save_checkpoint(model, tmp_path / "model", {"seed": 1})
    write_key(tmp_path / "owner.key")
    (tmp_path / "judge.py").write_text("def acquit(account, histories):\n    return False\n")
    (tmp_path / "guarded.toml").write_text(
        'checkpoint = "model"\n'
        '[[guards]]\nname = "quantize"\nkey = "owner.key"\n'
        '[[guards]]\nname = "throttle"\nverdict = "judge:acquit"\n'
    )
    (tmp_path / "api.toml").write_text('url = "http://127.0.0.1:9/"\n')
    (tmp_path / "shop_function.py").write_text(
        "import json\nfrom shop_helper import best\n\ndef recommend(h, k):\n    return best(h)\n"
    )
    (tmp_path / "shop_helper.py").write_text("def best(h):\n    return [[1] for _ in h]\n")
    (tmp_path / "unrelated.py").write_text("")
    package = tmp_path / "shop_package"
    (package / "inner").mkdir(parents=True)
    for name in ("__init__", "api", "inner/__init__", "inner/deep"):
        (package / f"{name}.py").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("model", ["model/config.json", "model/items.parquet", "model/model.safetensors"]),
        ("api.toml", ["api.toml"]),
        (
            "guarded.toml",
            ["guarded.toml", "judge.py", "key owner.key of quantize", "model/config.json",
             "model/items.parquet", "model/model.safetensors"],
        ),
        ("callable:shop_function:recommend", ["shop_function.py", "shop_helper.py"]),
        (
            "callable:shop_package.api:recommend",
            [f"shop_package/{name}.py" for name in ("__init__", "api", "inner/__init__",
                                                    "inner/deep")],
        ),
        ("http://127.0.0.1:9/", []),
    ],
)  # fmt: skip
def test_everything_that_is_named_is_covered(place: Path, spec: str, parts: list[str]) -> None:
    before = target_digests(spec)
    assert sorted(before) == parts
    for part in parts:
        path = place / part.removeprefix("key ").removesuffix(" of quantize")
        content = path.read_bytes()
        if path.name == "owner.key":
            path.write_bytes(content[::-1].strip() + b"\n")
        elif path.name == "api.toml":
            path.write_bytes(content + b"timeout = 3.0\n")
            assert target_digests(spec) == before
            path.write_bytes(content.replace(b":9/", b":99/"))
        elif path.name == "guarded.toml":
            path.write_bytes(content + b"# another\n")
        else:
            path.write_bytes(content + b"\n")
        after = target_digests(spec)
        assert {name for name in before if before[name] != after[name]} == {part}
        path.write_bytes(content)


def test_a_key_is_not_told(place: Path) -> None:
    key = (place / "owner.key").read_text().strip()
    assert key not in str(target_digests("guarded.toml"))


def test_what_is_missing_is_named(place: Path) -> None:
    (place / "model" / "items.parquet").unlink()
    with pytest.raises(CheckpointError, match=r"items\.parquet"):
        target_digests("guarded.toml")
    with pytest.raises(ConfigError, match=r"nothing\.toml"):
        target_digests("nothing.toml")
    assert code_digests("no_such_module_anywhere") == {}


def test_installed_packages_are_not_followed(place: Path) -> None:
    found = code_digests("filelock")
    assert found
    assert {Path(name).parts[0] for name in found} == {"filelock"}


def asked(folder: Path, catalog, function) -> MeteredTarget:
    target = CallableTarget(function, catalog)
    with MeteredTarget(target, budget=Budget(calls=20, k=3), folder=folder) as meter:
        meter.query("a", np.arange(1, 21)[:, None], 3)
    return meter


def test_another_target_is_seen_in_a_few_calls(catalog, tmp_path: Path) -> None:
    ids = catalog.ids.tolist()
    counted = 0

    def recommend(histories, k):
        nonlocal counted
        counted += len(histories)
        return [[item for item in ids if item not in history][:k] for history in histories]

    def other(histories, k):
        return [row[::-1] for row in recommend(histories, k)]

    transcript = asked(tmp_path, catalog, recommend).transcript()
    counted = 0
    assert spot_check(CallableTarget(recommend, catalog), transcript, name="run") == counted == 3
    with pytest.raises(RunError, match=r"call 6 was answered \[7, 14, 21\] then, and is answered "):
        spot_check(CallableTarget(other, catalog), transcript, name="run")


def test_a_recommender_of_this_process_is_not_asked(decay, tmp_path: Path) -> None:
    target = LocalTarget(decay)
    with MeteredTarget(target, budget=Budget(calls=4, k=3), folder=tmp_path) as meter:
        meter.query("a", np.arange(1, 5)[:, None], 3)
    assert spot_check(target, meter.transcript(), name="run") == 0
