"""Evasion through a visual search that answers with lists of ids; see ``recsec evade``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsec.errors import UsageError
from recsec.library.photos import open_split

if TYPE_CHECKING:
    from collections.abc import Collection

    import polars as pl

    from recsec.attacks.evasion import EvasionAttack
    from recsec.sources import Capability
    from recsec.types import Progress

__all__ = ["evade_listed"]

REFUSED = {
    "goal": (None, "a place in a list is all there is to reach"),
    "pixels": ("model", "the file says the size of an upload"),
    "ingest": ("png", "the shop does itself what it does to an upload"),
    "min_eps": (False, "every budget would be asked anew"),
    "project": (True, "uploads stay inside the budget"),
}
"""What a plan must say, and why not otherwise."""


def fitting_lists(tool: EvasionAttack, gives: Collection[Capability]) -> EvasionAttack:
    """The attack, if lists are enough for it; for ``auto`` and ``square`` the one that follows
    lists, and their scores where there are.

    Raises:
        UsageError: it needs scores or gradients.
    """
    from recsec.attacks.evasion import fitting_attack

    tool = fitting_attack(tool, gives)
    if tool.access in gives:
        return tool
    raise UsageError(
        f"--attack {tool.name} needs {tool.access}, and a visual search gives lists of ids",
        hint="--attack square follows lists, --attack transfer searches on surrogates of its own",
    )


def evade_listed(
    tool: EvasionAttack,
    plan: dict[str, Any],
    out: Path,
    *,
    authorised: bool = False,
    announce: Any = None,
    progress: Progress | None = None,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Attack pairs of photos through a visual search as a plan says.

    Args:
        tool: the attack.
        plan: as in ``evade_pairs``.
        out: the run directory; the same plan resumes, finished pairs are not asked again.
        authorised: the owner of a search beyond this machine agreed.
        announce: is told in words what will happen before the first pair.
        progress: is told how it goes.

    Returns:
        The pairs, and what they say together.

    Raises:
        UsageError, ConfigError: an option does not fit.
        DataError: missing or broken photos, or too few.
        TargetError: the search fails, or is not the one of these photos.
    """
    import numpy as np
    import torch

    from recsec.attacks.evasion import POLICIES, Transfer, read_pairs, run_listed, sample_pairs
    from recsec.attacks.evasion.harness.pairs import Pairs
    from recsec.rng import Streams
    from recsec.runs import RunDirectory
    from recsec.targets.visual import ImageSearch, check_search, read_search_file

    for name, (wanted, why) in REFUSED.items():
        if plan[name] != wanted:
            raise UsageError(f"a visual search takes no --{name.replace('_', '-')}: {why}")
    config = read_search_file(plan["model"])
    tool = fitting_lists(tool, config.gives)
    split = open_split(plan["data"], progress)
    photos, policy = split.photos, plan["pairs"]
    streams = Streams(plan["seed"]).child("evade")
    if isinstance(policy, list):
        named = [photos.parse_id(str(one)) for pair in policy for one in pair]
        rows = photos.rows(named).reshape(-1, 2)
        pairs = Pairs(rows[:, 0], rows[:, 1], "chosen pairs")
    elif policy == "popular-target":
        raise UsageError("--pairs popular-target needs vectors, and a visual search has none")
    elif policy in POLICIES:
        held = split.test if plan["stage"] == "test" else split.validation
        pairs = sample_pairs(policy, held, split.labels, plan["n"], rng=streams)
    else:
        pairs = read_pairs(
            Path(policy).expanduser(), lambda ids: photos.rows([photos.parse_id(x) for x in ids])
        )
    surrogate = tool.ensemble(torch.device("cpu")) if isinstance(tool, Transfer) else None
    plan = plan | {
        "attack": tool.name,
        "settings": tool.config.model_dump(mode="json"),
        "photos": photos.fingerprint,
        "search": config.asked,
    }
    with ImageSearch(config, photos, authorised=authorised) as search:
        images = tuple(
            torch.from_numpy(np.array(photos.pixels(one, search.size)))
            for one in (pairs.attackers, pairs.targets)
        )
        with RunDirectory.create_or_resume(out, "evade", plan) as directory:
            seen = check_search(search, images[0].numpy(), pairs.attackers)
            if announce is not None:
                asked = getattr(tool.config, "queries", 0)
                each = len(plan["eps"]) * (asked + 2) + 2
                announce(f"{seen}; at most {each * len(pairs):,} uploads for {len(pairs)} pairs")
            ids = [str(one) for one in photos.ids.tolist()]
            table = run_listed(
                directory, tool, search, pairs, (images[0], images[1]),
                [(ids[a], ids[t]) for a, t in zip(pairs.attackers, pairs.targets, strict=True)],
                eps=plan["eps"], rng=streams, stop_rank=plan["stop_rank"], surrogate=surrogate,
                progress=progress,
            )  # fmt: skip
            result = _result(table, plan, out, tool, f"{search.name}, {seen}", len(photos))
            result["synthetic"] = photos.synthetic
            directory.write_json("result.json", result)
    return table, result


def _result(
    table: pl.DataFrame,
    plan: dict[str, Any],
    out: Path,
    tool: EvasionAttack,
    seen: str,
    catalog: int,
) -> dict[str, Any]:
    import polars as pl

    from recsec.attacks.evasion import effective_eps, knowledge
    from recsec.metrics import SUCCESS_AT, success_rate

    k, count = plan["search"]["k"], table.height // len(plan["eps"])
    whose = (
        "place of the item in the list of the target, read after it was listed anew"
        if plan["search"]["surface"] == "relist"
        else "place of the target in the answer to the uploaded photo"
    )

    def rates(part: pl.DataFrame, column: str) -> dict[str, Any]:
        ranks = part[column].to_numpy()
        return {f"success@{r}": success_rate(ranks, r).to_json() for r in SUCCESS_AT if r <= k}

    budgets = []
    for eps in plan["eps"]:
        part = table.filter(pl.col("eps") == eps)
        budgets.append(
            {
                "eps": eps,
                "effective_eps": effective_eps(eps),
                **rates(part, "rank_after"),
                "clean": rates(part, "rank_before"),
                "noise": rates(part, "rank_noise"),
                "linf": float(part["linf"].to_numpy().max()),
                "queries": float(part["queries"].to_numpy().mean()),
            }
        )
    policy = plan["pairs"] if isinstance(plan["pairs"], str) else "chosen pairs"
    known = knowledge(tool)
    return {
        "run": str(out),
        "pairs_file": str(out / "pairs.parquet"),
        "attack": tool.name,
        "settings": plan["settings"],
        "knowledge": known,
        "policy": policy,
        "pairs": count,
        "list_length": k,
        "budgets": budgets,
        "protocol": f"{count} pairs ({policy}, {plan['stage']} photos); {known}; {whose}, of "
        f"{k} that are listed, the list's own item left out; catalog of {catalog:,} photos; 8-bit "
        f"PNG of {plan['search']['size']} px uploaded; {seen}",
    }
