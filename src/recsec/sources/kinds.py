"""The sources there are: how their words look, and what each can do at most."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from recsec.sources.capabilities import Capability

__all__ = ["KINDS", "SourceKind", "Threat", "is_folder", "kind_of_source", "offered"]

Threat: TypeAlias = Literal["extraction", "evasion"]
"""Of recommenders of sequences, and of photos."""


@dataclass(frozen=True, kw_only=True)
class SourceKind:
    """A kind of source.

    Attributes:
        name: unique within its threat.
        threat: whose commands take it.
        form: how it is written, as ``--help`` says it.
        pattern: a regular expression that the whole of its words matches; the first kind that
            does is it.
        gives: what it can do at most; an opened one may do less.
        about: what it is, for the table of the documentation.
        keys: of a TOML file: it is this kind if it holds one of these keys; empty: any file.
    """

    name: str
    threat: Threat
    form: str
    pattern: str
    gives: frozenset[Capability]
    about: str
    keys: frozenset[str] = frozenset()

    def fits(self, spec: str) -> bool:
        """Whether the words of a user are of this kind."""
        if re.fullmatch(self.pattern, spec, re.DOTALL) is None:
            return False
        return not self.keys or bool(self.keys & _keys(spec))


LISTS: Final = frozenset[Capability]({"ids"})
VECTORS: Final = frozenset[Capability]({"ids", "embeddings"})
SEEN: Final = frozenset[Capability]({"ids", "embeddings", "gradients"})
RANKS: Final = frozenset[Capability]({"ids", "scores", "all-scores"})

KINDS: Final[tuple[SourceKind, ...]] = (
    SourceKind(
        name="scores",
        threat="extraction",
        form="scores:module:function",
        pattern="scores:.*",
        gives=RANKS,
        about="a function from histories and items to their scores, in a process of its own",
    ),
    SourceKind(
        name="python-scores",
        threat="extraction",
        form="python:VENV/bin/python:scores:module:function",
        pattern="python:.*:scores:.*",
        gives=RANKS,
        about="the same under another interpreter, with the packages of its own environment",
    ),
    SourceKind(
        name="onnx",
        threat="extraction",
        form="onnx:FILE",
        pattern="onnx:.*",
        gives=RANKS,
        about="answered by onnxruntime: histories as numbers in, scores of all items out",
    ),
    SourceKind(
        name="onnx-file",
        threat="extraction",
        form="a TOML file with [onnx]",
        pattern=r".*\.toml",
        gives=RANKS,
        about="the same, with what it takes and gives as the file says",
        keys=frozenset({"onnx"}),
    ),
    SourceKind(
        name="callable",
        threat="extraction",
        form="callable:module:function",
        pattern="callable:.*",
        gives=LISTS,
        about="a function from histories and k to lists of ids, in a process of its own",
    ),
    SourceKind(
        name="python-callable",
        threat="extraction",
        form="python:VENV/bin/python:callable:module:function",
        pattern="python:.*",
        gives=LISTS,
        about="the same under another interpreter, with the packages of its own environment",
    ),
    SourceKind(
        name="address",
        threat="extraction",
        form="an http(s) address",
        pattern="https?://.*",
        gives=LISTS,
        about="an API that takes a history and answers a list",
    ),
    SourceKind(
        name="guarded",
        threat="extraction",
        form="a TOML file with guards",
        pattern=r".*\.toml",
        gives=LISTS,
        about="another source, as it answers through the guards that the file names",
        keys=frozenset({"checkpoint", "guards"}),
    ),
    SourceKind(
        name="toml",
        threat="extraction",
        form="the TOML file of a target",
        pattern=r".*\.toml(#.+)?",
        gives=LISTS,
        about="an API as the file describes it; FILE#NAME is one of several recommenders",
    ),
    SourceKind(
        name="checkpoint",
        threat="extraction",
        form="a checkpoint folder",
        pattern=".*",
        gives=RANKS | {"growing", "weights"},
        about="what `recsec train` and `recsec harden` write",
    ),
    SourceKind(
        name="hf",
        threat="evasion",
        form="hf:FOLDER or hf:ORG/NAME@REVISION",
        pattern="hf:.*",
        gives=SEEN,
        about="a pretrained network as it is, of a folder or downloaded",
    ),
    SourceKind(
        name="torch",
        threat="evasion",
        form="torch:module:factory",
        pattern="torch:.*",
        gives=SEEN,
        about="a network that a function of yours returns, or a TorchScript file: `torch:FILE.pt`",
    ),
    SourceKind(
        name="onnx",
        threat="evasion",
        form="onnx:FILE",
        pattern="onnx:.*",
        gives=SEEN,
        about="answered by onnxruntime; gradients where its graph can be turned into torch",
    ),
    SourceKind(
        name="callable",
        threat="evasion",
        form="callable:module:function",
        pattern="callable:.*",
        gives=VECTORS,
        about="a function from images (B, S, S, 3) uint8 to vectors",
    ),
    SourceKind(
        name="search-file",
        threat="evasion",
        form="a TOML file with [search]",
        pattern=r".*\.toml",
        gives=LISTS | {"scores"},
        about="a visual search as the file describes it: a photo goes up, ids come back, and "
        "scores where it names them",
        keys=frozenset({"search"}),
    ),
    SourceKind(
        name="encoder-file",
        threat="evasion",
        form="a TOML file with [encoder]",
        pattern=r".*\.toml",
        gives=SEEN,
        about="one of hf:, torch:, onnx: and callable:, and what it wants to see",
    ),
    SourceKind(
        name="search",
        threat="evasion",
        form="the http(s) address of a visual search",
        pattern="https?://.*",
        gives=LISTS,
        about="the same without a file: what is not said has its default",
    ),
    SourceKind(
        name="encoder",
        threat="evasion",
        form="the checkpoint folder of an encoder",
        pattern=".*",
        gives=frozenset({"ids", "embeddings", "gradients", "weights"}),
        about="what `recsec train encoder` and `recsec harden` write",
    ),
)
"""One row per kind; the last of each threat is whatever no other pattern fits: a folder."""


def kind_of_source(spec: str, threat: Threat) -> SourceKind:
    """The kind that the words of a user name.

    >>> kind_of_source("callable:shop:recommend", "extraction").name
    'callable'
    """
    return next(kind for kind in KINDS if kind.threat == threat and kind.fits(spec))


def is_folder(spec: str) -> bool:
    """Whether the words name a folder: no kind of either threat has another form for them.

    >>> is_folder("runs/sasrec"), is_folder("target.toml")
    (True, False)
    """
    return all(
        kind.pattern == ".*" or re.fullmatch(kind.pattern, spec, re.DOTALL) is None
        for kind in KINDS
    )


def _keys(path: str) -> set[str]:
    """The keys of a TOML file; none where it cannot be read: whoever opens it says why."""
    try:
        return set(tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return set()


def offered(threat: Threat, need: Collection[Capability] = ()) -> str:
    """The forms of a threat that can do all of ``need``, as help and messages name them.

    >>> offered("extraction", ["weights"])
    'a checkpoint folder'
    """
    forms = [kind.form for kind in KINDS if kind.threat == threat and set(need) <= kind.gives]
    ordered = forms[-1:] + forms[:-1] if forms else ["nothing that recsec opens"]
    return " or ".join([", ".join(ordered[:-1]), ordered[-1]] if ordered[1:] else ordered)
