"""Run an extraction audit of MovieLens-1M and keep its numbers.

    recsec train sasrec --data ml-1m --out runs/sasrec-ml1m
    python benchmarks/ml1m_extraction.py examples/extract-ml1m-published.toml --out runs/audit

The audit resumes where it stopped. Rows, floor and twin of its ``report.json`` go to
``benchmarks/results/NAME.json`` and, as a table, to ``NAME.txt``; example lists stay out, because
the data may not be redistributed.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

SHOWN = ("agr@10", "agr@1", "rbo", "lift", "hr_ratio")
ACTIVITY = ("agr@10", "hr@10", "target_hr@10", "hr_ratio")
USERS = ("hr@10", "ndcg@10", "overlap@10", "utility")
KEPT = (
    "protocol",
    "target_quality",
    "floor",
    "twin",
    "rows",
    "defenses",
    "activity",
    "published",
    "verdict",
)


def cell(metrics: dict[str, Any], name: str) -> str:
    """One metric with its interval, or a dash."""
    found = metrics.get(name)
    if found is None or found["value"] is None:
        return "-".ljust(20)
    if found["low"] is None:
        return f"{found['value']:.3f}".ljust(20)
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]".ljust(20)


def table(report: dict[str, Any]) -> str:
    """Rows, floor and twin as text, and what defenses cost users."""
    several = len(report["defenses"]) > 1
    shown = (*SHOWN, "lift_taken") if several else SHOWN
    wide = max(16, *(len(row["policy"]) + 2 for row in report["rows"]))
    versions = report["reproduce"]["versions"]
    lines = [
        f"{report['title']}; protocol: {report['protocol']['statement']}",
        f"machine {platform.machine()}, {report['reproduce']['threads']} thread(s) per worker, "
        + ", ".join(f"{name} {value}" for name, value in versions.items()),
        f"target HR@10 {cell(report['target_quality'], 'hr@10')}",
        "",
        f"{'policy':<{wide}}{'k':>4}{'calls':>10} {'seeds':>5}  "
        + "".join(name.ljust(24) for name in shown),
    ]
    before = ""
    for row in report["rows"]:
        if several and row["defense"] != before:
            before = row["defense"]
            lines += ["", f"against {before}:"]
        head = f"{row['policy']:<{wide}}{row['k']:>4}{row['calls']:>10,} {len(row['seeds']):>5}  "
        lines.append(head + "".join(cell(row["metrics"], name).ljust(24) for name in shown))
    lines += [""] if several else []
    for name in ("floor", "twin"):
        metrics = report[name]["metrics"] or {}
        head = f"{name:<{wide}}{'-':>4}{0:>10} {'':>5}  "
        lines.append(head + "".join(cell(metrics, key).ljust(24) for key in SHOWN))
    if several:
        head = "".join(name.ljust(24) for name in USERS)
        lines += ["", f"{'what users get':<{wide}}{head}most is obtained by"]
        for one in report["defenses"]:
            best = "-" if one["best"] is None else report["rows"][one["best"]]["policy"]
            numbers = "".join(cell(one["quality"], name).ljust(24) for name in USERS)
            lines.append(f"{one['name']:<{wide}}{numbers}{best}")
    if report.get("activity"):
        head = "".join(name.ljust(24) for name in ACTIVITY)
        lines += ["", f"{'deciding copy, by activity':<28}{'users':>6}  {head}"]
        for one in report["activity"]:
            numbers = "".join(cell(one["metrics"], name).ljust(24) for name in ACTIVITY)
            lines.append(f"{one['group'] + ' items':<28}{one['users']:>6}  {numbers}")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def main() -> None:
    """Run the audit, then write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    command = ["audit", str(arguments.plan), "--out", str(arguments.out)]
    done = subprocess.run([sys.executable, "-m", "recsec", *command], check=False)
    if done.returncode not in (0, 1):  # 1: the gate failed, which is a finding
        sys.exit(done.returncode)
    report = json.loads((arguments.out / "report.json").read_text())
    name = Path(__file__).parent / "results" / arguments.plan.stem
    part = report["extraction"]
    kept = {key: report[key] for key in ("title", "reproduce")}
    kept |= {key: part[key] for key in KEPT if key in part}
    name.with_suffix(".json").write_text(json.dumps(kept, indent=1) + "\n")
    name.with_suffix(".txt").write_text(table(kept))
    print(table(kept))


if __name__ == "__main__":
    main()
