"""The public data sets that recsec knows by name: where they come from and what they hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from recsec.errors import ConfigError

__all__ = ["KNOWN", "KNOWN_PHOTOS", "KnownData", "is_path", "known"]

_RESEARCH = (
    "MovieLens, GroupLens Research, University of Minnesota: research use; no redistribution "
    "without permission; no commercial use; cite Harper and Konstan (2015), doi 10.1145/2827872."
)
_SMALL = (
    "MovieLens, GroupLens Research, University of Minnesota: no commercial use without "
    "permission; may be redistributed under the same terms; cite Harper and Konstan (2015), "
    "doi 10.1145/2827872."
)
_AMAZON = (
    "Amazon reviews (McAuley et al. 2015) as prepared by S3-Rec (Zhou et al. 2020): research "
    "use; cite both."
)

_FASHION = (
    "Fashion Product Images (P. Aggarwal, Kaggle): the terms of its Kaggle page; the photos belong "
    "to the shop; no redistribution."
)
_DEEPFASHION = (
    "DeepFashion, MMLab, The Chinese University of Hong Kong: non-commercial research; no "
    "redistribution; cite Liu et al. (CVPR 2016)."
)


@dataclass(frozen=True)
class KnownData:
    """One public data set.

    Attributes:
        name: what the user types.
        layout: which reader understands it.
        url: where its publisher keeps it; None if there is no stable address.
        md5: the publisher's checksum; None if it publishes none.
        archive: file name in a mirror folder.
        members: files that an archive must hold.
        counts: distinct users, items with interactions, interactions; None where the publisher
            changes them without notice.
        license: the terms in two lines.
        about: one line for the list.
    """

    name: str
    layout: Literal[
        "movielens-tab", "movielens-dat", "movielens-csv", "s3rec", "fashion", "deepfashion"
    ]
    url: str | None
    md5: str | None
    archive: str
    members: tuple[str, ...]
    counts: tuple[int, int, int] | None
    license: str = field(repr=False)
    about: str


_GROUPLENS = "https://files.grouplens.org/datasets/movielens/"

KNOWN: dict[str, KnownData] = {
    data.name: data
    for data in (
        KnownData(
            name="ml-100k",
            layout="movielens-tab",
            url=_GROUPLENS + "ml-100k.zip",
            md5="0e33842e24a9c977be4e0107933c0723",
            archive="ml-100k.zip",
            members=("u.data", "u.item"),
            counts=(943, 1682, 100_000),
            license=_RESEARCH,
            about="MovieLens 1998, small, real clock times",
        ),
        KnownData(
            name="ml-1m",
            layout="movielens-dat",
            url=_GROUPLENS + "ml-1m.zip",
            md5="c4d9eecfca2ab87c1945afe126590906",
            archive="ml-1m.zip",
            members=("ratings.dat", "movies.dat"),
            counts=(6040, 3706, 1_000_209),
            license=_RESEARCH,
            about="MovieLens 2000, the field's usual benchmark",
        ),
        KnownData(
            name="ml-20m",
            layout="movielens-csv",
            url=_GROUPLENS + "ml-20m.zip",
            md5="cd245b17a1ae2cc31bb14903e1204af3",
            archive="ml-20m.zip",
            members=("ratings.csv", "movies.csv"),
            counts=(138_493, 26_744, 20_000_263),
            license=_RESEARCH,
            about="MovieLens 1995-2015",
        ),
        KnownData(
            name="ml-25m",
            layout="movielens-csv",
            url=_GROUPLENS + "ml-25m.zip",
            md5="6b51fb2759a8657d3bfcbfc42b592ada",
            archive="ml-25m.zip",
            members=("ratings.csv", "movies.csv"),
            counts=(162_541, 59_047, 25_000_095),
            license=_RESEARCH,
            about="MovieLens 1995-2019",
        ),
        KnownData(
            name="ml-latest-small",
            layout="movielens-csv",
            url=_GROUPLENS + "ml-latest-small.zip",
            md5=None,
            archive="ml-latest-small.zip",
            members=("ratings.csv", "movies.csv"),
            counts=None,
            license=_SMALL,
            about="MovieLens for development; changes without notice",
        ),
        KnownData(
            name="beauty",
            layout="s3rec",
            url=None,
            md5=None,
            archive="s3rec-beauty.zip",
            members=("Beauty.txt",),
            counts=(22_363, 12_101, 198_502),
            license=_AMAZON,
            about="Amazon Beauty 5-core, order only, from the S3-Rec repository",
        ),
    )
}

KNOWN_PHOTOS: dict[str, KnownData] = {
    data.name: data
    for data in (
        KnownData(
            name="fashion",
            layout="fashion",
            url=None,
            md5=None,
            archive="fashion-product-images.zip",
            members=("styles.csv",),
            counts=None,
            license=_FASHION,
            about="Fashion Product Images: article type, color, usage, season, gender",
        ),
        KnownData(
            name="deepfashion",
            layout="deepfashion",
            url=None,
            md5=None,
            archive="deepfashion",
            members=(
                "list_category_cloth.txt",
                "list_category_img.txt",
                "list_attr_cloth.txt",
                "list_attr_img.txt",
                "list_eval_partition.txt",
            ),
            counts=None,
            license=_DEEPFASHION,
            about="DeepFashion Category and Attribute Prediction: category, textures",
        ),
    )
}


def is_path(name: str) -> bool:
    """Whether what names data can only be a path: it has a folder or an ending.

    Such a word that leads nowhere is missing data; another one is a wrong word.

    >>> [is_path(name) for name in ("ml-9", "shop.csv", "data/shop")]
    [False, True, True]
    """
    path = Path(name)
    return bool(path.suffix) or path.name != name


def known(name: str) -> KnownData:
    """The data set called ``name``.

    Raises:
        ConfigError: no such data set.
    """
    if name.partition(":")[0] in ("synthetic", "photos"):
        raise ConfigError(
            f"{name} is made up when it is loaded; there is nothing to get",
            hint=f"recsec data analyze {name}",
        )
    if name not in KNOWN:
        raise ConfigError(
            f"no data set called {name!r}; known: {', '.join((*KNOWN, *KNOWN_PHOTOS))}, synthetic, "
            "photos, or a path to a CSV, Parquet or S3-Rec file or a folder of photos",
            hint="recsec data list",
        )
    return KNOWN[name]
