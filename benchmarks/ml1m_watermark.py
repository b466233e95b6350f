"""What the watermark costs, proves and survives on MovieLens-1M.

    recsec train sasrec --data ml-1m --out runs/sasrec
    python benchmarks/ml1m_watermark.py --target runs/sasrec --out runs/ownership \
        --independent runs/markov runs/meanpool

Every row is added to ``benchmarks/results/ownership.json`` (and ``.txt``) as soon as it is
measured; rows that are there are not measured again, and copies in ``--out`` are not made again, so
a run that was stopped continues. ``--only`` and ``--budget SECONDS`` measure a part.

The thief of the copies is ``--policy``, k = 10. "served" is the guarded target itself. Removal
starts from the marked copy with the fewest calls.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from recsec import models
from recsec.attacks.extraction import (
    ExtractionConfig,
    collect,
    fit_surrogate,
    guide_of,
    proxy_histories,
)
from recsec.data import load as load_data
from recsec.data.sequences import Sequences, Split
from recsec.evaluation import answer_lists, evaluate_lists
from recsec.metrics import agreement
from recsec.models import Recommender, Training
from recsec.models.checkpoint import save_checkpoint
from recsec.models.trainer import fit
from recsec.ownership import prove
from recsec.rng import Streams
from recsec.runs import atomic_write_text, environment
from recsec.stats import mean_estimate
from recsec.targets import Budget, LocalTarget, MeteredTarget, Target, Transcript
from recsec.targets.guards import (
    Guard,
    Quantize,
    Shuffle,
    Surroundings,
    Truncate,
    Watermark,
    build_guards,
    first_is_green,
    popularity_pairs,
)
from recsec.types import FloatArray, IntArray

RESULTS = Path(__file__).parent / "results" / "ownership"
KEY = bytes(range(32))
"""A fixed key, so that everybody measures the same; a real one is drawn by recsec verify keygen."""
ANOTHER = bytes(range(32, 64))
"""The key of somebody else, who must not be able to prove anything."""
BIASES = (0.1, 0.2, 0.3, 0.5)
CALLS = (10_000, 50_000)
FRESH_KEYS = 40


@dataclass
class Bench:
    """Data, target and the folder of the copies."""

    target: Path
    out: Path
    independent: list[Path]
    bias: float
    seed: int
    data: str
    calls: tuple[int, ...]
    policy: str
    before: str
    device: str
    surrogate: dict[str, Any]
    proxy: str

    @cached_property
    def split(self) -> Split:
        return load_data(self.data).split()

    @cached_property
    def recommender(self) -> Recommender:
        return models.load(self.target)

    @property
    def counts(self) -> IntArray:
        return self.split.train.counts

    @property
    def streams(self) -> Streams:
        return Streams(self.seed).child("ownership")

    def served(self, bias: float | None = None) -> LocalTarget:
        guard = Watermark(KEY, self.counts, bias=self.bias if bias is None else bias)
        return LocalTarget(self.recommender, [*self.guards, guard])

    @cached_property
    def guards(self) -> list[Guard]:
        """What stands before the watermark."""
        if self.before == "none":
            return []
        where = Surroundings(self.recommender, self.split.train)
        return list(build_guards([{"name": self.before}], where))

    @cached_property
    def clean_lists(self) -> IntArray:
        return answer_lists(self.recommender, self.split, 10)

    @cached_property
    def served_lists(self) -> IntArray:
        return lists_of(self.served(), self.split)

    def copy_folder(self, calls: int, *, marked: bool) -> Path:
        return self.out / f"{'marked' if marked else 'unmarked'}-{calls}"

    def copy(self, calls: int, *, marked: bool) -> Recommender:
        target = self.served() if marked else LocalTarget(self.recommender)
        return self.steal(target, self.copy_folder(calls, marked=marked), calls)

    def steal(
        self, target: Target, folder: Path, calls: int, adaptive: Mapping[str, Any] | None = None
    ) -> Recommender:
        """Extract into a folder; continues what is there."""
        if (folder / "model.safetensors").exists():
            return models.load(folder)
        config = ExtractionConfig(
            policy=self.policy,
            length=63 if self.policy == "rank-law" else ExtractionConfig().length,
            surrogate_settings=self.surrogate,
            proxy=self.proxy,
            adaptive=dict(adaptive or {}),
        )
        leak = proxy_histories(self.proxy, self.split.catalog) if self.proxy else None
        transcript = folder / "transcript"
        transcript.mkdir(parents=True, exist_ok=True)
        streams = self.streams.child("thief")
        budget = Budget(calls=calls, accounts=config.adaptive.accounts)
        with MeteredTarget(target, budget=budget, folder=transcript) as meter:
            collect(
                meter,
                config,
                calls=calls,
                k=10,
                streams=streams.child("collect"),
                leak=leak,
                device=self.device,
            )
        recorded = Transcript.open(transcript, self.split.catalog)
        return fit_surrogate(
            recorded,
            self.split.catalog,
            config,
            calls=calls,
            streams=streams.child("fit"),
            guide=guide_of(config, transcript),
            out=folder,
            device=self.device,
        )

    def suspect(self) -> Recommender:
        """The copy from which every removal starts."""
        return self.copy(self.calls[0], marked=True)

    def judge(self, suspect: Target, lists: IntArray | None = None) -> dict[str, Any]:
        """Proof, fidelity and quality of one suspect."""
        proof = prove(suspect, KEY, self.split, streams=self.streams.child("verify"))
        other = prove(suspect, ANOTHER, self.split, streams=self.streams.child("verify"))
        found = lists_of(suspect, self.split) if lists is None else lists
        hits = quality(found, self.split)
        rng = self.streams.numpy("intervals")
        return {
            "verdict": proof.verdict,
            "p_value": proof.p_value,
            "another_key_p": other.p_value,
            "green_p": proof.green.p_value,
            "replies_p": proof.replies.p_value if proof.replies else None,
            "effect": proof.effect.to_json(),
            "replies_effect": proof.replies.effect.to_json() if proof.replies else None,
            "queries": proof.queries,
            "curve": [point.to_json() for point in proof.curve],
            "agr@10_served": mean_estimate(agreement(found, self.served_lists, 10), rng).to_json(),
            "agr@10_clean": mean_estimate(agreement(found, self.clean_lists, 10), rng).to_json(),
            "hr@10": mean_estimate(hits, rng).to_json(),
        }


class KeyOfAccount:
    """A target with one key for each account, as who wants to know which of them leaked has it."""

    def __init__(self, bench: Bench, keys: Mapping[str, bytes]) -> None:
        self.catalog = bench.recommender.catalog
        self.chunk, self.pool = 256, 4096
        self.behind = {
            account: LocalTarget(bench.recommender, [Watermark(key, bench.counts, bias=bench.bias)])
            for account, key in keys.items()
        }

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        return self.behind[account].query(account, histories, k)


def leaked(bench: Bench, calls: int, accounts: int) -> dict[str, Any]:
    """Who leaked: some accounts with a key each made the copy; which of twelve keys is in it?"""
    keys = [Streams(bench.seed).child(f"key-{at}").numpy("key").bytes(32) for at in range(12)]
    names = ["thief"] if accounts == 1 else [f"thief-{at}" for at in range(accounts)]
    target = KeyOfAccount(bench, dict(zip(names, keys, strict=False)))
    folder = bench.out / f"leaked-{accounts}-{calls}"
    copy = bench.steal(target, folder, calls, {"accounts": accounts})
    streams = bench.streams.child("verify")
    proofs = [prove(LocalTarget(copy), key, bench.split, streams=streams) for key in keys]
    rest = [proof.p_value for proof in proofs[accounts:]]
    return {
        "p_value": max(proof.p_value for proof in proofs[:accounts]),
        "p_values_of_the_guilty": [proof.p_value for proof in proofs[:accounts]],
        "p_values_of_others": rest,
        "smallest_of_others": min(rest),
        "effect": proofs[0].effect.to_json(),
    }


def lists_of(target: Target, split: Split) -> IntArray:
    return answer_lists(lambda histories, k: target.query("owner", histories, k), split, 10)


def quality(lists: IntArray, split: Split) -> FloatArray:
    return evaluate_lists(lists, split).values["hr@10"]


class RankSum:
    """An ensemble: the items that several recommenders rank highest on average."""

    chunk = 256

    def __init__(self, members: list[Recommender]) -> None:
        self.members = members
        self.catalog = members[0].catalog

    def query(self, account: str, histories: IntArray, k: int) -> IntArray:
        votes = np.zeros((len(histories), len(self.catalog) + 1))
        rows = np.arange(len(histories))[:, None]
        for member in self.members:
            lists = member.top_k(histories, 50)
            votes[rows, lists] += 1 / (10 + np.arange(lists.shape[1]))
        votes[:, 0] = 0
        order = np.argsort(-votes, axis=1, kind="stable")[:, :k]
        return np.where(votes[rows, order] > 0, order, 0)


def bias_row(bench: Bench, bias: float) -> dict[str, Any]:
    """Cost of the guard at one setting, and the proof on the served lists themselves."""
    target = bench.served(bias)
    lists = lists_of(target, bench.split)
    clean, marked = (quality(found, bench.split) for found in (bench.clean_lists, lists))
    rng = bench.streams.numpy("loss")
    proof = prove(target, KEY, bench.split, streams=bench.streams.child("verify"))
    return {
        "verdict": proof.verdict,
        "p_value": proof.p_value,
        "green_p": proof.green.p_value,
        "replies_p": proof.replies.p_value if proof.replies else None,
        "effect": proof.effect.to_json(),
        "hr@10": mean_estimate(marked, rng).to_json(),
        "hr@10_clean": mean_estimate(clean, rng).to_json(),
        "hr@10_lost": mean_estimate(clean - marked, rng).to_json(),
        "overlap@10": mean_estimate(agreement(lists, bench.clean_lists, 10), rng).to_json(),
    }


def quantize_row(bench: Bench, near: float) -> dict[str, Any]:
    """What the other guard that changes lists costs the users."""
    where = Surroundings(bench.recommender, bench.split.train)
    guard = Quantize.build(Quantize.config_class(near=near), where)
    lists = lists_of(LocalTarget(bench.recommender, [guard]), bench.split)
    clean, guarded = (quality(found, bench.split) for found in (bench.clean_lists, lists))
    rng = bench.streams.numpy("loss")
    return {
        "hr@10": mean_estimate(guarded, rng).to_json(),
        "hr@10_lost": mean_estimate(clean - guarded, rng).to_json(),
        "overlap@10": mean_estimate(agreement(lists, bench.clean_lists, 10), rng).to_json(),
    }


def pruned(bench: Bench, share: float) -> dict[str, Any]:
    """The smallest weights of every matrix become zero."""
    copy = bench.suspect()
    state = copy.state()
    for name, tensor in state.items():
        if tensor.ndim >= 2:
            edge = tensor.abs().flatten().kthvalue(max(1, round(share * tensor.numel()))).values
            state[name] = torch.where(tensor.abs() <= edge, torch.zeros_like(tensor), tensor)
    lighter = type(copy).from_state(copy.catalog, copy.config, state)
    return bench.judge(LocalTarget(lighter))


def fine_tuned(bench: Bench, epochs: int) -> dict[str, Any]:
    """The copy learns next items from a tenth of the users' histories."""
    copy = bench.suspect()
    streams = bench.streams.child(f"fine-tune-{epochs}")
    users = len(bench.split.full)
    leaked = np.sort(streams.numpy("users").choice(users, users // 10, replace=False))
    rows = [bench.split.full[int(user)].tolist() for user in leaked]
    few = Split(Sequences.from_lists(bench.split.catalog, rows))
    settings = copy.config.model_copy(update={"epochs": epochs, "lr": 5e-4, "patience": epochs})
    fit(
        copy.objective(few),
        settings,
        streams=streams,
        training=Training(device="cpu"),
    )
    save_checkpoint(copy, bench.out / f"fine-tuned-{epochs}", {"epochs": epochs})
    return bench.judge(LocalTarget(copy))


def redistilled(bench: Bench, calls: int) -> dict[str, Any]:
    """A copy of the copy: what it lost is lost for both."""
    copy = bench.suspect()
    again = bench.steal(LocalTarget(copy), bench.out / f"redistilled-{calls}", calls)
    return bench.judge(LocalTarget(again))


def ensemble(bench: Bench, other: Recommender) -> dict[str, Any]:
    """The marked copy and another model vote: a thief of two targets."""
    return bench.judge(RankSum([bench.suspect(), other]))


def guessed(bench: Bench, calls: int) -> dict[str, Any]:
    """The thief guesses green items from the lists he was served, and lifts the others.

    Of each pair of popularity neighbors he takes for green the one that was served more often.
    He is generous to himself: he knows how the pairs are made and the true popularity.
    """
    folder = bench.copy_folder(calls, marked=True)
    copy = models.load(folder)
    answers = Transcript.open(folder / "transcript", bench.split.catalog).calls.answers
    served = np.bincount(answers.ravel(), minlength=len(bench.counts))
    pairs = popularity_pairs(bench.counts)
    known = served[pairs[:, 0]] != served[pairs[:, 1]]
    guess = served[pairs[:, 0]] > served[pairs[:, 1]]
    truth = first_is_green([KEY], len(pairs))[0]
    undo = Watermark(KEY, bench.counts, bias=bench.bias, triggers=False)
    lifted = np.zeros(len(bench.counts), dtype=bool)
    lifted[np.where(guess, pairs[:, 1], pairs[:, 0])] = True
    undo.green = torch.from_numpy(lifted)
    found = bench.judge(LocalTarget(copy, [undo]))
    return {**found, "guessed_right": float((guess == truth)[known].mean())}


def calibration(bench: Bench) -> dict[str, Any]:
    """P-values of independent suspects, a fresh key for each."""
    suspects = {str(path.name): models.load(path) for path in bench.independent}
    suspects["clean target"] = bench.recommender
    unmarked = bench.copy_folder(bench.calls[0], marked=False)
    if (unmarked / "model.safetensors").exists():
        suspects["unmarked copy"] = models.load(unmarked)
    rng = bench.streams.numpy("fresh keys")
    found: dict[str, list[float]] = {}
    for name, model in suspects.items():
        found[name] = [
            prove(
                LocalTarget(model),
                rng.bytes(32),
                bench.split,
                streams=bench.streams.child(f"{name}-{turn}"),
                queries=600,
                keys=999,
            ).p_value
            for turn in range(FRESH_KEYS)
        ]
    values = np.concatenate(list(found.values()))
    test = stats.kstest(values, "uniform")
    return {
        "suspects": {name: len(each) for name, each in found.items()},
        "p_values": sorted(values.tolist()),
        "ks": float(test.statistic),
        "ks_p": float(test.pvalue),
        "smallest": float(values.min()),
        "false_claims_at_0.001": int((values <= 0.001).sum()),
        "upper_bound_of_rate": float(stats.beta.ppf(0.975, 1, len(values))),
    }


def rows(bench: Bench) -> dict[str, Callable[[], dict[str, Any]]]:
    """All rows in the order in which they are measured: cheap and central ones first."""
    few, many = bench.calls[0], bench.calls[-1]
    table: dict[str, Callable[[], dict[str, Any]]] = {
        f"served, bias {bench.bias:g}": lambda: bias_row(bench, bench.bias)
    }
    table["clean target"] = lambda: bench.judge(LocalTarget(bench.recommender))
    for path in bench.independent:
        table[f"independent: {path.name}"] = lambda path=path: bench.judge(
            LocalTarget(models.load(path))
        )
    table[f"marked copy, {few} calls"] = lambda: bench.judge(
        LocalTarget(bench.copy(few, marked=True))
    )
    table[f"unmarked copy, {few} calls"] = lambda: bench.judge(
        LocalTarget(bench.copy(few, marked=False))
    )
    table["removal: copy shuffles its lists"] = lambda: bench.judge(
        LocalTarget(bench.suspect(), [Shuffle(0)])
    )
    table["removal: copy serves 5 items"] = lambda: bench.judge(
        LocalTarget(bench.suspect(), [Truncate(5)])
    )
    for share in (0.3, 0.5):
        table[f"removal: {share:.0%} of weights pruned"] = lambda share=share: pruned(bench, share)
    for path in bench.independent[:1]:
        table[f"removal: ensemble with {path.name}"] = lambda path=path: ensemble(
            bench, models.load(path)
        )
    for accounts in (1, 4):
        table[f"who leaked: {accounts} of 12 keys"] = lambda accounts=accounts: leaked(
            bench, few, accounts
        )
    table["removal: ensemble with an unmarked copy"] = lambda: ensemble(
        bench, bench.copy(few, marked=False)
    )
    table[f"removal: key guessed from {few} lists"] = lambda: guessed(bench, few)
    for epochs in (2, 10):
        table[f"removal: fine-tuned on 10 % of users, {epochs} epochs"] = lambda epochs=epochs: (
            fine_tuned(bench, epochs)
        )
    for bias in BIASES:
        table[f"served, bias {bias:g}"] = lambda bias=bias: bias_row(bench, bias)
    for near in (0.3, 0.5):
        table[f"guard: quantize, near {near:g}"] = lambda near=near: quantize_row(bench, near)
    table["calibration"] = lambda: calibration(bench)
    table[f"marked copy, {many} calls"] = lambda: bench.judge(
        LocalTarget(bench.copy(many, marked=True))
    )
    table[f"removal: distilled again, {few} calls"] = lambda: redistilled(bench, few)
    return table


def text(found: dict[str, Any]) -> str:
    """The rows as a table."""

    def cell(row: dict[str, Any], name: str, digits: int = 3) -> str:
        value = row.get(name)
        if value is None:
            return "-"
        if isinstance(value, dict):
            return f"{value['value']:.{digits}f}"
        return f"{value:.2g}" if isinstance(value, float) else str(value)

    columns = ("p_value", "another_key_p", "green_p", "replies_p", "effect", "hr@10")
    columns += ("agr@10_clean", "overlap@10")
    lines = [
        f"{found['data']}, {found.get('target', 'sasrec')}, watermark guard; "
        "p exact with 9,999 other keys, floor 0.0001",
        f"bias {found['bias']:g}, seed {found['seed']}, machine {found['machine']['machine']}, "
        + ", ".join(f"{k} {v}" for k, v in found["machine"]["versions"].items()),
        "",
        f"{'':46}" + "".join(f"{name:>15}" for name in columns),
    ]
    for name, row in found["rows"].items():
        if name != "calibration":
            lines.append(f"{name:46}" + "".join(f"{cell(row, each):>15}" for each in columns))
    for name, row in found["rows"].items():
        if "smallest_of_others" in row:
            guilty = ", ".join(f"{p:.2g}" for p in row["p_values_of_the_guilty"])
            lines.append(
                f"{name}: p {guilty} of the accounts that made the copy, of the others at least "
                f"{row['smallest_of_others']:.2g}"
            )
    null = found["rows"].get("calibration")
    if null:
        number = len(null["p_values"])
        lines += [
            "",
            f"calibration: {number} p-values of {len(null['suspects'])} independent suspects, a "
            f"fresh key each: KS {null['ks']:.3f} (p {null['ks_p']:.2f}), smallest "
            f"{null['smallest']:.3f}, {null['false_claims_at_0.001']} at most 0.001;",
            f"{number} nulls bound the rate of false claims at {null['upper_bound_of_rate']:.1%} "
            "only; the exact test bounds it at alpha.",
        ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--independent", type=Path, nargs="*", default=[])
    parser.add_argument("--bias", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default="ml-1m")
    parser.add_argument("--calls", type=int, nargs=2, default=CALLS, help="budgets of the thieves")
    parser.add_argument("--results", type=Path, default=RESULTS, help="without .json and .txt")
    parser.add_argument("--policy", default="mixed", help="of the thieves")
    parser.add_argument("--proxy", default="", help="data set whose histories the thief has")
    parser.add_argument("--before", default="none", help="a guard before the watermark")
    parser.add_argument("--device", default="cpu", help="where copies are trained")
    parser.add_argument("--surrogate", type=json.loads, default={}, help="settings, as JSON")
    parser.add_argument("--only", help="rows whose name matches this pattern")
    parser.add_argument("--budget", type=float, help="start no row after so many seconds")
    options = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(
        options.target,
        options.out,
        options.independent,
        options.bias,
        options.seed,
        options.data,
        tuple(options.calls),
        options.policy,
        options.before,
        options.device,
        options.surrogate,
        options.proxy,
    )
    path = Path(f"{options.results}.json")
    found = json.loads(path.read_text()) if path.exists() else {"rows": {}}
    settings: dict[str, Any] = {"data": options.data, "calls": list(options.calls)}
    settings |= {"bias": options.bias, "seed": options.seed, "key": KEY.hex()}
    settings |= {"policy": options.policy, "before": options.before}
    settings |= {"proxy": options.proxy} if options.proxy else {}
    if found["rows"] and any(found.get(name) != value for name, value in settings.items()):
        raise SystemExit(f"{path} holds rows of other settings; move it away first")
    found |= settings | {"machine": {"machine": platform.machine(), **environment()}}
    found["target"] = bench.recommender.name
    begun = time.perf_counter()
    for name, measure in rows(bench).items():
        if name in found["rows"] or (options.only and not re.search(options.only, name)):
            continue
        if options.budget is not None and time.perf_counter() - begun > options.budget:
            break
        start = time.perf_counter()
        row = measure()
        found["rows"][name] = {**row, "seconds": round(time.perf_counter() - start, 1)}
        atomic_write_text(path, json.dumps(found, indent=1) + "\n")
        shown = {key: row[key] for key in ("p_value", "hr@10", "agr@10_served") if key in row}
        print(f"{name}: {shown} ({found['rows'][name]['seconds']} s)", flush=True)
    atomic_write_text(path, json.dumps(found, indent=1) + "\n")
    atomic_write_text(Path(f"{options.results}.txt"), text(found))


if __name__ == "__main__":
    main()
