"""Deduper: Examples -> Examples without duplicates, and without what evaluation sets have, too."""
