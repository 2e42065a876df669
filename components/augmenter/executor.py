"""Augmenter's work."""

import apache_beam as beam

from beam import store, writer
from beam.augment import augment
from components import data_stage
from models.settings import configuration


class Executor(data_stage.Executor):
    """Runs `beam.augment.augment.Augment`."""

    def stage(self, settings: str, layout: writer.Layout, folders: store.Folders) -> beam.PTransform:
        return augment.Augment(configuration.parse(settings, augment.AugmenterSettings), layout, folders)
