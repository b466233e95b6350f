"""Anybody's encoder through every door: the same vectors, clean ranks and success."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import visual_shop

from recsec.attacks.evasion import ListedPair
from recsec.cli.main import main
from recsec.data import load_photos
from recsec.errors import ConfigError, TargetError, UsageError
from recsec.targets.visual import ImageSearch, SearchFile, open_source

PHOTOS = "photos:items=90,categories=4"
SIZE = visual_shop.SIZE


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network as ONNX and TorchScript, and a file for each door."""
    folder = tmp_path_factory.mktemp("doors")
    images = torch.rand(2, 3, SIZE, SIZE)
    network = visual_shop.Tiny().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (images,), str(folder / "tiny.onnx"), dynamo=False, input_names=["images"],
            output_names=["vectors"], dynamic_axes={"images": {0: "B"}, "vectors": {0: "B"}},
        )  # fmt: skip
        torch.jit.trace(network, images).save(str(folder / "tiny.pt"))
    sources = {
        "torch": "torch:visual_shop:factory",
        "exported": "torch:visual_shop:exported",
        "script": f"torch:{folder / 'tiny.pt'}",
        "callable": "callable:visual_shop:vectors",
        "onnx": f"onnx:{folder / 'tiny.onnx'}",
    }
    for name, source in sources.items():
        text = f'[encoder]\nsource = "{source}"\nsize = {SIZE}\n'
        (folder / f"{name}.toml").write_text(text)
    return folder


@pytest.fixture(scope="session")
def photos() -> Any:
    return load_photos(PHOTOS)


@pytest.fixture
def shop(photos):
    pixels = np.array(photos.pixels(np.arange(len(photos)), SIZE)).transpose(0, 2, 3, 1)
    with visual_shop.Search(photos.ids.tolist(), visual_shop.vectors(pixels)) as running:
        yield running


def evade(capsys, model: Any, out: Path, *words: str, code: int = 0) -> dict[str, Any]:
    given = ["evade", "--model", str(model), "--data", PHOTOS, "--out", str(out), *words]
    assert main([*given, "--json", "-q", "--device", "cpu"]) == code
    said = capsys.readouterr()
    return json.loads(said.out)


@pytest.mark.parametrize("door", ["torch", "exported", "script", "callable", "onnx"])
def test_every_door_gives_the_same_vectors(files, door):
    images = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    images = images.mul(255).round().div(255)
    found = open_source(str(files / f"{door}.toml")).encoder
    with torch.no_grad():
        wanted = visual_shop.NETWORK(images)
        assert found.dim == 24
        assert torch.allclose(found.features(images), wanted, atol=1e-5)
        assert torch.allclose(found.frozen()(images), found(images), atol=1e-5)
    assert found.gradients == (door != "callable")
    if found.gradients:
        point = images.clone().requires_grad_()
        theirs = images.clone().requires_grad_()
        (own,) = torch.autograd.grad(found.features(point).sum(), point)
        (true,) = torch.autograd.grad(visual_shop.NETWORK(theirs).sum(), theirs)
        assert torch.allclose(own, true, atol=1e-5)


def test_a_network_whose_gradients_end_inside_gives_none(tmp_path, capsys):
    file = tmp_path / "detached.toml"
    file.write_text(f'[encoder]\nsource = "torch:visual_shop:detached"\nsize = {SIZE}\n')
    assert open_source(str(file)).gives == {"ids", "embeddings"}
    own = evade(capsys, file, tmp_path / "own", "--n", "3", "--attack", "apgd", code=2)
    assert "needs gradients of vectors" in own["error"]["message"]


def test_the_same_pairs_through_all_doors(files, shop, tmp_path, capsys):
    tables = {}
    for door in ("torch", "onnx", "callable"):
        attack = ["--attack", "square-30"] if door == "callable" else ["--attack", "apgd-15"]
        found = evade(
            capsys, files / f"{door}.toml", tmp_path / door, "--n", "6", "--goal", "query", *attack
        )
        tables[door] = pl.read_parquet(tmp_path / door / "pairs.parquet"), found
    file = tmp_path / "shop.toml"
    file.write_text(f'[search]\nurl = "{shop.url}/search"\nk = 40\nsize = {SIZE}\n')
    found = evade(capsys, file, tmp_path / "http", "--n", "6", "--attack", "square-10")
    tables["http"] = pl.read_parquet(tmp_path / "http" / "pairs.parquet"), found
    ranks = {door: table["rank_before"].to_list() for door, (table, _) in tables.items()}
    assert ranks["torch"] == ranks["onnx"] == ranks["callable"]
    assert ranks["http"] == [min(rank, 41) for rank in ranks["torch"]]
    white = [tables[door][1]["success@10"] for door in ("torch", "onnx")]
    assert white[0]["low"] <= white[1]["value"] <= white[0]["high"]
    assert "gradients" in tables["torch"][1]["knowledge"]
    assert "how near" in tables["callable"][1]["knowledge"]
    assert "lists of ids only" in tables["http"][1]["knowledge"]
    assert tables["callable"][0]["backwards"].sum() == 0
    # finished pairs are read, not asked again: the pre-flight alone uploads
    before = shop.uploads
    again = evade(capsys, file, tmp_path / "http", "--n", "6", "--attack", "square-10")
    assert again == found
    assert shop.uploads - before <= 4


