"""Seconds from photo files to arrays of 64 x 64 pixels, against a plain loop with Pillow.

The plain loop does what one writes first: open, convert, resize, one photo after the other. Ours
decodes with all processors and large JPEGs at a fraction of their size; the second call reads the
decoded file. Wall-clock and processor seconds are printed, since machines are shared: threads
lower the first, decoding less lowers both.

    RECSEC_MIRROR=FOLDER python benchmarks/bench_photos.py
"""

from __future__ import annotations

import io
import os
import platform
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

SIZE = 64
LARGE = (1080, 1440)
PHOTOS = 150


def plain(path: Path) -> np.ndarray:
    """All photos of an archive, one after the other."""
    squares = []
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".jpg"):
                image = Image.open(io.BytesIO(archive.read(name))).convert("RGB")
                small = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
                squares.append(np.asarray(small).transpose(2, 0, 1))
    return np.stack(squares)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def large_photos(path: Path) -> None:
    """An archive in the layout of the fashion photos, as large as a shop's originals."""
    from recsec.data import load_photos

    made = load_photos(f"photos:items={PHOTOS}").pixels(np.arange(PHOTOS), 540)
    lines = ["id,articleType,baseColour,usage,season,gender,productDisplayName"]
    with zipfile.ZipFile(path, "w") as archive:
        for row, pixels in enumerate(made):
            image = Image.fromarray(pixels.transpose(1, 2, 0)).resize(LARGE)
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=90)
            archive.writestr(f"images/{row}.jpg", buffer.getvalue())
            lines.append(f"{row},Hat,Red,Casual,Fall,Men,Hat {row}")
        archive.writestr("styles.csv", "\n".join(lines) + "\n")


def compare(name: str, source: Path) -> None:
    from recsec.data import load_photos

    looked = timed(lambda: load_photos("fashion:fit=squash", source=source))
    photos = load_photos("fashion:fit=squash", source=source)
    rows = np.arange(len(photos))
    peer = timed(lambda: plain(source))
    first = timed(lambda: photos.pixels(rows, SIZE))
    second = timed(lambda: photos.pixels(rows, SIZE))
    print(f"\n{name}: {len(photos):,} photos to {SIZE} px")
    print(f"{'':34}{'wall s':>8}{'cpu s':>8}{'wall ratio':>12}{'cpu ratio':>11}")
    for words, (wall, processor) in {
        "plain loop": peer,
        "pixels(), first call": first,
        "pixels(), from the decoded file": second,
        "load_photos(), looking at all once": looked,
    }.items():
        ratios = f"{peer[0] / wall:12.1f}{peer[1] / max(processor, 1e-3):11.1f}"
        print(f"{words:34}{wall:8.2f}{processor:8.2f}{ratios}")


def main() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"Python {platform.python_version()}, Pillow {PIL.__version__}, {platform.machine()}, "
        f"{cores} processors, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RECSEC_CACHE"] = folder
        large = Path(folder) / "large.zip"
        large_photos(large)
        compare(f"JPEGs of {LARGE[0]} x {LARGE[1]}", large)
        mirror = os.environ.get("RECSEC_MIRROR")
        if mirror:
            compare("fashion, JPEGs of 224 x 224", Path(mirror) / "fashion-product-images.zip")


if __name__ == "__main__":
    main()
