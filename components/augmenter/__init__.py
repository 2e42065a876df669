"""Augmenter: adds variants of the training rows to Examples."""
