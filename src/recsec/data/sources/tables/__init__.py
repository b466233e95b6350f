"""Tables of any kind by one rule: how they are written, what is missing, what does not fit."""

from recsec.data.dialect import Dialect
from recsec.data.sources.tables.binary import BROKEN, Typed, first_line
from recsec.data.sources.tables.columns import Field, choose
from recsec.data.sources.tables.files import SUFFIXES, holds_table, parts_of
from recsec.data.sources.tables.read import OpenTable, Table, open_table, read_table
from recsec.data.sources.tables.write import WRITTEN, check_suffix, write_table

__all__ = [
    "BROKEN",
    "SUFFIXES",
    "WRITTEN",
    "Dialect",
    "Field",
    "OpenTable",
    "Table",
    "Typed",
    "check_suffix",
    "choose",
    "first_line",
    "holds_table",
    "open_table",
    "parts_of",
    "read_table",
    "write_table",
]
