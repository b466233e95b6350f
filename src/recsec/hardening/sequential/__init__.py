"""Hardenings of recommenders of histories."""
