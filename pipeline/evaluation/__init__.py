"""A SavedModel and evaluation sets -> their metrics, without a run of the pipeline."""
