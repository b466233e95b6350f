"""The attacks: one family per file."""
