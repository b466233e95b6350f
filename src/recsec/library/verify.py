"""Proof of ownership from Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsec.data import Dataset
    from recsec.ownership import Proof
    from recsec.types import Progress

__all__ = ["Verification", "verify"]


@dataclass(frozen=True, eq=False, repr=False)
class Verification:
    """What ``verify`` returns.

    Attributes:
        suspect: who was tested.
        fingerprint: of the owner's key.
        proofs: the suspect's, and those of the controls, by the words that name them.
    """

    suspect: str
    fingerprint: str
    proofs: dict[str, Proof]

    @property
    def proof(self) -> Proof:
        """That of the suspect: ``verdict``, exact ``p_value``, ``effect`` and what they rest on."""
        return self.proofs[self.suspect]

    @property
    def verdict(self) -> str:
        """``copied`` or ``no evidence``."""
        return self.proof.verdict

    def __repr__(self) -> str:
        return f"Verification({self.suspect}: {self.verdict}, p = {self.proof.p_value:.4g})"


def verify(
    suspect: str,
    key: Path | str,
    data: Dataset,
    *,
    controls: Sequence[str] = (),
    queries: int = 1500,
    k: int = 10,
    keys: int = 9999,
    alpha: float = 0.001,
    seed: int = 0,
    authorised: bool = False,
    progress: Progress | None = None,
) -> Verification:
    """Test whether a suspect was copied from your watermarked recommender; see ``recsec verify``.

    Args:
        suspect: whom to test, as ``--model`` takes it.
        key: the owner's key file.
        data: the owner's data.
        controls: a twin, or a copy of an unmarked target: tested too, for scale.
        queries: questions to each.
        k: list length asked for.
        keys: other keys to compare with.
        alpha: level below which it counts as copied.
        seed: draws questions and keys.
        authorised: the owner of a suspect beyond this machine agreed.
        progress: is told how it goes.

    Raises:
        ConfigError: the key cannot be read.
        TargetError: a suspect shares no item with ``data``, or fails.
    """
    from recsec.ownership import open_suspect, prove
    from recsec.rng import Streams
    from recsec.targets.guards import fingerprint, read_key

    secret = read_key(Path(key).expanduser())
    split = data.split()
    found: dict[str, Proof] = {}
    for spec in dict.fromkeys([suspect, *controls]):
        target = open_suspect(spec, split.catalog, authorised=authorised)
        found[spec] = prove(
            target,
            secret,
            split,
            streams=Streams(seed).child("verify"),
            queries=queries,
            k=k,
            keys=keys,
            alpha=alpha,
            progress=progress,
        )
    return Verification(suspect, fingerprint(secret), found)
