"""Tiny photos in folders and archives, in the layouts of the real ones."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

STYLES = (
    "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,"
    "productDisplayName"
)


def picture(seed: int, *, size: tuple[int, int] = (40, 40)) -> Image.Image:
    """Blobs of color on white, smooth enough to survive JPEG; another one for each seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    inner = Image.fromarray(coarse).resize((size[0] // 2, size[1] // 2), Image.Resampling.BICUBIC)
    image = Image.new("RGB", size, "white")
    image.paste(inner, (size[0] // 4, size[1] // 4))
    return image


def encode(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    """The image as a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def fashion_members(count: int = 12) -> dict[str, bytes]:
    """Two categories in turn; ids from 100; the last photo repeats the first one's pixels."""
    lines, members = [STYLES], {}
    for place in range(count):
        kind = ("Shirts", "Watches")[place % 2]
        color = ("Red", "NA", "Blue")[place % 3]
        lines.append(
            f"{100 + place},Men,Apparel,Topwear,{kind},{color},Fall,2011,Casual,Item, no {place}"
        )
        seed = 0 if place == count - 1 else place
        members[f"images/{100 + place}.jpg"] = encode(picture(seed), "JPEG", quality=90)
    return {"styles.csv": "\n".join(lines).encode() + b"\n", **members}


def write(folder: Path, members: dict[str, bytes]) -> Path:
    """The members as files."""
    for name, content in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    """The members as an archive."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def deepfashion_members(count: int = 8) -> dict[str, bytes]:
    """Category and Attribute Prediction: 3 categories, 4 attributes of which 2 are textures.

    Photo i has attributes by the bits of i: 1 floral (texture), 2 long sleeve, 4 polka dot
    (texture). Photos 0 and 2 have no texture.
    """
    names = [f"img/Pretty_Item_{place % 2}/img_{place:08d}.jpg" for place in range(count)]
    flags = [[1 if place >> bit & 1 else -1 for bit in range(3)] for place in range(count)]
    parts = ["train", "train", "val", "test"]

    def table(header: str, rows: list[str]) -> bytes:
        return "\n".join([str(len(rows)), header, *rows, ""]).encode()

    attributes = [
        f"{name}   " + " ".join(f"{flag:2d}" for flag in [first, second, third, 0])
        for name, (first, second, third) in zip(names, flags, strict=True)
    ]
    return {
        "Anno/list_category_cloth.txt": table(
            "category_name  category_type", ["Blouse   1", "Jeans   2", "Dress   3"]
        ),
        "Anno/list_category_img.txt": table(
            "image_name  category_label", [f"{n}   {1 + i % 3}" for i, n in enumerate(names)]
        ),
        "Anno/list_attr_cloth.txt": table(
            "attribute_name  attribute_type",
            ["floral   1", "long sleeve   2", "polka dot   1", "maxi   3"],
        ),
        "Anno/list_attr_img.txt": table("image_name  attribute_labels", attributes),
        "Eval/list_eval_partition.txt": table(
            "image_name  evaluation_status", [f"{n}   {parts[i % 4]}" for i, n in enumerate(names)]
        ),
        **{
            f"Img/{name}": encode(picture(place), "JPEG", quality=90)
            for place, name in enumerate(names)
        },
    }
