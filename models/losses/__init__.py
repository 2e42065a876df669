"""Losses as pure functions of arrays and a Collectives; each is checked against a dense float64 reference."""
