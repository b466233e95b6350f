"""Tables of any kind by one rule: how they are written, what is missing, what does not fit."""

from recsec.data.sources.tables.columns import Field, choose
from recsec.data.sources.tables.dialect import Dialect
from recsec.data.sources.tables.files import SUFFIXES, holds_table
from recsec.data.sources.tables.read import OpenTable, Table, open_table, read_table
from recsec.data.sources.tables.write import WRITTEN, check_suffix, write_table

__all__ = [
    "SUFFIXES",
    "WRITTEN",
    "Dialect",
    "Field",
    "OpenTable",
    "Table",
    "check_suffix",
    "choose",
    "holds_table",
    "open_table",
    "read_table",
    "write_table",
]
