"""Measures embeddings: recall, accuracy, calibration and their confidence intervals, in plain NumPy and float64.

Ties count against the model: a right answer ranks above a wrong one only if its score is higher. So a model that gives
every pair the same score has recall 0, not 1. A model that returns NaN has recall 0, too.
"""
