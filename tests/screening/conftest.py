"""A small encoder of made-up photos, the catalog as its shop knows it, and a fitted panel."""

from __future__ import annotations

import numpy as np
import pytest

from recsec.data import PhotoSplit, load_photos, split_photos
from recsec.models import Encoder, EncoderConfig, Training, embed, frozen_copy, train_encoder
from recsec.rng import Streams
from recsec.screening import (
    Catalog,
    Consistency,
    ConsistencyConfig,
    Hubs,
    HubsConfig,
    Neighbors,
    NeighborsConfig,
    Panel,
    Relisting,
    RelistingConfig,
    Uploads,
    catalog_of,
    fit_panel,
)

SMALL = EncoderConfig(
    size=16,
    stem=8,
    widths=(16, 32),
    epochs=8,
    batch_size=32,
    lr=4e-3,
    shift=2,
    attribute_weight=0.1,
)


@pytest.fixture(scope="session")
def split() -> PhotoSplit:
    photos = load_photos("photos:items=480,categories=6")
    return split_photos(photos, held_out=0.5, validation=0.05)


@pytest.fixture(scope="session")
def encoder(split: PhotoSplit) -> Encoder:
    """Frozen, in evaluation mode."""
    how = Training(device="cpu", precision="float32")
    return frozen_copy(train_encoder(split, SMALL, training=how))


@pytest.fixture(scope="session")
def catalog(encoder: Encoder, split: PhotoSplit) -> Catalog:
    features = embed(encoder, split.photos, np.arange(len(split.photos)), normalize=False)
    return catalog_of(encoder, split, features)


@pytest.fixture(scope="session")
def fitted(encoder: Encoder, split: PhotoSplit, catalog: Catalog) -> tuple[Panel, Uploads]:
    """The panel, and clean uploads that it was not fitted on."""
    screens = (
        Consistency(ConsistencyConfig()),
        Hubs(HubsConfig()),
        Neighbors(NeighborsConfig()),
        Relisting(RelistingConfig()),
    )
    return fit_panel(encoder, split, catalog, screens, rng=Streams(0))
