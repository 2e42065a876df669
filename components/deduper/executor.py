"""Deduper's work."""

import apache_beam as beam

from beam import dedupe, store, writer
from components import data_stage
from models.settings import configuration


class Executor(data_stage.Executor):
    """Runs `beam.dedupe.Deduplicate`."""

    def stage(self, settings: str, layout: writer.Layout, folders: store.Folders) -> beam.PTransform:
        return dedupe.Deduplicate(configuration.parse(settings, dedupe.DeduperSettings), layout, folders)
