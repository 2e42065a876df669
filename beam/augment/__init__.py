"""Augment: makes more rows for training out of the rows that exist."""
