"""Readers of tables, archives and known data sets."""
