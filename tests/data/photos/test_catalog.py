"""Catalogs of photos: what is kept, what is counted, and pixels that come from the cache."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from small_photos import deepfashion_members, encode, fashion_members, picture, write, zipped

from recsec.data import cache_folder, get, is_photos, load, load_photos, resize, split_photos
from recsec.data.photos.catalog import Photos
from recsec.data.photos.files import ResizeRule, open_photo
from recsec.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def own_cache(cache: Path) -> Path:
    return cache


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    return zipped(tmp_path / "fashion.zip", fashion_members())


def pixel_files() -> list[str]:
    return sorted(path.name for path in (cache_folder() / "photos").glob("*pixels*.npy"))


def test_fashion_layout(fashion: Path) -> None:
    photos = load_photos("fashion", source=fashion)
    assert len(photos) == 11
    assert photos.report.exact == 1
    assert photos.table["id"].to_list() == list(range(100, 111))
    assert photos.table["category"].to_list()[:2] == ["Shirts", "Watches"]
    assert photos.attributes == ("baseColour", "usage", "season", "gender")
    assert photos.table["baseColour"].to_list()[:3] == ["Red", None, "Blue"]
    assert photos.titles[3].startswith("Item")
    assert photos.report.sizes == ((40, 40, 11),)
    assert not photos.synthetic


def test_a_folder_and_an_archive_are_the_same_catalog(tmp_path: Path, fashion: Path) -> None:
    folder = write(tmp_path / "unpacked", fashion_members())
    packed, unpacked = (load_photos("fashion", source=path) for path in (fashion, folder))
    assert packed.fingerprint == unpacked.fingerprint
    assert packed.table.equals(unpacked.table)


def test_rows_and_ids(fashion: Path) -> None:
    photos = load_photos("fashion", source=fashion)
    assert photos.rows([105, 100]).tolist() == [5, 0]
    assert photos.ids[photos.rows([107])] == [107]
    assert photos.parse_id("107") == 107
    with pytest.raises(DataError, match="item 111 is not among the 11"):
        photos.rows([111])  # it repeats the first photo
    with pytest.raises(DataError, match="ids of this catalog are numbers"):
        photos.parse_id("a7")


def plain(path: Path, photos: Photos, size: int) -> list[np.ndarray]:
    images = [open_photo((path / f"images/{item}.jpg").read_bytes()) for item in photos.ids]
    return [resize(image, size, photos.rule) for image in images]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["fashion", "fashion:fit=squash,trim=true"])
def test_pixels_equal_the_plain_loop_cached_or_not(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "unpacked", fashion_members())
    photos = load_photos(name, source=folder)
    expected = np.stack(plain(folder, photos, 16))
    few = photos.pixels([3, 1], 16)
    assert pixel_files() == []
    everything = photos.pixels(np.arange(len(photos)), 16)
    assert len(pixel_files()) == 1
    assert everything.dtype == np.uint8
    assert type(everything) is np.ndarray
    assert all(found.flags.writeable and found.flags.c_contiguous for found in (few, everything))
    assert np.array_equal(everything, expected)
    assert np.array_equal(few, expected[[3, 1]])
    for image in (folder / "images").iterdir():
        image.unlink()
    assert np.array_equal(photos.pixels([3, 1], 16), expected[[3, 1]])


def test_rules_and_sizes_have_files_of_their_own(fashion: Path) -> None:
    for name in ("fashion", "fashion:fit=squash"):
        photos = load_photos(name, source=fashion)
        for size in (8, 9):
            assert photos.pixels(np.arange(11), size).shape == (11, 3, size, size)
    assert len(pixel_files()) == 4


def test_half_a_file_is_never_used(fashion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = load_photos("fashion", source=fashion)
    rows = np.arange(11)
    with monkeypatch.context() as patch:

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            photos.pixels(rows, 8)
    assert pixel_files() == []
    whole = photos.pixels(rows, 8)
    path = cache_folder() / "photos" / pixel_files()[0]
    path.write_bytes(path.read_bytes()[:-50])
    assert np.array_equal(photos.pixels(rows, 8), whole)
    leftover = path.with_name(f".{path.name}.1.unfinished")
    leftover.write_bytes(b"half")
    path.unlink()
    assert np.array_equal(photos.pixels(rows, 8), whole)
    assert not leftover.exists()


def test_several_at_once_get_the_same(fashion: Path) -> None:
    photos = load_photos("fashion", source=fashion)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: photos.pixels(np.arange(11), 12), range(4)))
    assert all(np.array_equal(found[0], other) for other in found)


def test_a_full_disk_says_what_to_do(fashion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = load_photos("fashion", source=fashion)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left") as caught:
        photos.pixels(np.arange(11), 8)
    assert "RECSEC_CACHE" in str(caught.value.hint)
    assert pixel_files() == []


@pytest.mark.parametrize("rows", [[-1], [11], [0, 99]])
def test_rows_outside_are_named(fashion: Path, rows: list[int]) -> None:
    photos = load_photos("fashion", source=fashion)
    with pytest.raises(DataError, match=f"row {max(rows, key=abs)} is not"):
        photos.pixels(rows, 8)
    assert photos.pixels([], 8).shape == (0, 3, 8, 8)
    with pytest.raises(DataError, match="at least 1"):
        photos.pixels([0], 0)


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    members = fashion_members()
    members["images/101.jpg"] = members["images/101.jpg"][:200]
    members["images/102.jpg"] = b"no image"
    del members["images/103.jpg"]
    members["images/999.jpg"] = encode(picture(50))
    members["images/104.jpg"] = encode(picture(4, size=(200, 200)), "JPEG", quality=90)
    again = open_photo(members["images/104.jpg"])
    members["images/105.jpg"] = encode(again, "JPEG", quality=75)  # type: ignore[arg-type]
    lines = members["styles.csv"].decode().splitlines()
    lines += [lines[1], "200,Men,Apparel,Topwear,,Red,Fall,2011,Casual,No category"]
    members["styles.csv"] = "\n".join(lines).encode()
    report = load_photos("fashion", source=zipped(tmp_path / "f.zip", members)).report
    counts = report.to_json()
    faults = counts.pop("faults")
    assert counts.pop("notes") == []
    assert counts == {
        "listed": 14,
        "unlabeled": 2,
        "repeated_ids": 1,
        "missing": 1,
        "broken": 2,
        "huge": 0,
        "exact": 1,
        "near": 1,
    }
    assert [name for name, _ in faults] == ["images/101.jpg", "images/102.jpg", "images/103.jpg"]
    assert "the 12 images are called like 'images/100.jpg'" in faults[-1][1]


def test_a_changed_file_is_looked_at_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "unpacked", fashion_members())
    before = load_photos("fashion", source=folder)
    (folder / "images/104.jpg").write_bytes(encode(picture(77), "JPEG", quality=91))
    after = load_photos("fashion", source=folder)
    assert before.fingerprint != after.fingerprint
    (folder / "images/104.jpg").write_bytes(b"gone bad")
    with pytest.raises(DataError, match="can no longer be read"):
        after.pixels([4], 8)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"styles.csv": b""}, "is empty"),
        ({"styles.csv": b"id,gender\n1,Men\n"}, "has no column for articleType"),
        ({"styles.csv": b"i\0d\0"}, "unknown encoding"),
        ({"styles.csv": None}, "has no styles.csv"),
        ({"images/%d.jpg": b"x"}, "no labeled photo that can be read"),
    ],
)
def test_broken_sets(tmp_path: Path, changes: dict[str, bytes | None], said: str) -> None:
    members = fashion_members()
    for name, content in changes.items():
        for member in [m for m in list(members) if m == name or ("%d" in name and "images" in m)]:
            if content is None:
                del members[member]
            else:
                members[member] = content
    with pytest.raises(DataError, match=said):
        load_photos("fashion", source=zipped(tmp_path / "f.zip", members))


def test_hostile_archives_are_refused(tmp_path: Path) -> None:
    members = fashion_members() | {"../../etc/evil.jpg": b"x"}
    with pytest.raises(DataError, match="leads out"):
        load_photos("fashion", source=zipped(tmp_path / "f.zip", members))
    cut = tmp_path / "cut.zip"
    cut.write_bytes(zipped(tmp_path / "g.zip", fashion_members()).read_bytes()[:500])
    with pytest.raises(DataError, match="not a whole zip"):
        load_photos("fashion", source=cut)


def test_names_and_settings() -> None:
    assert is_photos("fashion")
    assert is_photos("fashion:fit=squash")
    assert is_photos("photos:items=50")
    assert is_photos(str(cache_folder().parent))
    assert not is_photos("ml-1m")
    assert not is_photos("synthetic:users=5")
    assert not is_photos("log.csv")
    for photos in ("fashion", "photos:items=50"):
        with pytest.raises(ConfigError, match="holds photos"):
            load(photos)
    with pytest.raises(ConfigError, match="no photos called 'ml-1m'"):
        load_photos("ml-1m")
    with pytest.raises(DataError, match="not in the cache"):
        load_photos("fashion")
    with pytest.raises(ConfigError, match="become squares"):
        load_photos("fashion:fit=round")
    with pytest.raises(ConfigError, match="expected key=value"):
        load_photos("photos:items")
    with pytest.raises(ConfigError, match="own photos"):
        load_photos("photos", columns={"id": "sku"})


def test_get_copies_archives_and_notes_folders(tmp_path: Path, fashion: Path) -> None:
    receipt = get("fashion", source=fashion)
    assert (receipt.photos, receipt.categories, receipt.users) == (12, 2, None)
    fashion.unlink()
    assert len(load_photos("fashion")) == 11
    folder = write(tmp_path / "deep", deepfashion_members())
    noted = get("deepfashion", source=folder)
    assert (noted.path, noted.photos, noted.md5) == (folder, 6, None)
    assert get("deepfashion") == noted
    assert len(load_photos("deepfashion")) == 6
    folder.rename(tmp_path / "moved")
    with pytest.raises(DataError, match="not in the cache"):
        load_photos("deepfashion")
    with pytest.raises(DataError, match=r"no list_category_cloth\.txt"):
        get("deepfashion", source=write(tmp_path / "other", fashion_members()))


def test_deepfashion_layout(tmp_path: Path) -> None:
    folder = write(tmp_path / "deep", deepfashion_members())
    photos = load_photos("deepfashion", source=folder)
    table = photos.table
    assert table["id"].to_list() == [
        f"img/Pretty_Item_{place % 2}/img_{place:08d}.jpg" for place in (1, 3, 4, 5, 6, 7)
    ]
    floral, dots = ["floral"], ["polka dot"]
    expected = [floral, floral, dots, floral + dots, dots, floral + dots]
    assert table["texture"].to_list() == expected
    assert table["category"].to_list() == ["Jeans", "Blouse", "Jeans", "Dress", "Blouse", "Jeans"]
    assert table["partition"].to_list() == ["train", "test", "train", "train", "val", "test"]
    assert photos.titles[0] == "Pretty Item 1"
    assert photos.attributes == ("texture",)
    assert photos.pixels([0], 8).shape == (1, 3, 8, 8)


@pytest.mark.parametrize(
    ("table", "old", "new", "said"),
    [
        ("Anno/list_attr_img.txt", b" 0\n", b"\n", "expected 4 values"),
        ("Anno/list_attr_img.txt", b" 0\n", b" 2\n", "expected 4 values"),
        ("Anno/list_attr_img.txt", b" 0\n", b"-0 1\n", "expected 4 values"),
        ("Anno/list_category_img.txt", b"8\n", b"9\n", "number of rows"),
        ("Anno/list_category_img.txt", b"   3\n", b"   4\n", "category '4' is none of the 3"),
        ("Anno/list_category_cloth.txt", b"Jeans   2", b"Jeans", "expected two columns"),
        ("Anno/list_attr_cloth.txt", b"   1\n", b"   5\n", "no photo has an attribute"),
        ("Eval/list_eval_partition.txt", b"test", b"exam", "expected train, val or test"),
    ],
)
def test_malformed_deepfashion(
    tmp_path: Path, table: str, old: bytes, new: bytes, said: str
) -> None:
    members = deepfashion_members()
    assert old in members[table]
    members[table] = members[table].replace(old, new)
    with pytest.raises(DataError, match=said):
        load_photos("deepfashion", source=write(tmp_path / "deep", members))


def test_deepfashion_without_its_photos(tmp_path: Path) -> None:
    members = {name: data for name, data in deepfashion_members().items() if "Img" not in name}
    with pytest.raises(DataError, match="none of the photos") as caught:
        load_photos("deepfashion", source=write(tmp_path / "deep", members))
    assert "unpack" in str(caught.value.hint)


def shop(folder: Path, text: str, *names: str) -> Path:
    images = {name: encode(picture(place)) for place, name in enumerate(names)}
    return write(folder, {"shop.csv": text.encode()} | images)


def test_own_photos_by_id(tmp_path: Path) -> None:
    folder = shop(tmp_path / "shop", "sku,category\n007,Hat\n008,Hat\n", "a/007.png", "b/008.webp")
    photos = load_photos(str(folder))
    assert photos.name == "shop"
    assert photos.table.columns == ["id", "title", "category"]
    assert photos.table.rows() == [("007", "007", "Hat"), ("008", "008", "Hat")]
    assert photos.rule == ResizeRule()


def test_own_photos_by_file_with_named_columns(tmp_path: Path) -> None:
    text = "nr,kind,picture,hues,cut\n1,Hat,a.png,red|blue,wide\n2,Tie,b.png,,slim\n"
    folder = shop(tmp_path / "shop", text, "a.png", "b.png")
    columns = {"id": "nr", "category": "kind", "image": "picture", "attributes": "hues+cut"}
    photos = load_photos(f"{folder}:fit=squash", columns=columns)
    assert photos.table["id"].to_list() == [1, 2]
    assert photos.table["hues"].to_list() == [["red", "blue"], None]
    assert photos.table["cut"].to_list() == ["wide", "slim"]
    assert photos.rule.fit == "squash"


def test_own_photos_in_the_layout_of_fashion(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", fashion_members())
    photos = load_photos(str(folder))
    assert len(photos) == 11
    assert "baseColour" in photos.attributes
    packed = load_photos(str(zipped(tmp_path / "mine.zip", fashion_members())))
    assert packed.fingerprint == photos.fingerprint


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("sku,shape\n1,Hat\n", None, "no column for category"),
        ("what,category\n1,Hat\n", None, "neither a column for id"),
        ("id,category\n", None, "has no rows"),
        ("id,category\n1,Hat,3\n", None, "line 2: found 3 fields"),
        ("id,category\n1,Hat\n", {"attributes": "hue"}, "'hue' cannot be an attribute"),
        ("id,category\n1,Hat\n", {"image": "file"}, "no column for image"),
        ("image,category\n../secret.png,Hat\n", None, "no labeled photo"),
    ],
)
def test_own_photos_that_do_not_fit(
    tmp_path: Path, text: str, columns: dict[str, str] | None, said: str
) -> None:
    (tmp_path / "secret.png").write_bytes(encode(picture(1)))
    folder = shop(tmp_path / "shop", text, "1.png")
    with pytest.raises(DataError, match=said):
        load_photos(str(folder), columns=columns)
    with pytest.raises(ConfigError, match="unknown columns"):
        load_photos(str(folder), columns={"user": "u"})


def test_two_tables_need_a_name(tmp_path: Path) -> None:
    folder = shop(tmp_path / "shop", "id,category\n1,Hat\n", "1.png")
    (folder / "other.csv").write_text("id,category\n1,Tie\n")
    with pytest.raises(DataError, match="expected one table"):
        load_photos(str(folder))
    (folder / "labels.csv").write_text("id,category\n1,Bag\n")
    assert load_photos(str(folder)).table["category"].to_list() == ["Bag"]


@pytest.mark.data("fashion-product-images")
def test_the_real_set(mirror: Path) -> None:
    photos = load_photos("fashion", source=mirror / "fashion-product-images.zip")
    report = photos.report.to_json()
    assert [report.pop(key) for key in ("listed", "exact", "faults", "notes")] == [
        9583,
        122,
        [],
        [],
    ]
    assert set(report.values()) == {0}
    split = split_photos(photos)
    assert (len(split.categories), len(split.catalog)) == (39, 9209)


def test_tables_hold_strings(fashion: Path) -> None:
    table = load_photos("fashion", source=fashion).table
    assert table.schema["id"] == pl.Int64
    assert all(kind == pl.String for kind in table.drop("id").dtypes)
