"""What the evasion part of a report holds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from recsec.reports.parts import (
    Count,
    DataPart,
    ExampleItem,
    Metrics,
    Number,
    Part,
    ProtocolPart,
    PublishedPart,
    Text,
    ThreatPart,
)

__all__ = [
    "BaseRate",
    "CatalogMap",
    "Distances",
    "Evasion",
    "EvasionProtocol",
    "EvasionRow",
    "Frame",
    "Journey",
    "Neighbor",
    "PhotoSummary",
    "Place",
    "PublishedEvasion",
    "Quantiles",
    "SanityCheck",
    "VisualModel",
    "WorstCase",
]


class PhotoSummary(DataPart):
    """The catalog of photos."""

    photos: Count = Field(description="Photos in the catalog, all of which are ranked.")
    categories: Count = Field(description="Categories that are recognized.")
    held_out: Count = Field(description="Photos that no model was trained on.")


class EvasionProtocol(ProtocolPart):
    """How success was measured; intervals of rates are Wilson's."""

    pairs: Count = Field(description="Pairs of photo and target item, the same for all attacks.")
    size: Count = Field(description="Side of the attacked image in pixels.")


class VisualModel(Part):
    """A model under test."""

    name: Text = Field(description="What the plan calls it.")
    spec: Text = Field(description="Checkpoint folder, or how the audit made it.")
    hardening: str | None = Field(
        default=None, description="The hardening method; null for an undefended model."
    )
    description: str = Field(default="", description="Architecture and image size.")
    fingerprint: str | None = Field(default=None, description="SHA-256 of settings and weights.")
    quality: Metrics = Field(description="Retrieval and classification on held-out photos.")
    price: Metrics = Field(
        default_factory=dict,
        description="Quality minus that of the first model, over the same photos.",
    )


class EvasionRow(Part):
    """One attack on one model with one budget."""

    id: Text = Field(description="Name of the cell within the run.")
    model: Text = Field(description="Model under test.")
    attack: Text = Field(description="Attack with the settings that differ from its defaults.")
    access: Literal["gradients", "scores", "ids"] = Field(description="What the attacker sees.")
    knowledge: str = Field(default="", description="What the attacker knows, in words.")
    eps: Number = Field(description="L-infinity budget, a share of the pixel range.")
    effective_eps: Number = Field(description="floor(255 eps) / 255, what a stored photo can use.")
    survivors: bool = Field(
        default=False, description="Only pairs on which the cheaper attacks failed were attacked."
    )
    status: Literal["ok", "error"] = Field(description="``error`` never counts as safe.")
    error: str | None = Field(default=None, description="What went wrong, where it did.")
    pairs: Count = Field(description="Pairs that were measured.")
    missing: Count = Field(default=0, description="Pairs that could not be measured.")
    success: Metrics = Field(
        default_factory=dict,
        description="Share of the pairs whose rank is at most r inside the budget, by success@r.",
    )
    outside: Count = Field(
        default=0, description="Pairs whose saved photo left the ball: never a success."
    )
    linf: Number | None = Field(default=None, description="Largest L-infinity of a saved photo.")
    rank: Number | None = Field(default=None, description="Median rank after the attack.")
    cosine_before: Number | None = Field(default=None, description="Mean cosine to the target.")
    cosine_after: Number | None = Field(default=None, description="The same after the attack.")
    psnr: Number | None = Field(default=None, description="Mean PSNR in dB; null if unmeasured.")
    ssim: Number | None = Field(default=None, description="Mean SSIM; null if unmeasured.")
    backwards: Number | None = Field(default=None, description="Gradient steps per pair.")
    forwards: Number | None = Field(default=None, description="Images embedded per pair.")
    queries: Number | None = Field(default=None, description="API queries per pair.")
    dead: Number | None = Field(
        default=None, description="Share of gradients that were zero or not finite."
    )


class WorstCase(Part):
    """The best of all attacks for each pair: what a patient attacker reaches."""

    model: Text = Field(description="Model under test.")
    eps: Number = Field(description="Budget; images of smaller budgets count too.")
    effective_eps: Number = Field(description="floor(255 eps) / 255.")
    pairs: Count = Field(description="Pairs that at least one attack was run on.")
    success: Metrics = Field(description="Share of the pairs with a best rank of at most r.")
    attacks: dict[str, Count] = Field(
        description="Attack -> pairs on which no other attack of this budget did better."
    )


class BaseRate(Part):
    """Success without an attack."""

    model: Text = Field(description="Model under test.")
    kind: Literal["clean", "noise"] = Field(
        description="The photo as it is, or with random noise of full size eps."
    )
    eps: Number = Field(description="Size of the noise; 0 for the photo as it is.")
    success: Metrics = Field(description="Share of the pairs whose rank is at most r.")