def test_a_listing_gets_its_photo_back(shop, photos, tmp_path, capsys):
    file = tmp_path / "shop.toml"
    file.write_text(
        f'[search]\nsurface = "relist"\nmethod = "PUT"\nsend = "raw"\n'
        f'url = "{shop.url}/items/{{item}}"\nread = "{shop.url}/items/{{target}}"\n'
        f"k = 41\nsize = {SIZE}\n"
    )
    found = evade(capsys, file, tmp_path / "out", "--n", "3", "--attack", "square-8")
    assert "listed anew" in found["protocol"]
    assert np.allclose(shop.listed, shop.catalog, atol=1e-5)
    words = ["--n", "3", "--attack", "apgd"]
    own = evade(capsys, "callable:visual_shop:vectors", tmp_path / "own", *words, code=2)
    assert "needs gradients of vectors" in own["error"]["message"]


@pytest.mark.parametrize("command", ["similar", "evaluate", "certify", "screen"])
def test_other_commands_take_it(files, photos, command, tmp_path, capsys):
    words = {
        "similar": ["--item", str(photos.ids[0]), "--out", str(tmp_path / "a.png")],
        "evaluate": [],
        "certify": ["--pairs", "1", "--draws", "4"],
        "screen": [str(tmp_path / "b.png"), "--listing", str(photos.ids[0])],
    }[command]
    if command == "screen":
        from PIL import Image

        Image.fromarray(photos.pixels([0], 64)[0].transpose(1, 2, 0)).save(tmp_path / "b.png")
    model = str(files / "callable.toml")
    assert main([command, *words, "--model", model, "--data", PHOTOS, "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_what_needs_weights_says_so(files, tmp_path, capsys):
    words = ["--model", str(files / "torch.toml"), "--data", PHOTOS, "--out", str(tmp_path / "h")]
    assert main(["harden", "--method", "fare", *words]) == 2
    said = capsys.readouterr().err
    assert "needs weights that can be trained further" in said
    assert "backbone=hf:FOLDER" in said
    assert not (tmp_path / "h").exists()
    assert main(["evaluate", *words[:4], "--attack", "0.03"]) == 2


@pytest.mark.parametrize(
    ("spec", "kind", "said"),
    [
        ("torch:visual_shop:no_module", TargetError, "returned int, expected an nn.Module"),
        ("torch:visual_shop:absent", TargetError, "absent"),
        ("torch:nowhere_at_all:make", TargetError, "nowhere_at_all"),
        ("torch:weights.pt2", ConfigError, "may unpickle"),
        ("callable:visual_shop:growing", TargetError, "changed the width"),
        ("callable:visual_shop:not_finite", TargetError, "not finite"),
        ("callable:visual_shop:refusing", TargetError, "no images of 224 pixels"),
        ("callable:visual_shop:ending", TargetError, "ended the process"),
        ("callable:visual_shop", ConfigError, "callable:module:name"),
        ("onnx:absent.onnx", ConfigError, "no file"),
        ("http://127.0.0.1:9/search", UsageError, "lists"),
    ],
)
def test_bad_sources_are_named(spec, kind, said):
    with pytest.raises(kind, match=said):
        encoder = open_source(spec).encoder
        encoder.features(torch.zeros(1, 3, encoder.size, encoder.size))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("callable:visual_shop:blind", "one vector to all 90 photos"),
        ("callable:visual_shop:flat", "90 of 90 photos a vector of no length"),
        ("callable:visual_shop:moody", "another vector when it is asked again"),
    ],
)
def test_vectors_that_mean_nothing_are_refused_before_an_attack(
    photos, spec, said, tmp_path, capsys
):
    found = evade(capsys, spec, tmp_path / "out", "--n", "2", "--attack", "square-2", code=3)
    assert said in found["error"]["message"]
    assert not (tmp_path / "out").exists()
    assert main(["target", "check", spec, "--data", PHOTOS, "-q"]) == 3


