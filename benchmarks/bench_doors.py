"""What a door costs over the thing behind it: an ONNX file and a function, in the same batch.

    python benchmarks/bench_doors.py FOLDER    # of a network of transformers, such as MobileNetV2

Ratios of the fastest of several alternating rounds; at most 1.10 is asked for.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from recsec.models.visual.backbone import pretrained
from recsec.targets.visual import open_source

BATCH, ROUNDS = 16, 6
NETWORK: Any = None


def vectors(images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return NETWORK(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255).numpy()


def ratio(bare: Callable[[], Any], door: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the bare call, and how many times as long the door takes."""
    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for place, call in enumerate((bare, door)):
            start = time.process_time()
            call()
            times[place].append(time.process_time() - start)
    return min(times[0]), min(times[1]) / min(times[0])


def main(folder: str) -> None:
    global NETWORK  # noqa: PLW0603 - the function of a user has one too
    torch.set_num_threads(1)
    sys.modules["bench_doors"] = sys.modules["__main__"]
    NETWORK = pretrained(f"hf:{folder}", 224).eval()
    images = torch.rand(BATCH, 3, 224, 224).mul(255).round().div(255)
    stored = images.mul(255).byte().permute(0, 2, 3, 1).contiguous().numpy()
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(place) / "network.onnx"
        torch.onnx.export(
            NETWORK, (images[:2],), str(path), dynamo=False, input_names=["images"],
            output_names=["vectors"], dynamic_axes={"images": {0: "B"}, "vectors": {0: "B"}},
        )  # fmt: skip
        onnx = open_source(f"onnx:{path}").encoder
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        shown = images.numpy()
        rows = {
            "onnx": ratio(
                lambda: session.run(None, {"images": shown}), lambda: onnx.features(images)
            )
        }
    function = open_source("callable:bench_doors:vectors").encoder
    rows["callable"] = ratio(lambda: vectors(stored), lambda: function.features(images))
    print(f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, 224 px, one thread")
    for name, (bare, times) in rows.items():
        print(f"{name}: {times:.3f} times the bare call ({1000 * bare / BATCH:.1f} ms a photo)")


if __name__ == "__main__":
    main(sys.argv[1])
