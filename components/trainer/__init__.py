"""Trainer: TFX's, with one more input, the vocabulary."""
