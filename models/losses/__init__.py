"""Losses: pure functions of embeddings and a Collectives. Tests compare each with a dense float64 reference."""
