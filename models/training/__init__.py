"""Training: `fit` makes all parts of a run, `loop` runs it, and every replica runs `step`, once for each step."""
