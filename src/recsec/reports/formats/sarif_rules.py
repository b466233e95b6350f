"""The rules of ``sarif.json``: what kinds of findings there are, whatever was found."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["RULES", "Rule"]


class Rule(NamedTuple):
    """One kind of finding; ``severity`` is that of its worst case."""

    title: str
    text: str
    help: str
    severity: str


RULES: Final = {
    "extraction-copyable": Rule(
        "The recommender can be copied through its top-k API",
        "A client that only asks the API trained a copy whose lists agree with the original's more "
        "than popularity alone does.",
        "Limit calls per account, watch for accounts that grow histories of their own, guard the "
        "lists, and audit again.",
        "high",
    ),
    "extraction-incomplete": Rule(
        "Some extraction attacks could not be measured",
        "Cells failed or were refused. What is missing may be worse than what was measured.",
        "Remove the cause and run the same command again: only these cells are repeated.",
        "moderate",
    ),
    "extraction-beyond-twin": Rule(
        "The copy is closer to the target than an independently trained model",
        "The interval of the copy's agreement lies above that of a model trained on the same data.",
        "Agreement alone proves no theft; a watermark does.",
        "info",
    ),
    "extraction-defense": Rule(
        "What the defenses of the plan take from the best thief",
        "Defenses are judged by the lift that the best thief who knows them keeps, and by the "
        "utility that users keep.",
        "Audit the chosen defense again with fresh seeds.",
        "moderate",
    ),
    "extraction-defense-untested": Rule(
        "No thief adapted to the defenses",
        "Defenses that meet only thieves who ignore them look better than they are.",
        "Add [[extraction]] with adaptive = [...] to the plan.",
        "moderate",
    ),
    "evasion-item-to-item": Rule(
        "A changed photo enters the list of a chosen item",
        "A change of pixels inside the budget, saved and read back, moved a photo into the list of "
        "an item that was chosen beforehand.",
        "Harden the encoder, screen photos at upload, keep weights private, and audit again.",
        "high",
    ),
    "evasion-other-model": Rule(
        "What another model of the plan would change",
        "Worst-case success and price of a model of the plan beside the one that is judged.",
        "Weigh the success of the attacks against precision and accuracy.",
        "info",
    ),
    "evasion-check": Rule(
        "A sanity check of the evaluation failed",
        "The numbers may understate the attacker: a property that a sound evaluation has is "
        "missing.",
        "Read the numbers as a lower bound; add stronger or black-box attacks.",
        "moderate",
    ),
    "evasion-incomplete": Rule(
        "Some evasion attacks could not be measured",
        "Attacks on pairs failed. What is missing may be worse than what was measured.",
        "Remove the cause and run the same command again: only these are repeated.",
        "moderate",
    ),
}
"""By id of the finding. A key also stands for ids that begin with it."""
