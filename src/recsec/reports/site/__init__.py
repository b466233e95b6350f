"""Many runs as one static site."""

from recsec.reports.site.runs import SeenRun, find_runs
from recsec.reports.site.write import write_site

__all__ = ["SeenRun", "find_runs", "write_site"]
