"""Attacks on recommenders; they never import a defense."""
