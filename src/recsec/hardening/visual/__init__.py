"""Hardenings of encoders."""
