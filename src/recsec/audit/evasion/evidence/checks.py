"""Is the evaluation itself sound? The signs of a weak attack or of masked gradients.

Source: Athalye et al., ICML 2018; Carlini et al., On Evaluating Adversarial Robustness, 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
import scipy

from recsec.attacks.evasion import Control
from recsec.audit.evasion.cells import NOISE, WHOLE, R
from recsec.audit.evasion.evidence.rows import Measured, best_ranks, ranks_of
from recsec.reports import SanityCheck

__all__ = ["sanity_checks"]

ENOUGH = 0.95
DEAD = 0.01
SURE = 0.05
Status: TypeAlias = Literal["passed", "failed", "not tried"]
Answer: TypeAlias = tuple[Status, str]


def sanity_checks(
    cells: Sequence[Measured], models: Sequence[str], *, eps: float = math.inf
) -> tuple[SanityCheck, ...]:
    """Every check for every model, in the order of the plan's models.

    Args:
        cells: what was measured.
        models: names.
        eps: the largest budget that the gate counts.
    """
    found = []
    for model in models:
        mine = [one for one in cells if one.cell.model == model and len(one.table)]
        for check, title, judge in CHECKS:
            status, evidence = judge(mine, model)
            found.append(
                SanityCheck(model=model, check=check, title=title, status=status, evidence=evidence)
            )
        status, evidence = _works(cells, mine, eps)
        title = "an attack without gradients is shown to work"
        found.append(
            SanityCheck(model=model, check="works", title=title, status=status, evidence=evidence)
        )
    return tuple(found)


def _solved(found: Measured) -> dict[int, bool]:
    ranks = (ranks_of(found.table) <= R).tolist()
    return dict(zip(found.table["pair"].to_list(), ranks, strict=True))


def _share(values: Sequence[bool]) -> str:
    return f"{100 * float(np.mean(values)):.1f} % of {len(values):,}"


def _worse(first: dict[int, bool], second: dict[int, bool]) -> tuple[bool, list[int]]:
    """Whether ``second`` succeeds on significantly fewer of the common pairs, and those pairs.

    An exact sign test on the pairs where the two differ, one-sided.
    """
    common = sorted(first.keys() & second.keys())
    lost = sum(first[pair] and not second[pair] for pair in common)
    won = sum(second[pair] and not first[pair] for pair in common)
    if lost <= won:
        return False, common
    return scipy.special.bdtrc(lost - 1, lost + won, 0.5) < SURE, common


def _attacks(cells: Sequence[Measured], *, white: bool | None = None) -> list[Measured]:
    return [
        found
        for found in cells
        if found.cell.counts
        and found.cell.survivors_of is None
        and (white is None or (found.access == "gradients") == white)
    ]


def _monotone(cells: Sequence[Measured], model: str) -> Answer:
    """More budget never helps the defender, attack by attack on common pairs."""
    labels = dict.fromkeys(found.cell.label for found in _attacks(cells))
    drops, compared = [], 0
    strongest = _strongest(cells)
    for label in labels:
        row = sorted(
            (found for found in _attacks(cells) if found.cell.label == label),
            key=lambda found: found.cell.eps,
        )
        for low, high in pairwise(row):
            compared += 1
            first, second = _solved(low), _solved(high)
            worse, common = _worse(first, second)
            if worse:
                drops.append(
                    (
                        label,
                        f"{label} from eps {low.cell.eps:g} to {high.cell.eps:g}: "
                        f"{_share([first[p] for p in common])} to "
                        f"{_share([second[p] for p in common])}",
                    )
                )
    if not compared:
        return "not tried", "no attack was run with two budgets"
    if not drops:
        return "passed", f"success@{R} falls in none of {compared} steps to a larger budget"
    text = "; ".join(words for _, words in drops)
    if any(label == strongest for label, _ in drops):
        return "failed", f"the strongest attack falls with more budget: {text}"
    return "passed", f"only weak attacks fall with more budget, the strongest does not: {text}"


def _strongest(cells: Sequence[Measured]) -> str | None:
    """The attack with the most success at the largest budget where two or more were run."""
    attacks = _attacks(cells)
    budgets: dict[float, list[Measured]] = {}
    for found in attacks:
        budgets.setdefault(found.cell.eps, []).append(found)
    several = [eps for eps, row in budgets.items() if len(row) > 1] or list(budgets)
    if not several:
        return None
    row = budgets[max(several)]
    return max(row, key=lambda found: float(np.mean(list(_solved(found).values())))).cell.label


def _whole(cells: Sequence[Measured], model: str) -> Answer:
    """With half of the pixel range almost every pair succeeds."""
    budgets = [found.cell.eps for found in _attacks(cells) if found.cell.eps >= WHOLE]
    if not budgets:
        return "not tried", f"the plan has no eps of {WHOLE:g} or more"
    eps = min(budgets)
    solved = [rank <= R for rank in best_ranks(cells, model, eps).values()]
    status: Status = "passed" if float(np.mean(solved)) >= ENOUGH else "failed"
    return status, f"success@{R} at eps {eps:g}: {_share(solved)} pairs"


def _black(cells: Sequence[Measured], model: str) -> Answer:
    """Who sees less is never better than who sees the gradients."""
    rows = _attacks(cells, white=False)
    lines, failed = [], False
    for found in rows:
        eps = found.cell.eps
        white = [one for one in _attacks(cells, white=True) if one.cell.eps == eps]
        if not white:
            continue
        labels = [one.cell.label for one in white]
        best = {
            pair: rank <= R for pair, rank in best_ranks(cells, model, eps, labels=labels).items()
        }
        black = _solved(found)
        worse, common = _worse(black, best)
        failed |= worse
        lines.append(
            f"{found.cell.label} at eps {eps:g}: {_share([black[p] for p in common])}, with "
            f"gradients {_share([best[p] for p in common])}"
        )
    if not lines:
        return "not tried", "no black-box attack was run beside one with gradients"
    return ("failed" if failed else "passed"), "; ".join(lines)


def _plateau(cells: Sequence[Measured], model: str) -> Answer:
    """More steps change little: the longest run of an attack adds nothing to the worst case.

    An attack that still rises with its steps does no harm to the worst case where others, or
    shorter runs, find its pairs too.
    """
    lines, failed = [], False
    for group in _by_steps(cells):
        if len(group) < 3:
            continue
        group.sort(key=lambda found: int(found.settings["steps"]))
        solved = [_solved(found) for found in group]
        common = sorted(set.intersection(*(set(one) for one in solved)))
        if not common:
            continue
        where = _ball(group[-1])
        rest = [_solved(one) for one in _attacks(cells) if _ball(one) == where]
        rest.remove(solved[-1])
        others = {pair: any(one.get(pair, False) for one in rest) for pair in common}
        worse, _ = _worse(solved[-1], others)
        gain = np.mean([solved[-1][p] for p in common]) - np.mean(list(others.values()))
        failed |= worse and float(gain) > 0.02
        shares = ", ".join(
            f"{found.settings['steps']} steps {_share([one[p] for p in common])}"
            for found, one in zip(group, solved, strict=True)
        )
        lines.append(
            f"{group[0].settings['attack']} at eps {group[0].cell.eps:g}: {shares}; all but the "
            f"longest together {_share(list(others.values()))}"
        )
    if not lines:
        return "not tried", "the plan has no attack with three numbers of steps at one eps"
    return ("failed" if failed else "passed"), f"success@{R}: " + ". ".join(lines)


def _ball(found: Measured) -> tuple[float, bool, int | None]:
    """What attacks must share so that their images count for the same worst case."""
    return found.cell.eps, found.cell.project, found.cell.size


def _by_steps(cells: Sequence[Measured]) -> list[list[Measured]]:
    """Attacks of one kind, budget and size of photo that differ in ``steps`` only."""
    groups: dict[str, list[Measured]] = {}
    for found in _attacks(cells, white=True):
        settings = dict(found.settings)
        if settings.pop("steps", None) is None:
            continue
        key = repr((sorted(settings.items()), _ball(found)))
        groups.setdefault(key, []).append(found)
    return list(groups.values())


def _gradients(cells: Sequence[Measured], model: str) -> Answer:
    """Gradients are there: neither zero nor without a number."""
    white = [found for found in cells if found.access == "gradients"]
    steps = sum(int(found.table["backwards"].sum()) for found in white)
    dead = sum(int(found.table["dead"].sum()) for found in white)
    if not steps:
        return "not tried", "no attack used gradients"
    status: Status = "passed" if dead / steps <= DEAD else "failed"
    return status, f"{dead:,} of {steps:,} gradients were zero or not finite"


def _noise(cells: Sequence[Measured], model: str) -> Answer:
    """Noise of the whole budget does little: success is the attack's, not the distance's."""
    noisy = [found for found in cells if found.cell.attack.key == NOISE and found.cell.eps <= 0.1]
    if not noisy:
        return "not tried", "the plan has no eps of 0.1 or less"
    found = max(noisy, key=lambda one: one.cell.eps)
    clean = (found.table["rank_before"].to_numpy() <= R).tolist()
    after = list(_solved(found).values())
    status: Status = "passed" if float(np.mean(after)) - float(np.mean(clean)) <= 0.05 else "failed"
    return status, (
        f"success@{R} with noise at eps {found.cell.eps:g}: {_share(after)}; as they are: "
        f"{_share(clean)}"
    )


def _reference(cells: Sequence[Measured], model: str) -> Answer:
    """A plain attack with nothing to tune adds little to all others together."""
    lines, failed = [], False
    for found in cells:
        if not found.cell.control:
            continue
        best = best_ranks(cells, model, found.cell.eps).values()
        won = _solved(found).values()
        seen = Control(len(best), sum(rank <= R for rank in best), len(won), sum(won))
        failed |= seen.weak
        lines.append(f"eps {found.cell.eps:g}: {seen}")
    if not lines:
        return "not tried", f"no pair was left above rank {R}, or no attack used gradients"
    return ("failed" if failed else "passed"), f"success@{R}: " + "; ".join(lines)


def _works(cells: Sequence[Measured], mine: Sequence[Measured], eps: float) -> Answer:
    """Where nobody sees gradients, one attack does more than noise: here, or on another model.

    At half of the pixel range anything works, so that shows nothing.
    """
    rows = [found for found in mine if found.cell.counts and found.cell.eps <= eps]
    if not rows:
        return "not tried", "no attack was run"
    at = max(found.cell.eps for found in rows)
    if any(found.access == "gradients" for found in rows if found.cell.eps == at):
        return "not tried", "attacks with gradients were run"
    rows = [found for found in rows if found.access != "gradients"]
    labels = {found.cell.label for found in rows}
    lines = []
    for found in cells:
        cell = found.cell
        if cell.label not in labels or cell.eps >= WHOLE or not len(found.table):
            continue
        without = _without(cells, found)
        solved = _solved(found)
        worse, common = _worse(solved, without)
        line = (
            f"{cell.label} on {cell.model} at eps {cell.eps:g}: "
            f"{_share([solved[p] for p in common])}, noise {_share([without[p] for p in common])}"
        )
        if worse:
            return "passed", f"success@{R}: {line}"
        lines.append(line)
    if not lines:
        return "failed", f"no attack was run with an eps below {WHOLE:g}"
    return "failed", (
        f"no attack without gradients is shown to do more than noise, success@{R}: "
        f"{'; '.join(lines)}; more queries, a larger eps or a plain model beside it would show it"
    )


def _without(cells: Sequence[Measured], found: Measured) -> dict[int, bool]:
    """Success on the same pairs with noise of the same size, or of the photos as they are."""
    ranks = (found.table["rank_before"].to_numpy() <= R).tolist()
    clean = dict(zip(found.table["pair"].to_list(), ranks, strict=True))
    for one in cells:
        same = (one.cell.model, one.cell.eps) == (found.cell.model, found.cell.eps)
        if same and one.cell.attack.key == NOISE:
            return clean | _solved(one)
    return clean


CHECKS: tuple[
    tuple[
        Literal[
            "monotone", "whole-range", "black-box", "plateau", "gradients", "noise", "reference"
        ],
        str,
        Callable[[Sequence[Measured], str], Answer],
    ],
    ...,
] = (
    ("monotone", "more budget never helps the defender", _monotone),
    ("whole-range", "half of the pixel range breaks everything", _whole),
    ("black-box", "seeing less is never better than seeing gradients", _black),
    ("plateau", "more steps change little", _plateau),
    ("gradients", "gradients are there", _gradients),
    ("noise", "random noise does little", _noise),
    ("reference", "a plain reference attack adds little", _reference),
)
