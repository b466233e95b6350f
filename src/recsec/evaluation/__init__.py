"""How good recommenders are, and how alike: works on recommenders and on anything that answers."""

from recsec.evaluation.agreement import Fidelity, fidelity, fidelity_of_lists
from recsec.evaluation.answers import answer_lists, as_answerer
from recsec.evaluation.estimates import lift, lift_estimate, paired_estimates
from recsec.evaluation.groups import GroupRow
from recsec.evaluation.held_out import Evaluation, evaluate

__all__ = [
    "Evaluation",
    "Fidelity",
    "GroupRow",
    "answer_lists",
    "as_answerer",
    "evaluate",
    "fidelity",
    "fidelity_of_lists",
    "lift",
    "lift_estimate",
    "paired_estimates",
]
