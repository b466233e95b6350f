"""Small made-up recommenders to try: trained here in seconds, then kept in the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recsec import __version__
from recsec.data import cache_folder, load
from recsec.library.audits import extract
from recsec.library.harden import harden
from recsec.library.opening import open_checkpoint_folder, open_guarded
from recsec.library.photos import open_encoder_folder, open_split
from recsec.models import Training, catalog_features, train, train_encoder
from recsec.registry import registry
from recsec.runs import digest
from recsec.trying.lists import ListBench
from recsec.trying.photos import PhotoBench
from recsec.types import Progress

__all__ = ["sample_lists", "sample_photos"]

DATA = "synthetic:users=400,items=200,length=25,seed=7"
SMALL: dict[str, Any] = {"embedding_dim": 32, "max_length": 50, "lr": 0.005}
EPOCHS, CALLS = 10, 2000
GUARD = "misinform"

PHOTOS = "photos:items=240,categories=8,seed=7"
ENCODER: dict[str, Any] = {"size": 48, "epochs": 24, "widths": [16, 32, 64], "lr": 0.01}
HARDENING = "target"


def _folder(kind: str, *recipe: Any) -> Path:
    """Where samples of this recipe are kept; another version of recsec makes its own."""
    return cache_folder() / "try" / f"{kind}-{digest([__version__, *recipe])[:12]}"


def sample_lists(progress: Progress) -> ListBench:
    """A recommender, the same behind a guard, and its copy by a thief.

    What was made before is opened; what was interrupted goes on.

    Raises:
        DataError: the cache cannot be written to.
    """
    folder = _folder("lists", DATA, SMALL, EPOCHS, CALLS)
    data = load(DATA)
    split = data.split()
    original = folder / "original"
    if not (original / "model.safetensors").exists():
        chosen = registry("models").get("sasrec").config_class(epochs=EPOCHS, **SMALL)
        facts = {"name": data.name, "fingerprint": data.fingerprint}
        how = Training(out=original, device="cpu", progress=progress)
        train("sasrec", split, chosen, seed=0, training=how, data=facts)
    stolen = folder / "stolen" / "surrogate" / f"mixed-k10-c{CALLS}-s0"
    if not (folder / "stolen" / "report.json").exists():
        extract(
            str(original), DATA, folder / "stolen",
            policy="mixed", k=10, calls=CALLS, twins=0, device="cpu", progress=progress,
            settings={
                "length": 25, "sessions": 20,
                "surrogate_settings": {**SMALL, "epochs": EPOCHS},
            },
        )  # fmt: skip
    answers = (
        ("original", open_checkpoint_folder(str(original)).top_k),
        (f"guarded by {GUARD}", open_guarded(str(original), [{"name": GUARD}], data)),
        (f"copied with {CALLS:,} calls", open_checkpoint_folder(str(stolen)).top_k),
    )
    return ListBench(answers, split, data=DATA, synthetic=True)


def sample_photos(progress: Progress) -> PhotoBench:
    """An encoder and the same hardened, on made-up photos; see ``sample_lists``.

    Raises:
        DataError: the cache cannot be written to.
    """
    folder = _folder("photos", PHOTOS, ENCODER, HARDENING)
    split = open_split(PHOTOS, progress)
    plain, hardened = folder / "original", folder / "hardened"
    if not (plain / "model.safetensors").exists():
        chosen = registry("encoders").get("resnet").config_class(**ENCODER)
        facts = {"name": split.photos.name, "fingerprint": split.photos.fingerprint}
        how = Training(out=plain, device="cpu", progress=progress)
        train_encoder(split, chosen, seed=0, training=how, data=facts)
    if not (hardened / "model.safetensors").exists():
        harden(HARDENING, str(plain), PHOTOS, hardened, device="cpu", progress=progress)
    encoders = []
    for name, place in (("original", plain), (f"hardened by {HARDENING}", hardened)):
        encoder = open_encoder_folder(str(place))
        features = catalog_features(encoder, split.photos, place, progress=progress)
        encoders.append((name, encoder, features))
    return PhotoBench(split.photos, encoders)
