"""Run the evasion grid on the fashion photos and keep its numbers.

    python benchmarks/fashion_grid.py examples/visual-fashion.toml --out runs/visual-fashion

The audit resumes where it stopped. The numbers of its ``report.json`` go to
``benchmarks/results/NAME.json`` and, as tables, to ``NAME.txt``; photos and the texts of items stay
out, because the data may not be redistributed.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

LEFT_OUT = ("journeys", "map", "published")
SHOWN = ("success@1", "success@3", "success@10", "success@100")


def rate(metrics: dict[str, Any], name: str) -> str:
    """A rate in percent with its interval, or a dash."""
    found = metrics.get(name)
    if found is None or found["value"] is None:
        return "-".ljust(22)
    value, low, high = (100 * found[key] for key in ("value", "low", "high"))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]".ljust(22)


def quality(model: dict[str, Any]) -> str:
    """precision@10 and accuracy of a model."""
    known = model["quality"]
    return f"{known['precision@10']['value']:.3f}  {known['accuracy']['value']:.3f}"


def table(report: dict[str, Any]) -> str:
    """Models, worst cases, rows and checks as text; success in percent."""
    part = report["evasion"]
    versions = report["reproduce"]["versions"]
    models = {model["name"]: model for model in part["models"]}
    lines = [
        f"{report['title']}; protocol: {part['protocol']['statement']}",
        f"machine {platform.machine()}, {report['reproduce']['threads']} thread(s) per worker, "
        + ", ".join(f"{name} {value}" for name, value in versions.items()),
        "",
        f"{'worst case':<14}{'eps':>6}{'n':>7}  "
        + "".join(name.ljust(22) for name in SHOWN)
        + "p@10   accuracy",
    ]
    for row in part["worst"]:
        head = f"{row['model']:<14}{row['eps']:>6g}{row['pairs']:>7,}  "
        rates = "".join(rate(row["success"], name) for name in SHOWN)
        lines.append(head + rates + quality(models[row["model"]]))
    for rate_ in part["base"]:
        head = f"{rate_['model']:<14}{rate_['eps']:>6g}{'':>7}  "
        rates = "".join(rate(rate_["success"], name) for name in SHOWN)
        lines.append(head + rates + rate_["kind"])
    lines += [
        "",
        f"{'model':<14}{'attack':<34}{'eps':>6}{'n':>7}{'steps':>8}{'queries':>9}  "
        + "".join(name.ljust(22) for name in SHOWN)
        + "p@10   accuracy",
    ]
    for row in part["rows"]:
        name = row["attack"] + (" (survivors)" if row["survivors"] else "")
        effort = f"{row['backwards'] or 0:>8.1f}{row['queries'] or 0:>9.1f}"
        head = f"{row['model']:<14}{name:<34}{row['eps']:>6g}{row['pairs']:>7,}{effort}  "
        rates = "".join(rate(row["success"], name) for name in SHOWN)
        lines.append(head + rates + quality(models[row["model"]]))
    lines.append("")
    for check in part["checks"]:
        lines.append(
            f"{check['status']:<10} {check['model']:<14} {check['title']}: {check['evidence']}"
        )
    lines += ["", report["verdict"]["statement"]]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def kept(report: dict[str, Any]) -> dict[str, Any]:
    """What may be kept: numbers, no photo and no title of an item."""
    part = {name: value for name, value in report["evasion"].items() if name not in LEFT_OUT}
    return {"title": report["title"], "reproduce": report["reproduce"], "evasion": part}


def main() -> None:
    """Run the audit, then write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--keep-only", action="store_true", help="do not run: keep what is there")
    arguments = parser.parse_args()
    if not arguments.keep_only:
        command = ["audit", str(arguments.plan), "--out", str(arguments.out)]
        done = subprocess.run([sys.executable, "-m", "recsec", *command], check=False)
        if done.returncode not in (0, 1):  # 1: the gate failed, which is a finding
            sys.exit(done.returncode)
    report = json.loads((arguments.out / "report.json").read_text())
    name = Path(__file__).parent / "results" / arguments.plan.stem
    name.with_suffix(".json").write_text(json.dumps(kept(report), indent=1) + "\n")
    text = table({**report, **kept(report), "verdict": report["verdict"]})
    name.with_suffix(".txt").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
