"""Ownership: proof, from a suspect's answers alone, that it was copied from a marked target."""

from recsec.ownership.proof import KEYS, Part, Point, Proof, Verdict, judge_answers, prove
from recsec.ownership.questions import Questions, draw_questions
from recsec.ownership.statistics import (
    combined_p_values,
    green_statistics,
    p_values,
    pair_contrasts,
    reply_statistics,
)
from recsec.ownership.suspect import Answers, ForeignTarget, ask, open_suspect

__all__ = [
    "KEYS",
    "Answers",
    "ForeignTarget",
    "Part",
    "Point",
    "Proof",
    "Questions",
    "Verdict",
    "ask",
    "combined_p_values",
    "draw_questions",
    "green_statistics",
    "judge_answers",
    "open_suspect",
    "p_values",
    "pair_contrasts",
    "prove",
    "reply_statistics",
]
