"""Catalogs of product photos: files, pixels, splits."""
