"""InputState: what lies outside the pipeline, looked at where no driver of ours runs."""
