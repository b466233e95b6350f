"""Recommenders of histories: one architecture per file."""
