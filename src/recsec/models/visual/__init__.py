"""Encoders of photos, how they are trained and kept, and the index of their neighbors."""
