"""Augment: more rows for training, made of those that there are."""
