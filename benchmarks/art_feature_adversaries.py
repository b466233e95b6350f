"""Run by bench_evasion.py inside ART's own environment: its feature attack on given pairs.

Reads FOLDER/pairs.npz (source and guide photos, float32), writes FOLDER/art-STEPS.npz for each
number of steps: the adversarial photos, and the seconds of processor time they took.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from art.attacks.evasion import FeatureAdversariesPyTorch
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from recsec.models import load_encoder


class Features(nn.Module):
    """The encoder up to its pooled features, which is what ART's attack matches."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder.features(images)


def main() -> None:
    model, folder, eps, *steps = sys.argv[1:]
    torch.set_num_threads(1)
    encoder = load_encoder(model)
    pairs = np.load(Path(folder) / "pairs.npz")
    network = nn.Sequential(Features(encoder), nn.Linear(encoder.dim, 2))
    estimator = PyTorchClassifier(
        model=network,
        loss=nn.CrossEntropyLoss(),
        input_shape=pairs["source"].shape[1:],
        nb_classes=2,
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )
    for count in map(int, steps):
        attack = FeatureAdversariesPyTorch(
            estimator,
            delta=float(eps),
            layer=0,
            max_iter=count,
            batch_size=50,
            step_size=float(eps) / 10,
            verbose=False,
        )
        start = time.process_time()
        images = attack.generate(pairs["source"], pairs["guide"])
        seconds = time.process_time() - start
        np.savez(Path(folder) / f"art-{count}.npz", images=images, seconds=seconds)


if __name__ == "__main__":
    main()
