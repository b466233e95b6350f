"""``recsec evade``: one photo, sampled pairs, a killed run, and bad words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from recsec.cli.main import main
from recsec.data import load_photos, split_photos
from recsec.models import Encoder, EncoderConfig, Training, train_encoder
from recsec.runs import digest

PHOTOS = "photos:items=90,categories=3,seed=2"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny encoder of synthetic photos."""
    folder = tmp_path_factory.mktemp("encoder")
    split = split_photos(load_photos(PHOTOS))
    config = EncoderConfig(size=16, widths=(8, 16), epochs=2, batch_size=16)
    train_encoder(
        split, config, seed=0, training=Training(out=folder, device="cpu"), data={"name": PHOTOS}
    )
    return str(folder)


def evade(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, object]:
    assert main(["evade", *words, "--data", PHOTOS, "--json", "-q", "--device", "cpu"]) == code
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def test_one_photo(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "one"
    words = ["--model", model, "--item", "10003", "--target-item", "10040", "--attack", "apgd-8"]
    found = evade(capsys, *words, "--eps", "0.05", "--out", str(out))
    assert {"rank_before", "rank_after", "linf", "cosine_before", "cosine_after"} <= set(found)
    assert found["rank_after"] <= found["rank_before"]  # type: ignore[operator]
    change = np.abs(pixels(out / "adversarial.png") - pixels(out / "original.png"))
    assert change.max() / 255 == pytest.approx(found["linf"])
    assert change.max() <= 12
    assert pixels(out / "difference.png").shape == (16, 16, 3)
    assert pixels(out / "panel.png").shape[1] > 600


def test_no_budget_and_native_pixels(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", model, "--attack", "mi-3", "--n", "2", "--stage", "valid"]
    nothing = evade(capsys, *words, "--eps", "0", "--out", str(tmp_path / "none"))
    assert nothing["rank_after"] == nothing["rank_before"]
    assert nothing["linf"] == 0
    out = tmp_path / "native"
    native = evade(capsys, *words, "--eps", "0.05", "--pixels", "native", "--out", str(out))
    assert native["cosine_after"] > native["cosine_before"]  # type: ignore[operator]
    for path in (out / "images").rglob("*.png"):
        assert pixels(path).shape == (224, 224, 3)


def test_sampled_pairs_over_budgets_and_after_a_kill(
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recsec.attacks.evasion.harness.pair_run.PART", 4)
    words = ["--model", model, "--n", "10", "--attack", "mi-4", "--eps", "0.05", "--eps", "0.02"]
    out = tmp_path / "run"
    found = evade(capsys, *words, "--out", str(out))
    assert found["pairs"] == 10
    low, high = found["budgets"]  # type: ignore[misc]
    assert (low["eps"], high["eps"]) == (0.02, 0.05)
    assert low["success@10"]["value"] <= high["success@10"]["value"]
    assert set(low["clean"]) == set(low["noise"])
    table = pl.read_parquet(out / "pairs.parquet")
    for line in table.to_dicts():
        path = out / "images" / f"eps-{line['eps']:g}" / f"{line['item']}--{line['target']}.png"
        assert path.is_file()
        assert line["linf"] <= line["eps"]
    # a process that died before the last part: the same command does that part only
    before = json.loads((out / "cells" / "part-0000.json").read_text())
    (out / "cells" / "part-0002.json").unlink()
    (out / "pairs.parquet").unlink()
    del before["sha256"]
    before["pairs"][0]["rank_after"] = 77  # would be overwritten if it were attacked again
    before["sha256"] = digest(before)
    (out / "cells" / "part-0000.json").write_text(json.dumps(before))
    evade(capsys, *words, "--out", str(out))
    again = pl.read_parquet(out / "pairs.parquet")
    assert again["rank_after"][0] == 77
    assert again[1:].equals(table[1:])


def test_an_attack_that_a_plain_one_beats_is_called_weak(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evade", "--data", PHOTOS, "--json", "--device", "cpu", "--model", model]
    words += ["--eps", "0.2", "--attack", "pgd-2", "--set", "step_size=0.01"]
    out = tmp_path / "pairs"
    many = [*words, "--n", "12", "--stop-rank", "3", "--out", str(out)]
    assert main(many) == 0
    said = capsys.readouterr()
    first = json.loads(said.out)
    assert "warning: pgd is weak on this encoder" in said.err
    assert first["reference"]["weak"]
    (out / "cells" / "reference-0000.json").unlink()
    assert main(many) == 0
    assert json.loads(capsys.readouterr().out)["reference"] == first["reference"]
    pair = pl.read_parquet(out / "pairs.parquet").filter(pl.col("rank_after") > 3).row(0)[:2]
    one = ["--item", pair[0], "--target-item", pair[1], "--stop-rank", "3"]
    assert main([*words, *one, "--out", str(tmp_path / "one")]) == 0
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert result["reference_rank"] < result["rank_after"]
    assert "the plain reference attack gets the item to rank" in said.err


def test_pairs_of_the_user(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("item,target\n10001,10050\n10002,10060\n")
    words = ["--model", model, "--attack", "fgsm", "--pairs", str(path)]
    found = evade(capsys, *words, "--out", str(tmp_path / "csv"))
    assert found["pairs"] == 2
    path.write_text("item,target\n10001,10001\n")
    broken = evade(capsys, *words, "--out", str(tmp_path / "self"), code=2)
    assert "the target is the item itself" in str(broken)


def test_smallest_budgets_after_a_kill(
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recsec.attacks.evasion.harness.pair_run.PART", 5)
    words = ["--model", model, "--n", "9", "--attack", "mi-4", "--eps", "0.02", "--eps", "0.06"]
    out = tmp_path / "run"
    found = evade(capsys, *words, "--min-eps", "--stop-rank", "5", "--out", str(out))
    table = pl.read_parquet(out / "pairs.parquet")
    levels = table["min_eps"].to_numpy() * 255
    assert np.allclose(levels, np.round(levels), equal_nan=True)
    for line in table.to_dicts():
        # a budget suffices from the smallest one on, and not below
        reached = line["rank_after"] <= 5
        assert reached == (line["min_eps"] is not None and line["min_eps"] <= line["eps"])
        assert (line["rank_before"] <= 5) == (line["min_eps"] == 0)
    least: dict[str, dict[str, float]] = found["min_eps"]  # type: ignore[assignment]
    failed = table.filter(pl.col("eps") == 0.06)["min_eps"].is_null().mean()
    assert least["failed"]["value"] == pytest.approx(failed)
    assert least["largest"] == 0.06
    (out / "cells" / "part-0001.json").unlink()
    again = evade(capsys, *words, "--min-eps", "--stop-rank", "5", "--out", str(out))
    assert again == found
    assert pl.read_parquet(out / "pairs.parquet").equals(table)


def test_the_target_in_the_answer_to_the_photo(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", model, "--attack", "mi-8", "--goal", "query", "--eps", "0.08"]
    pair = ["--item", "10003", "--target-item", "10040", "--min-eps", "--stop-rank", "10"]
    found = evade(capsys, *words, *pair, "--out", str(tmp_path / "one"))
    least: float | None = found["min_eps"]  # type: ignore[assignment]
    assert (least is None) == (found["rank_after"] > 10)  # type: ignore[operator]
    assert "exact place of the target in the answer to the photo" in str(found["protocol"])
    many = evade(capsys, *words, "--n", "4", "--out", str(tmp_path / "many"))
    assert many["rank_after"] < many["rank_before"]  # type: ignore[operator]
    path = tmp_path / "pairs.csv"
    path.write_text("item,target\n10003,10040\n10040,10003\n")
    nothing = ["--model", model, "--attack", "fgsm", "--eps", "0", "--pairs", str(path)]
    evade(capsys, *nothing, "--out", str(tmp_path / "lists"))
    evade(capsys, *nothing, "--goal", "query", "--out", str(tmp_path / "queries"))
    lists, queries = (
        pl.read_parquet(tmp_path / name / "pairs.parquet") for name in ("lists", "queries")
    )
    # unchanged photos: the target's place in the photo's list is the photo's in the target's
    assert queries["rank_before"].to_list() == lists["rank_before"].reverse().to_list()


def test_a_shop_that_recompresses(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", model, "--attack", "mi-6", "--n", "4", "--eps", "0.05"]
    found = evade(capsys, *words, "--ingest", "jpeg:50", "--out", str(tmp_path / "jpeg"))
    assert "recompressed by the shop (jpeg:50)" in str(found["protocol"])
    assert found["in_budget"] == 1
    assert found["backwards"] == 6
    table = pl.read_parquet(tmp_path / "jpeg" / "pairs.parquet")
    photos = load_photos(PHOTOS)
    for line in table.to_dicts():
        file = tmp_path / "jpeg" / "images" / "eps-0.05" / f"{line['item']}--{line['target']}.png"
        clean = photos.pixels(photos.rows([int(line["item"])]), 16)[0].transpose(1, 2, 0)
        assert np.abs(pixels(file) - clean).max() / 255 == pytest.approx(line["linf"])
    one = ["--item", "10003", "--target-item", "10040", "--ingest", "jpeg:50"]
    single = evade(capsys, *words[:4], *one, "--out", str(tmp_path / "one"))
    assert (tmp_path / "one" / "panel.png").is_file()
    assert single["in_budget"] is True


def test_one_photo_in_many_lists(
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recsec.attacks.evasion.harness.hub_run.PART", 2)
    words = ["--model", model, "--goal", "hub", "--attack", "mi-6", "--eps", "0.02"]
    more = ["--n", "3", "--targets", "9", "--eps", "0.1", "--out", str(tmp_path / "hubs")]
    found = evade(capsys, *words, *more)
    assert (found["photos"], found["targets"], found["list_length"]) == (3, 9, 10)
    low, high = found["budgets"]  # type: ignore[misc]
    assert low["lists"]["after"]["value"] <= high["lists"]["after"]["value"] <= 9
    assert set(high["exposure"]) == {"before", "noise", "after"}
    table = pl.read_parquet(tmp_path / "hubs" / "hubs.parquet")
    assert table.height == 6
    assert (table["lists_after"] <= table["exposure_after"]).all()
    for line in table.to_dicts():
        folder = tmp_path / "hubs" / "images" / f"eps-{line['eps']:g}"
        assert (folder / f"{line['item']}.png").is_file()
        assert line["linf"] <= line["eps"]
    (tmp_path / "hubs" / "cells" / "part-0001.json").unlink()
    assert evade(capsys, *words, *more) == found
    path = tmp_path / "targets.csv"
    path.write_text("target\n10040\n10041\n10003\n")
    one = [*words, "--item", "10005", "--targets", str(path)]
    assert evade(capsys, *one, "--out", str(tmp_path / "one"))["targets"] == 3
    one[one.index("10005")] = "10003"
    said = evade(capsys, *one, "--out", str(tmp_path / "own"), code=2)
    assert "is one of the targets" in str(said)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--item", "10003"], 2, "belong together"),
        (["--item", "10003", "--target-item", "10003"], 2, "the target is the item itself"),
        (["--item", "10003", "--target-item", "1"], 3, "is not among the 90 photos"),
        (["--eps", "1.5"], 2, "expected a number from 0 to 1"),
        (["--attack", "nothing"], 2, "no attacks called"),
        (["--attack", "mi", "--set", "step=3"], 2, "step: extra inputs"),
        (["--attack", "transfer"], 2, "needs surrogates"),
        (["--pairs", "some"], 2, "--pairs some"),
        (["--goal", "nothing"], 2, "expected cosine, features, demotion, lists, query"),
        (["--goal", "hub", "--min-eps"], 2, "it takes no --target-item, --pairs or --min-eps"),
        (["--goal", "hub", "--targets", "some"], 2, "expected a number or a table"),
        (["--goal", "hub", "--targets", "0", "--n", "2"], 3, "at least 1"),
        (["--goal", "hub", "--attack", "noise"], 2, "sees scores or gradients"),
        (["--targets", "5"], 2, "belongs to --goal hub"),
        (["--ingest", "jpeg"], 2, "expected png or jpeg:Q"),
        (["--ingest", "jpeg:0"], 2, "from 1 to 100"),
        (["--n", "100000"], 3, "expected 100000"),
    ],
)
def test_wrong_words(
    words: list[str],
    code: int,
    said: str,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = evade(capsys, "--model", model, "--out", str(tmp_path / "out"), *words, code=code)
    assert said in str(found["error"])


@pytest.mark.parametrize(
    "words",
    [
        ["--n", "2", "--stage", "valid"],
        ["--n", "2", "--stage", "valid", "--goal", "hub", "--targets", "4"],
        ["--item", "10003", "--target-item", "10040"],
    ],
    ids=["pairs", "hub", "one"],
)
def test_photos_are_embedded_on_the_device(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """The encoder goes there before the catalog is embedded: the first and longest step."""
    seen: list[str] = []

    def placed(encoder: Encoder, *where: object, **how: object) -> Encoder:
        seen.append(str(where[0]))
        return encoder

    def embedded(*_: object, **__: object) -> None:
        seen.append("embedded")
        raise KeyboardInterrupt

    monkeypatch.setattr(Encoder, "to", placed)
    monkeypatch.setattr("recsec.targets.visual.open.catalog_features", embedded)
    command = ["evade", "--model", model, "--data", PHOTOS, "--attack", "mi-3", "--eps", "0.1"]
    assert main([*command, *words, "--device", "cuda", "--out", str(tmp_path / "run")]) == 130
    assert seen == ["cuda", "embedded"]
