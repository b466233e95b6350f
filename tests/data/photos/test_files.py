"""One image file: every mode, damage, and the square that becomes of it."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from small_photos import encode, picture

from recsec.data.photos import files as photo_files
from recsec.data.photos.files import Fault, ResizeRule, open_photo, read_photo, resize, resize_bytes
from recsec.errors import DataError

RED = (200, 30, 40)


def center(image: Image.Image | Fault) -> tuple[int, ...]:
    assert isinstance(image, Image.Image), image
    assert image.mode == "RGB"
    found = image.getpixel((image.width // 2, image.height // 2))
    assert isinstance(found, tuple)
    return found


def test_plain_rgb_is_read_exactly() -> None:
    image = picture(1, size=(31, 17))
    read = open_photo(encode(image))
    assert isinstance(read, Image.Image)
    assert np.array_equal(np.asarray(read), np.asarray(image))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF"])
def test_transparency_lies_on_white(form: str) -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert center(open_photo(encode(clear, form))) == (255, 255, 255)


def test_half_transparent_red_on_white() -> None:
    half = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    assert center(open_photo(encode(half))) == (255, 127, 127)


def test_palette_with_a_transparent_color() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 9, 9, 9])
    assert center(open_photo(encode(image, transparency=1))) == (255, 255, 255)
    assert center(open_photo(encode(image))) == (9, 9, 9)


def test_cmyk_is_converted() -> None:
    image = Image.new("RGB", (16, 16), RED).convert("CMYK")
    found = center(open_photo(encode(image, "JPEG", quality=95)))
    assert np.abs(np.subtract(found, RED)).max() < 12


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_keep_the_upper_eight(form: str) -> None:
    levels = np.full((4, 4), 0x80FF, dtype=np.uint16)
    assert center(open_photo(encode(Image.fromarray(levels), form))) == (128, 128, 128)


def test_gray_and_one_bit() -> None:
    assert center(open_photo(encode(Image.new("L", (4, 4), 77)))) == (77, 77, 77)
    assert center(open_photo(encode(Image.new("1", (4, 4), 1)))) == (255, 255, 255)


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (6, 6), color) for color in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert center(open_photo(data)) == (255, 0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_stands_the_photo_upright(orientation: int) -> None:
    upright = picture(3, size=(40, 20))
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # viewers turn it clockwise, so it was stored turned left
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    stored = upright if back is None else upright.transpose(back)
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = open_photo(encode(stored, exif=exif.tobytes()))
    assert isinstance(read, Image.Image)
    assert np.array_equal(np.asarray(read), np.asarray(upright))


def test_a_damaged_exif_block_is_no_fault() -> None:
    data = encode(picture(1), "JPEG", exif=b"Exif\0\0II*\0garbage")
    assert read_photo(data, name="odd.jpg").size == (40, 40)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image",
        encode(picture(1), "JPEG")[:400],
        encode(picture(1))[:-40],
        encode(picture(1)).replace(b"IDAT", b"IDAX"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    ],
    ids=["empty", "text", "cut jpeg", "cut png", "damaged", "postscript"],
)
def test_what_is_no_photo_is_a_fault(data: bytes) -> None:
    fault = open_photo(data)
    assert isinstance(fault, Fault)
    assert fault.kind == "broken"
    with pytest.raises(DataError, match=r"upload\.jpg is not a photo"):
        read_photo(data, name="upload.jpg")


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(8_000, 7_000), (10_000, 10_000), (60_000, 60_000)])
def test_decompression_bombs_are_huge(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="limit"):
        read_photo(bomb(*size), name="bomb.png")
    with photo_files.strict_pillow():
        fault = open_photo(bomb(*size))
    assert isinstance(fault, Fault)
    assert fault.kind == "huge"


def test_the_limit_itself_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_files, "LARGEST_PIXELS", 1600)
    assert isinstance(open_photo(encode(picture(1, size=(40, 40)))), Image.Image)
    fault = open_photo(encode(picture(1, size=(41, 40))))
    assert isinstance(fault, Fault)
    assert fault.kind == "huge"


def test_letterbox_keeps_proportions_and_fills_with_white() -> None:
    wide = Image.new("RGB", (60, 20), RED)
    square = resize(wide, 30, ResizeRule())
    assert square.shape == (3, 30, 30)
    red = (square == np.array(RED)[:, None, None]).all(axis=0)
    assert red[10:20].all()
    assert not red[:10].any()
    assert not red[20:].any()
    assert (square[:, :10] == 255).all()


def test_squash_fills_the_square() -> None:
    wide = Image.new("RGB", (60, 20), RED)
    square = resize(wide, 30, ResizeRule(fit="squash"))
    assert (square == np.array(RED)[:, None, None]).all()


def test_trim_cuts_the_white_border() -> None:
    image = Image.new("RGB", (50, 50), (252, 255, 250))
    image.paste(RED, (10, 5, 30, 25))
    square = resize(image, 16, ResizeRule(trim=True))
    assert (square == np.array(RED)[:, None, None]).all()
    white = Image.new("RGB", (50, 50), "white")
    assert (resize(white, 8, ResizeRule(trim=True)) == 255).all()


def test_extreme_proportions_leave_a_line() -> None:
    dot = resize(Image.new("RGB", (1, 1), RED), 1, ResizeRule())
    assert dot.reshape(3).tolist() == list(RED)
    assert dot.flags.writeable
    line = Image.new("RGB", (4000, 1), RED)
    square = resize(line, 16, ResizeRule())
    assert (square != 255).any(axis=(0, 2)).sum() == 1


def test_the_filter_is_the_one_of_torch() -> None:
    image = picture(5, size=(224, 224))
    ours = resize(image, 64, ResizeRule())
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
    theirs = torch.nn.functional.interpolate(pixels, 64, mode="bilinear", antialias=True)
    assert np.abs(ours - theirs[0].numpy()).max() <= 1.0


def difference(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> float:
    return float(np.abs(first.astype(int) - second).mean())


def test_a_large_jpeg_is_decoded_small_and_looks_the_same() -> None:
    data = encode(picture(7, size=(800, 600)), "JPEG", quality=95)
    rule = ResizeRule()
    fast, plain = resize_bytes(data, 64, rule), resize(read_photo(data, name="x"), 64, rule)
    assert isinstance(fast, np.ndarray)
    assert difference(fast, plain) < 1.5
    drafted = open_photo(data, draft=(64, rule))
    assert isinstance(drafted, Image.Image)
    assert drafted.size == (200, 150)


def test_a_jpeg_of_less_than_four_times_the_size_is_decoded_whole() -> None:
    data = encode(picture(7, size=(224, 224)), "JPEG")
    fast = resize_bytes(data, 64, ResizeRule())
    assert isinstance(fast, np.ndarray)
    assert np.array_equal(fast, resize(read_photo(data, name="x"), 64, ResizeRule()))


def test_draft_and_orientation_together() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = picture(9, size=(800, 400))
    data = encode(image.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif.tobytes())
    fast = resize_bytes(data, 32, ResizeRule())
    assert isinstance(fast, np.ndarray)
    assert difference(fast, resize(image, 32, ResizeRule())) < 3


def test_rules_have_names() -> None:
    assert str(ResizeRule()) == "letterbox"
    assert str(ResizeRule(fit="squash", trim=True)) == "trim-squash"


def test_truncated_files_stay_faults_for_every_length() -> None:
    data = encode(picture(2), "JPEG")
    for cut in range(0, len(data) - 2, 97):
        assert isinstance(open_photo(data[:cut]), Fault), cut
    assert isinstance(open_photo(data), Image.Image)


@pytest.mark.hostile(kind="photos", what="32 bits a pixel, whole numbers")
@pytest.mark.parametrize("top", [255, 4095, 65535, 10**6])
def test_whole_numbers_of_any_depth_keep_their_picture(top: int) -> None:
    ramp = np.linspace(0, top, 64).astype(np.int32).reshape(8, 8)
    found = np.asarray(open_photo(encode(Image.fromarray(ramp), "TIFF")))[..., 0]
    assert np.abs(found.astype(int) - np.linspace(0, 255, 64).reshape(8, 8)).max() <= 1


@pytest.mark.hostile(kind="photos", what="floating-point pixels")
@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (-3, 5), (100, 1000)])
def test_floats_keep_their_picture(low: float, high: float) -> None:
    ramp = np.linspace(low, high, 64, dtype=np.float32).reshape(8, 8)
    found = np.asarray(open_photo(encode(Image.fromarray(ramp), "TIFF")))[..., 0]
    assert np.abs(found.astype(int) - np.linspace(0, 255, 64).reshape(8, 8)).max() <= 1


@pytest.mark.hostile(kind="photos", what="pixels that are NaN, infinite or of no range")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -5.0])
def test_floats_without_a_picture_are_refused(value: float) -> None:
    image = Image.fromarray(np.full((8, 8), value, dtype=np.float32))
    found = open_photo(encode(image, "TIFF"))
    assert isinstance(found, Fault)
    assert found.kind == "broken"
