"""From the words of a user to an encoder of photos, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recsec.errors import ConfigError, UsageError
from recsec.models import PhotoEncoder
from recsec.targets.visual import function, hugging_face, onnx_file, torch_module
from recsec.targets.visual.file import EncoderFile, read_encoder_file
from recsec.targets.visual.recipe import Recipe

__all__ = ["SOURCES", "OpenSource", "is_source", "open_source"]

SOURCES = (hugging_face.PREFIX, torch_module.PREFIX, onnx_file.PREFIX, function.PREFIX)
"""What comes before the colon."""


@dataclass(frozen=True, eq=False)
class OpenSource:
    """An encoder of others, open.

    Attributes:
        encoder: it.
        kept: whether its fingerprint holds all that its vectors depend on, so that they may be
            kept on disk.
        ranks: a table of places that it must reproduce, or None.
        words: what it is shown, and what was guessed.
    """

    encoder: PhotoEncoder
    kept: bool
    ranks: Path | None
    words: str


def is_source(spec: str) -> bool:
    """Whether the words name an encoder of others: a prefix of ``SOURCES``, an address or a file.

    >>> is_source("hf:FOLDER"), is_source("runs/encoder")
    (True, False)
    """
    prefix = spec.partition(":")[0]
    return prefix in (*SOURCES, "http", "https") or spec.endswith(".toml")


def open_source(spec: str) -> OpenSource:
    """Open ``hf:``, ``torch:``, ``onnx:``, ``callable:`` or a TOML file with ``[encoder]``.

    Raises:
        UsageError: it is an address, which has lists and no vectors.
        ConfigError: the words or the file do not fit.
        TargetError: it fails, or gives no vectors.
    """
    file: EncoderFile | None = None
    recipe, output, source = Recipe(), None, spec
    if spec.endswith(".toml"):
        file = read_encoder_file(Path(spec).expanduser())
        if file is None:
            raise ConfigError(
                f"{spec} has no table [encoder]",
                hint='[encoder] with source = "onnx:FILE" and what it wants to see',
            )
        recipe, output, source = file.recipe, file.output, file.source
    encoder = _encoder(source, recipe, output)
    shown = getattr(encoder, "recipe", recipe)
    guessed = "" if file is not None else "; nothing was said about it, a file can"
    return OpenSource(
        encoder=encoder,
        kept=not source.startswith(f"{function.PREFIX}:"),
        ranks=None if file is None else file.ranks,
        words=f"{source} is shown {shown}{guessed}",
    )


def _encoder(source: str, recipe: Recipe, output: str | None) -> PhotoEncoder:
    kind = source.partition(":")[0]
    if kind in ("http", "https"):
        raise UsageError(
            f"{source} answers with lists and has no vectors, which this needs",
            hint="recsec evade takes it; the encoder behind it is hf:, torch:, onnx: or callable:",
        )
    if kind == hugging_face.PREFIX:
        size = hugging_face.own_size(source)
        if size is not None and "size" not in recipe.model_fields_set:
            recipe = recipe.model_copy(update={"size": size})
        return hugging_face.open_hugging_face(source, recipe)
    if kind == torch_module.PREFIX:
        return torch_module.open_torch(source, recipe)
    if kind == onnx_file.PREFIX:
        return onnx_file.open_onnx(source, recipe, output=output)
    if kind == function.PREFIX:
        return function.open_function(source, recipe)
    raise ConfigError(
        f"there is no encoder {source!r}",
        hint=f"sources: {', '.join(f'{one}:' for one in SOURCES)}",
    )
