"""Settings of the pipeline and of its platforms: frozen dataclasses that gin fills."""
