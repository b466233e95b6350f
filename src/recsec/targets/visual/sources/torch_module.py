"""``torch:module:factory`` or ``torch:FILE.pt``: a torch network of the user's, white box."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recsec.errors import ConfigError, TargetError
from recsec.targets.visual.network import NetworkEncoder
from recsec.targets.visual.recipe import Recipe
from recsec.targets.visual.sources.named import named, parts

__all__ = ["PREFIX", "open_torch"]

PREFIX = "torch"


def open_torch(spec: str, recipe: Recipe) -> NetworkEncoder:
    """The network that a factory returns, or that a TorchScript file holds.

    A factory takes nothing and returns an ``nn.Module`` (scripted ones too) or what
    ``torch.export`` gave. Files of ``torch.export`` are opened by a factory only: reading them may
    unpickle, which recsec never does.

    Raises:
        ConfigError: the words do not fit, or the file is none of TorchScript.
        TargetError: there is no such factory, it fails, or what it returns is no encoder.
    """
    words = spec.removeprefix(f"{PREFIX}:")
    path = Path(words).expanduser()
    if path.suffix in (".pt", ".pth", ".ts"):
        return NetworkEncoder(_script(path), recipe, name=words)
    if path.suffix == ".pt2":
        raise ConfigError(
            f"{spec}: reading a file of torch.export may unpickle, which recsec never does",
            hint="give torch:module:factory, a function of yours that loads and returns it",
        )
    module, name = parts(spec, PREFIX)
    found, contained = named(module, name)
    if not isinstance(found, nn.Module):
        if not callable(found):
            raise TargetError(f"{words} is {type(found).__name__}, expected a function or a module")
        found = contained(found)()
    if isinstance(found, torch.export.ExportedProgram):
        found = found.module()
    if not isinstance(found, nn.Module):
        raise TargetError(
            f"{words} returned {type(found).__name__}, expected an nn.Module",
            hint="a function that only maps images to vectors is callable:module:function",
        )
    return NetworkEncoder(found, recipe, name=words)


def _script(path: Path) -> nn.Module:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            found: Any = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
        except Exception as error:  # whatever its reader stumbles over
            raise ConfigError(
                f"{path} is no TorchScript file: {str(error).splitlines()[0][:200]}",
                hint="weights alone are no network: give torch:module:factory",
            ) from error
    module: nn.Module = found
    return module
