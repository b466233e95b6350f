"""From the words of a user to an encoder of photos, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from recsec.data import Photos, cache_folder
from recsec.errors import ConfigError
from recsec.models import PhotoEncoder, catalog_features, load_encoder, read_config
from recsec.sources import Capability, kind_of_source, require
from recsec.targets.visual.file import EncoderFile, read_encoder_file
from recsec.targets.visual.ranks import check_ranks
from recsec.targets.visual.recipe import Recipe
from recsec.targets.visual.repeats import check_vectors
from recsec.targets.visual.sources import function, hugging_face, onnx_file, torch_module
from recsec.types import IntArray, Progress

__all__ = ["SOURCES", "EncoderSource", "is_source", "open_source"]

SOURCES = (hugging_face.PREFIX, torch_module.PREFIX, onnx_file.PREFIX, function.PREFIX)
"""What comes before the colon."""


@dataclass(frozen=True, eq=False)
class EncoderSource:
    """An encoder of photos, whoever made it.

    Attributes:
        spec: as the user named it.
        encoder: it; a ``recsec.models.Encoder`` where it is a checkpoint of ours.
        checkpoint: the folder of a checkpoint of ours, else None.
        kept: where vectors of catalogs are kept; None where nothing says when they are stale.
        ranks: a table of places that it must reproduce before anything is spent, or None.
        words: what it is shown, for people; empty for ours.
    """

    spec: str
    encoder: PhotoEncoder
    checkpoint: Path | None
    kept: Path | None
    ranks: Path | None = None
    words: str = ""

    @property
    def gives(self) -> frozenset[Capability]:
        """What it can do."""
        known: set[Capability] = {"ids", "embeddings"}
        known |= {"gradients"} if self.encoder.gradients else set()
        return frozenset(known | ({"weights"} if self.checkpoint is not None else set()))

    def features(
        self, photos: Photos, *, rows: IntArray | None = None, progress: Progress | None = None
    ) -> Tensor:
        """``(N, D)`` of all photos before they get unit norm; first the user's own ranks.

        Args:
            photos: the catalog.
            rows: those that are ranked, increasing; by default all.
            progress: is told how it goes.

        Raises:
            TargetError: its ranks are not those that the user's own system has.
        """
        found = catalog_features(self.encoder, photos, self.kept, progress=progress)
        self.check(found, photos, rows)
        return found

    def check(self, features: Tensor, photos: Photos, rows: IntArray | None) -> None:
        """The pre-flight of an encoder of others; see ``check_vectors`` and ``check_ranks``."""
        if self.checkpoint is None:
            check_vectors(self.encoder, features, photos, whose=self.spec)
        if self.ranks is not None:
            check_ranks(self.ranks, features, photos, rows=rows)

    def warning(self, photos: Photos) -> str | None:
        """Words where it was trained on other photos: what is held out may have been seen."""
        if self.checkpoint is None:
            return None
        trained: dict[str, Any] = read_config(self.checkpoint).get("data") or {}
        if trained.get("fingerprint") in (None, photos.fingerprint):
            return None
        return (
            f"warning: {self.checkpoint} was trained on {trained.get('name')!r} with other photos "
            f"or labels than {photos.name!r} has now; some may have been seen in training"
        )


def is_source(spec: str) -> bool:
    """Whether the words name an encoder or a search of others, not a checkpoint folder.

    >>> is_source("hf:FOLDER"), is_source("runs/encoder")
    (True, False)
    """
    return kind_of_source(spec, "evasion").name != "encoder"


def open_source(spec: str) -> EncoderSource:
    """Open a checkpoint folder, ``hf:``, ``torch:``, ``onnx:``, ``callable:``, or a TOML file with
    ``[encoder]``.

    Raises:
        CheckpointError: there is no checkpoint, a broken one, or one of a recommender.
        UsageError: it is a visual search, which has lists and no vectors.
        ConfigError: the words or the file do not fit.
        TargetError: it fails, or gives no vectors.
    """
    kind = kind_of_source(spec, "evasion")
    require(["embeddings"], f"--model {spec}", kind.gives, who="this", threat="evasion")
    if kind.name == "encoder":
        folder = Path(spec).expanduser()
        return EncoderSource(spec, load_encoder(folder), folder, folder)
    file: EncoderFile | None = None
    recipe, output, source = Recipe(), None, spec
    if kind.name == "encoder-file":
        file = read_encoder_file(Path(spec).expanduser())
        if file is None:
            raise ConfigError(
                f"{spec} has no table [encoder]",
                hint='[encoder] with source = "onnx:FILE" and what it wants to see',
            )
        recipe, output, source = file.recipe, file.output, file.source
    encoder = _encoder(source, recipe, output)
    shown = getattr(encoder, "shown", getattr(encoder, "recipe", recipe))
    guessed = "" if file is not None else "; nothing was said about it, a file can"
    stale = source.startswith(f"{function.PREFIX}:")
    return EncoderSource(
        spec,
        encoder,
        None,
        None if stale else cache_folder() / "encoders",
        None if file is None else file.ranks,
        f"{source} is shown {shown}{guessed}",
    )


def _encoder(source: str, recipe: Recipe, output: str | None) -> PhotoEncoder:
    kind = source.partition(":")[0]
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