def test_a_check_shows_what_was_sent_and_what_works(files, shop, tmp_path, capsys):
    def check(model: Path) -> dict[str, Any]:
        assert main(["target", "check", str(model), "--data", PHOTOS, "--json", "-q"]) == 0
        return json.loads(capsys.readouterr().out)

    (tmp_path / "bgr.toml").write_text(
        (files / "torch.toml").read_text() + 'channels = "bgr"\nmean = [0.5, 0.5, 0.5]\n'
    )
    found = check(tmp_path / "bgr.toml")
    assert found["gives"] == ["ids", "embeddings", "gradients"]
    assert "32 px, bgr, 0 to 1, mean 0.5 0.5 0.5" in found["shown"]
    assert found["questions"][0]["sent"].startswith("float32 (1, 3, 32, 32) from -0.5")
    assert found["questions"][0]["size"] == 24
    assert found["commands"]["evade --attack apgd"] == []
    assert found["commands"]["harden photos"] == ["weights"]
    found = check(files / "callable.toml")
    assert "uint8 (1, 32, 32, 3)" in found["questions"][0]["sent"]
    assert found["commands"]["evade --attack apgd"] == ["gradients"]
    (tmp_path / "shop.toml").write_text(f'[search]\nurl = "{shop.url}/search"\nsize = {SIZE}\n')
    found = check(tmp_path / "shop.toml")
    assert found["gives"] == ["ids"]
    assert found["questions"][0]["answered"][0] == found["questions"][0]["item"]
    assert shop.uploads == 7
    assert "find themselves first" in found["repeats"]
    shop.scores = -1
    with (tmp_path / "shop.toml").open("a") as file:
        file.write('scores = "$.scores"\n')
    assert check(tmp_path / "shop.toml")["gives"] == ["ids", "scores"]


