"""Pieces that several architectures are built of."""
