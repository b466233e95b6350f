"""How good recommenders are, and how alike: works on recommenders and on anything that answers."""

from recsec.evaluation.agreement import Fidelity, fidelity, fidelity_of_lists
from recsec.evaluation.answers import answer_lists, as_answerer
from recsec.evaluation.comparison import Change, Comparison, SideBySide, Variant, compare
from recsec.evaluation.estimates import lift, lift_estimate, paired_estimates
from recsec.evaluation.groups import GroupRow
from recsec.evaluation.held_out import Evaluation, evaluate, evaluate_lists
from recsec.evaluation.profiles import TasteProfile, taste_profiles
from recsec.evaluation.retrieval import Retrieval, classification, embed, evaluate_encoder
from recsec.evaluation.seen import Seen, against_markov, compare_hits
from recsec.evaluation.session import Reply, Session

__all__ = [
    "Change",
    "Comparison",
    "Evaluation",
    "Fidelity",
    "GroupRow",
    "Reply",
    "Retrieval",
    "Seen",
    "Session",
    "SideBySide",
    "TasteProfile",
    "Variant",
    "against_markov",
    "answer_lists",
    "as_answerer",
    "classification",
    "compare",
    "compare_hits",
    "embed",
    "evaluate",
    "evaluate_encoder",
    "evaluate_lists",
    "fidelity",
    "fidelity_of_lists",
    "lift",
    "lift_estimate",
    "paired_estimates",
    "taste_profiles",
]