def test_bad_onnx_files_are_named(files, tmp_path):
    import onnx

    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing of the kind" * 9)
    with pytest.raises(ConfigError, match="no ONNX file"):
        open_source(f"onnx:{broken}")
    model = onnx.load(str(files / "tiny.onnx"))
    model.graph.node[-1].domain = "com.example"
    model.graph.node[-1].op_type = "OurOwn"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    onnx.save(model, str(tmp_path / "custom.onnx"))
    with pytest.raises(ConfigError, match="onnxruntime refuses") as caught:
        open_source(f"onnx:{tmp_path / 'custom.onnx'}")
    assert "callable:" in str(caught.value.hint)
    model = onnx.load(str(files / "tiny.onnx"))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../elsewhere.bin"
    (tmp_path / "outside.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ConfigError, match="outside of its folder"):
        open_source(f"onnx:{tmp_path / 'outside.onnx'}")
    entry.value = "absent.bin"
    (tmp_path / "absent.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ConfigError, match="no such file beside it"):
        open_source(f"onnx:{tmp_path / 'absent.onnx'}")
    model = onnx.load(str(files / "tiny.onnx"))
    constant = onnx.TensorProto()
    constant.CopyFrom(tensor)
    constant.external_data[0].value = "../elsewhere.bin"
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["hidden"], value=constant))
    (tmp_path / "node.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ConfigError, match="outside of its folder"):
        open_source(f"onnx:{tmp_path / 'node.onnx'}")


def test_the_users_own_ranks_come_first(files, photos, tmp_path, capsys):
    source = open_source(str(files / "torch.toml"))
    features = torch.nn.functional.normalize(source.features(photos), dim=1)
    cosines = (features @ features.T).fill_diagonal_(-2)
    lines = ["item,neighbor,place"]
    for row in range(5):
        order = cosines[row].argsort(descending=True)[:4]
        lines += [f"{photos.ids[row]},{photos.ids[at]},{n}" for n, at in enumerate(order, start=1)]
    (tmp_path / "ranks.csv").write_text("\n".join(lines) + "\n")
    text = (files / "torch.toml").read_text() + f'ranks = "{tmp_path / "ranks.csv"}"\n'
    (tmp_path / "right.toml").write_text(text)
    (tmp_path / "wrong.toml").write_text(text + 'channels = "bgr"\nmean = [0.5, 0.4, 0.1]\n')
    evade(capsys, tmp_path / "right.toml", tmp_path / "a", "--n", "1", "--attack", "fgsm")
    said = evade(capsys, tmp_path / "wrong.toml", tmp_path / "b", "--n", "1", code=3)
    assert "are found again" in said["error"]["message"]
    assert not (tmp_path / "b").exists()


def ask(shop, photos, **settings: Any):
    slept: list[float] = []
    config = SearchFile(url=f"{shop.url}/search", k=40, size=SIZE, **settings)
    image = np.array(photos.pixels([0], SIZE))[0]
    with ImageSearch(config, photos, sleep=slept.append) as search:
        return search.list(image, 0, 1), slept


def test_a_search_that_limits_is_waited_for(shop, photos):
    shop.script.append((429, {"Retry-After": "2"}, {}))
    found, slept = ask(shop, photos)
    assert found[0] == 0
    assert max(slept) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("way", [1, -1], ids=["similarities", "distances"])
def test_scores_of_a_search_are_followed_and_the_attacker_is_said_to_see_them(
    shop, photos, tmp_path, capsys, way
):
    shop.scores = way
    config = SearchFile(url=f"{shop.url}/search", k=20, size=SIZE, scores="$.scores")
    image, other = torch.from_numpy(np.array(photos.pixels([0, 1], SIZE)))
    with ImageSearch(config, photos) as search:
        found = search.scored(image.numpy(), 0, 1)
        pair = ListedPair(search, 0, int(found.rows[5]), scored=True)
        answer = pair.answers(image[None].float().div(255))[0]
        objective = pair.objective(other, 1)
    wanted = (shop.catalog[found.rows] @ shop.catalog[0]).astype(float)
    assert found.nearness == pytest.approx(wanted, abs=1e-5)
    items = len(photos)
    rest = wanted[1:]  # the photo's own item left out
    assert answer[items + found.rows[5]] == pytest.approx(
        (rest[4] - rest[-1]) / (rest[0] - rest[-1]), abs=1e-4
    )
    assert answer[items + found.rows[1:]].tolist() == sorted(
        answer[items + found.rows[1:]].tolist(), reverse=True
    )
    nearer = answer.clone()
    nearer[items + found.rows[5]] += 0.01  # at the same place
    assert objective.values(nearer[None]) > objective.values(answer[None])
    file = tmp_path / "scored.toml"
    file.write_text(
        f'[search]\nurl = "{shop.url}/search"\nk = 20\nsize = {SIZE}\nscores = "$.scores"\n'
    )
    words = ["--attack", "square", "--set", "queries=3", "--n", "2"]
    said = evade(capsys, file, tmp_path / "run", *words)
    assert said["settings"]["oracle"] == "scores"
    assert "how near a photo is to the target" in said["knowledge"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((429, {"Retry-After": "900"}, {}), "asks to wait 900 s"),
        ((200, {}, {"items": [424242]}), "an unknown item"),
        ((200, {}, {"items": [{"id": 1}]}), "where an id was expected"),
        ((200, {}, {"found": []}), "without a list"),
        ((413, {}, {"error": "too large"}), "status 413"),
        ((200, {}, {"items": [10001, 10002], "scores": [0.5]}), "1 numbers at $.scores for 2 ids"),
        ((200, {}, {"items": [10001, 10002]}), "0 numbers at $.scores for 2 ids"),
        (
            (200, {}, {"items": [10001, 10002], "scores": [1, 10**400]}),
            "what is no number at $.scores",
        ),
        (
            (200, {}, {"items": [10001, 10002, 10003], "scores": [2, 1, 3]}),
            "scores at $.scores that neither",
        ),
        ((401, {}, {}), "auth_env"),
    ],
)
def test_bad_answers_of_a_search_are_named(shop, photos, answer, said):
    shop.script.append(answer)
    scores = {"scores": "$.scores"} if "scores" in said else {}
    with pytest.raises(TargetError) as caught:
        ask(shop, photos, **scores)
    assert said in f"{caught.value.message} {caught.value.hint}"


def test_a_search_that_recompresses_is_judged_by_what_it_answers(shop, tmp_path, capsys):
    shop.quality = 40
    file = tmp_path / "shop.toml"
    file.write_text(f'[search]\nurl = "{shop.url}/search"\nk = 40\nsize = {SIZE}\n')
    words = ["--n", "3", "--attack", "square-6", "--eps", "0.1"]
    found = evade(capsys, file, tmp_path / "out", *words)
    assert "of 3 photos of the catalog find themselves first" in found["protocol"]
    table = pl.read_parquet(tmp_path / "out" / "pairs.parquet")
    assert (table["linf"] <= 0.1).all()  # of the file that was uploaded, not of what became of it


def test_a_search_of_other_photos_is_refused(shop, photos, tmp_path, capsys):
    shop.catalog = np.roll(shop.catalog, 45, axis=0) * -1
    file = tmp_path / "shop.toml"
    file.write_text(f'[search]\nurl = "{shop.url}/search"\nk = 3\nsize = {SIZE}\n')
    said = evade(capsys, file, tmp_path / "out", "--n", "2", code=3)
    assert "it searches other photos" in said["error"]["message"]


def test_a_search_elsewhere_needs_its_owner(photos):
    with pytest.raises(UsageError, match="not on this machine"):
        ImageSearch(SearchFile(url="http://shop.example/search"), photos)
