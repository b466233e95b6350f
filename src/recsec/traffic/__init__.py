"""Traffic: the query log, honest sessions under an assumed click law, queries followed."""

from recsec.traffic.clicks import ACCEPTANCES, BIASES, ClickLaw
from recsec.traffic.log import QueryLog, read_log, write_log
from recsec.traffic.patterns import PATTERNS, Pattern, pattern_log
from recsec.traffic.prefix import Prefix
from recsec.traffic.sessions import account_of, honest_log
from recsec.traffic.steps import BRANCHES, EXTENDS, REPEATS, STARTS, Follower, Query, Steps

__all__ = [
    "ACCEPTANCES",
    "BIASES",
    "BRANCHES",
    "EXTENDS",
    "PATTERNS",
    "REPEATS",
    "STARTS",
    "ClickLaw",
    "Follower",
    "Pattern",
    "Prefix",
    "Query",
    "QueryLog",
    "Steps",
    "account_of",
    "honest_log",
    "pattern_log",
    "read_log",
    "write_log",
]
