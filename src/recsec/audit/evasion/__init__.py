"""Evasion as a threat in an audit: its tables, cells, work, part of the report and verdict."""
