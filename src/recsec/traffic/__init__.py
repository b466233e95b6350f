"""Traffic: the query log, people measured, replayed and followed."""

from recsec.traffic.clicks import ACCEPTANCES, BIASES, ClickLaw
from recsec.traffic.events import LOGS, read_events
from recsec.traffic.log import QueryLog, read_log, write_log
from recsec.traffic.measure import measure_people
from recsec.traffic.parts.live import is_stream, open_stream
from recsec.traffic.parts.parquet import ParquetLog, open_log
from recsec.traffic.parts.part import Part, Queries, Shard, WholeLog
from recsec.traffic.parts.stream import StreamLog
from recsec.traffic.patterns import PATTERNS, Pattern, pattern_log
from recsec.traffic.people import MEASURED, Measured, People, click_law, read_people
from recsec.traffic.prefix import Prefix
from recsec.traffic.sessions import account_of, honest_log
from recsec.traffic.steps import BRANCHES, EXTENDS, REPEATS, STARTS, Follower, Query, Steps

__all__ = [
    "ACCEPTANCES",
    "BIASES",
    "BRANCHES",
    "EXTENDS",
    "LOGS",
    "MEASURED",
    "PATTERNS",
    "REPEATS",
    "STARTS",
    "ClickLaw",
    "Follower",
    "Measured",
    "ParquetLog",
    "Part",
    "Pattern",
    "People",
    "Prefix",
    "Queries",
    "Query",
    "QueryLog",
    "Shard",
    "Steps",
    "StreamLog",
    "WholeLog",
    "account_of",
    "click_law",
    "honest_log",
    "is_stream",
    "measure_people",
    "open_log",
    "open_stream",
    "pattern_log",
    "read_events",
    "read_log",
    "read_people",
    "write_log",
]
