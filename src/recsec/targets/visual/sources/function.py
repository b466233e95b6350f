"""``callable:module:function``: the user's own function from images to vectors, black box.

It runs in this process, contained: a batch of 64 photos at 224 px is 9.6 MB, which is not sent
through a pipe for every question.
"""

from __future__ import annotations

from recsec.errors import TargetError
from recsec.runs import digest
from recsec.targets.sources import code_digests
from recsec.targets.visual.black_box import BlackBox
from recsec.targets.visual.recipe import Recipe
from recsec.targets.visual.sources.named import named, parts

__all__ = ["PREFIX", "open_function"]

PREFIX = "callable"


def open_function(spec: str, recipe: Recipe) -> BlackBox:
    """The function ``(B, S, S, 3) uint8 -> (B, D)``; of the recipe it sees size, crop and order.

    Raises:
        ConfigError: the words do not have this form.
        TargetError: there is no such function, it fails, or gives no vectors.
    """
    module, name = parts(spec, PREFIX)
    found, contained = named(module, name)
    if not callable(found):
        raise TargetError(f"{module}:{name} cannot be called: it is {type(found).__name__}")
    seen = Recipe(
        size=recipe.size,
        resize=recipe.resize,
        channels=recipe.channels,
        white=255,
        layout="nhwc",
    )
    return BlackBox(
        contained(found),
        recipe.stored,
        seen,
        name=f"{module}:{name}",
        identity=digest({"spec": spec, "code": code_digests(module)}),
    )
