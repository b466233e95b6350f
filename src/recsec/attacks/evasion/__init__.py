"""Evasion: change the pixels of a photo so that its item moves in the lists."""

from recsec.attacks.evasion.base import (
    Access,
    Attempt,
    Embedder,
    EvasionAttack,
    EvasionConfig,
    Perturbed,
    unchanged,
)
from recsec.attacks.evasion.fast import Prepared, prepare
from recsec.attacks.evasion.fitting import fitting_attack, knowledge
from recsec.attacks.evasion.harness.catalog_scene import catalog_scene
from recsec.attacks.evasion.harness.confirm import Confirmed, confirm, embed_pixels
from recsec.attacks.evasion.harness.control import (
    SAMPLE,
    Control,
    control,
    control_run,
    has_control,
)
from recsec.attacks.evasion.harness.evade import Evaded, Scene, evade
from recsec.attacks.evasion.harness.hub import HubResult, HubScene, Lists, attack_hub
from recsec.attacks.evasion.harness.hub_run import run_hubs, summarize_hubs
from recsec.attacks.evasion.harness.ingest import (
    Ingest,
    open_ingest,
    png_bytes,
    through_jpeg,
    through_png,
)
from recsec.attacks.evasion.harness.pair_run import run_pairs
from recsec.attacks.evasion.harness.pairs import (
    POLICIES,
    PairPolicy,
    Pairs,
    popular_rows,
    read_pairs,
    sample_pairs,
)
from recsec.attacks.evasion.harness.ranking import GOALS, Goal, Ranking, query_ranks, ranking_of
from recsec.attacks.evasion.harness.summary import smallest_budget, summarize
from recsec.attacks.evasion.harness.sweep import min_levels, sweep
from recsec.attacks.evasion.listed import ListedPair, attack_listed, run_listed
from recsec.attacks.evasion.methods.auto import Auto
from recsec.attacks.evasion.methods.carlini_wagner import CarliniWagner, ThesisCw
from recsec.attacks.evasion.methods.gradient import (
    Apgd,
    Fgsm,
    GradientAttack,
    GradientConfig,
    MomentumPgd,
    Pgd,
)
from recsec.attacks.evasion.methods.noise import Noise
from recsec.attacks.evasion.methods.presets import ThesisFgsm, ThesisPgd, open_attack
from recsec.attacks.evasion.methods.reference import Reference
from recsec.attacks.evasion.methods.square import Square
from recsec.attacks.evasion.methods.transfer import Ensemble, Transfer
from recsec.attacks.evasion.objective import (
    CosineToTarget,
    Demotion,
    FeatureDistance,
    ListedPlace,
    ListOverlap,
    Objective,
    QueryMargin,
    SoftRank,
)
from recsec.attacks.evasion.projection import Ball, effective_eps, levels, quantize, to_bytes
from recsec.attacks.evasion.steps import ascend

__all__ = [
    "GOALS",
    "POLICIES",
    "SAMPLE",
    "Access",
    "Apgd",
    "Attempt",
    "Auto",
    "Ball",
    "CarliniWagner",
    "Confirmed",
    "Control",
    "CosineToTarget",
    "Demotion",
    "Embedder",
    "Ensemble",
    "Evaded",
    "EvasionAttack",
    "EvasionConfig",
    "FeatureDistance",
    "Fgsm",
    "Goal",
    "GradientAttack",
    "GradientConfig",
    "HubResult",
    "HubScene",
    "Ingest",
    "ListOverlap",
    "ListedPair",
    "ListedPlace",
    "Lists",
    "MomentumPgd",
    "Noise",
    "Objective",
    "PairPolicy",
    "Pairs",
    "Perturbed",
    "Pgd",
    "Prepared",
    "QueryMargin",
    "Ranking",
    "Reference",
    "Scene",
    "SoftRank",
    "Square",
    "ThesisCw",
    "ThesisFgsm",
    "ThesisPgd",
    "Transfer",
    "ascend",
    "attack_hub",
    "attack_listed",
    "catalog_scene",
    "confirm",
    "control",
    "control_run",
    "effective_eps",
    "embed_pixels",
    "evade",
    "fitting_attack",
    "has_control",
    "knowledge",
    "levels",
    "min_levels",
    "open_attack",
    "open_ingest",
    "png_bytes",
    "popular_rows",
    "prepare",
    "quantize",
    "query_ranks",
    "ranking_of",
    "read_pairs",
    "run_hubs",
    "run_listed",
    "run_pairs",
    "sample_pairs",
    "smallest_budget",
    "summarize",
    "summarize_hubs",
    "sweep",
    "through_jpeg",
    "through_png",
    "to_bytes",
    "unchanged",
]
