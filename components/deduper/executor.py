"""Deduper's work."""

from typing import Any

import apache_beam as beam

from beam import dedupe, store, writer
from components import data_stage


class Executor(data_stage.Executor):
    """Runs `beam.dedupe.Deduplicate`."""

    def stage(self, options: dict[str, Any], layout: writer.Layout, folders: store.Folders) -> beam.PTransform:
        return dedupe.Deduplicate(dedupe.DeduperSettings(**options), layout, folders)
