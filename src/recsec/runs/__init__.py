"""Run directories: the unit of resumption, and the writes that a crash cannot tear."""

from recsec.runs.atomic import (
    atomic_write_bytes,
    atomic_write_json,
    atomic_write_text,
    check_room,
    discard_unfinished,
    strangers,
)
from recsec.runs.canonical import canonical_json, digest
from recsec.runs.directory import REDO, RunDirectory
from recsec.runs.environment import environment
from recsec.runs.fence import check_fence, fenced
from recsec.runs.seal import PLACEHOLDER, intact, sealed, sealed_parts
from recsec.runs.tables import read_table, write_table

__all__ = [
    "PLACEHOLDER",
    "REDO",
    "RunDirectory",
    "atomic_write_bytes",
    "atomic_write_json",
    "atomic_write_text",
    "canonical_json",
    "check_fence",
    "check_room",
    "digest",
    "discard_unfinished",
    "environment",
    "fenced",
    "intact",
    "read_table",
    "sealed",
    "sealed_parts",
    "strangers",
    "write_table",
]
