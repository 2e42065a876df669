"""What embeddings are worth: recall, accuracy, calibration and their intervals, as plain NumPy functions in float64.

Ties count against the model: a right answer must score above every wrong one that it is ranked before, so a model that
gives every pair the same score has recall 0, not 1. So does one that answers NaN.
"""
