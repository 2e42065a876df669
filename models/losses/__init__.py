"""Losses: pure functions on embeddings, each with a dense float64 reference in its test."""
