"""What numbers depend on besides plan and seed: versions and threads."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import recsec

__all__ = ["environment"]

PACKAGES = ("accelerate", "numpy", "polars", "safetensors", "scipy", "torch")


def environment(*, threads: int | None = None) -> dict[str, Any]:
    """``{"versions": {package: version}, "threads": int}``.

    Args:
        threads: threads of the numerical library where the work is done; by default those of this
            process.
    """
    versions = {"python": platform.python_version(), "recsec": recsec.__version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "none"
    if threads is None:
        import torch  # only here: a run directory can be read without it

        threads = torch.get_num_threads()
    return {"versions": versions, "threads": threads}
