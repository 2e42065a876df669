"""Augmenter's work."""

from typing import Any

import apache_beam as beam

from beam import store, writer
from beam.augment import augment
from components import data_stage


class Executor(data_stage.Executor):
    """Runs `beam.augment.augment.Augment`."""

    def stage(self, options: dict[str, Any], layout: writer.Layout, folders: store.Folders) -> beam.PTransform:
        return augment.Augment(augment.AugmenterSettings(**options), layout, folders)
