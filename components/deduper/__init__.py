"""Deduper: drops near-duplicates from Examples, and rows that evaluation sets have too."""