class SanityCheck(Part):
    """A property that a sound evaluation has."""

    model: Text = Field(description="Model under test.")
    check: Literal[
        "monotone",
        "whole-range",
        "black-box",
        "plateau",
        "gradients",
        "noise",
        "reference",
        "works",
    ] = Field(description="Which property.")
    title: Text = Field(description="The property in words.")
    status: Literal["passed", "failed", "not tried"] = Field(
        description="A failed check means that the numbers may understate the attacker."
    )
    evidence: Text = Field(description="The numbers behind it, in words.")


class Quantiles(Part):
    """Cosine to the target before and after the worst case, quantile by quantile."""

    model: Text = Field(description="Model under test.")
    eps: Number = Field(description="Budget.")
    before: tuple[Number, ...] = Field(description="Quantiles of the cosine before, ascending.")
    after: tuple[Number, ...] = Field(description="The same quantiles after.")


class Distances(Part):
    """How far held-out photos are from their nearest neighbors."""

    model: Text = Field(description="Model under test.")
    edges: tuple[Number, ...] = Field(description="B + 1 edges of bins of 1 - cosine.")
    nearest: tuple[Number, ...] = Field(description="Share of photos by distance to the first.")
    targets: tuple[Number, ...] = Field(description="Share of pairs by distance to the target.")


class Neighbor(Part):
    """One place of a list of neighbors."""

    item: ExampleItem = Field(description="The item.")
    cosine: Number = Field(description="Its cosine to the target item.")
    attacker: bool = Field(description="Whether it is the perturbed photo.")
    picture: str | None = Field(default=None, description="File in the run directory.")


class Frame(Part):
    """The photo of one pair at one budget."""

    eps: Number = Field(description="Budget; 0 is the photo as it is.")
    rank: Count = Field(description="Its rank in the target item's list.")
    cosine: Number = Field(description="Cosine to the target item.")
    picture: str | None = Field(default=None, description="File in the run directory.")
    difference: str | None = Field(default=None, description="The change, amplified; a file.")


class Journey(Part):
    """One pair on one model, over all budgets."""

    model: Text = Field(description="Model under test.")
    attack: Text = Field(description="Attack, one budget after the other.")
    item: ExampleItem = Field(description="The item whose photo is changed.")
    target: ExampleItem = Field(description="The item whose list is invaded.")
    target_picture: str | None = Field(default=None, description="File in the run directory.")
    eps: Number = Field(description="Budget of the list after.")
    frames: tuple[Frame, ...] = Field(description="Ascending budgets.")
    before: tuple[Neighbor, ...] = Field(description="The target item's neighbors before.")
    after: tuple[Neighbor, ...] = Field(description="The same after.")


class Place(Part):
    """A place on the map, from 0 to 1; y grows downwards."""

    x: Number = Field(description="From left to right.")
    y: Number = Field(description="From top to bottom.")


class CatalogMap(Part):
    """Held-out photos in two dimensions, with the way of one attacked photo."""

    model: Text = Field(description="Whose embeddings are shown.")
    photos: Count = Field(description="Photos on the map.")
    picture: str = Field(description="The tiles; a file in the run directory.")
    path: tuple[Place, ...] = Field(description="The attacked photo at ascending budgets.")
    target: Place = Field(description="The target item.")


class PublishedEvasion(PublishedPart):
    """Numbers that others published; never measured here."""

    model: Text = Field(description="Model under attack.")
    eps: tuple[Number, ...] = Field(description="Budgets.")
    n: Count = Field(description="Pairs.")
    success: dict[str, tuple[Number, ...]] = Field(description="By success@r, one per budget.")


class Evasion(ThreatPart):
    """Can a seller change one photo invisibly and enter the list of a chosen item?

    Metrics by flat key: ``success@r`` (rank at most r), ``precision@k``, ``map@r``, ``accuracy``,
    ``accuracy@5`` and others of the retrieval evaluation.
    """

    data: PhotoSummary = Field(description="The photos that are ranked.")
    protocol: EvasionProtocol = Field(description="How it was measured.")
    models: tuple[VisualModel, ...] = Field(description="The models under test.")
    rows: tuple[EvasionRow, ...] = Field(description="Every attack on every model, by budget.")
    worst: tuple[WorstCase, ...] = Field(description="Per-pair worst case over all attacks.")
    base: tuple[BaseRate, ...] = Field(description="Success of clean and of noisy photos.")
    checks: tuple[SanityCheck, ...] = Field(description="Is the evaluation itself sound?")
    quantiles: tuple[Quantiles, ...] = Field(default=(), description="Cosines before and after.")
    distances: tuple[Distances, ...] = Field(default=(), description="Distances of neighbors.")
    journeys: tuple[Journey, ...] = Field(default=(), description="One pair, seen.")
    map: CatalogMap | None = Field(default=None, description="The catalog in two dimensions.")
    published: tuple[PublishedEvasion, ...] = Field(default=(), description="Others' numbers.")
