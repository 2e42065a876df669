"""Training: `fit` puts a run together, `loop` runs it, `step` is one step of a replica."""
