"""Two audits side by side: what changed, with intervals of the differences."""

from recsec.reports.comparison.compare import compare_reports, compare_runs
from recsec.reports.comparison.difference import difference_of, paired_difference
from recsec.reports.comparison.page import diff_html
from recsec.reports.comparison.parts import Change, Diff, FindingChange, RunPart

__all__ = [
    "Change",
    "Diff",
    "FindingChange",
    "RunPart",
    "compare_reports",
    "compare_runs",
    "diff_html",
    "difference_of",
    "paired_difference",
]
