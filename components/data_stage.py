"""The base of Deduper and Augmenter: both read Examples, and write Examples of the same layout and a report."""

import abc

import apache_beam as beam
from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.types import Artifact, standard_artifacts

from beam import store, writer
from components import artifacts
from components.declaration import BeamComponent, BeamExecutor, copy_description
from models.settings import configuration


class DataStage(BeamComponent):
    """A component between ImageTextGen and Trainer. Outputs: `processed` (Examples) and `report` (DataReport).

    Args:
      examples: Examples.
      settings: gin text of the stage's settings.
      layout: gin text of the `beam.writer.Layout` that the examples were written with.
      input_fingerprint: fingerprint of the files that the settings name, on a platform that runs no driver to add it.
    """

    examples: InputArtifact[standard_artifacts.Examples]
    settings: Parameter[str]
    layout: Parameter[str]
    input_fingerprint: Parameter[str] = None

    OUTPUTS = {"processed": standard_artifacts.Examples, "report": artifacts.DataReport}


class Executor(BeamExecutor, abc.ABC):
    """Runs the stage over all splits."""

    @abc.abstractmethod
    def stage(self, settings: str, layout: writer.Layout, folders: store.Folders) -> beam.PTransform:
        """Makes the transform that reads and writes these folders."""

    def run(self, examples: Artifact, settings: str, layout: str, processed: Artifact, report: Artifact) -> None:
        """Writes Examples and report.

        Raises:
          NoRows: a split has no row left.
        """
        copy_description(examples, processed)
        folders = store.Folders(examples.uri, processed.uri, report.uri)
        with self._make_beam_pipeline() as pipeline:
            pipeline | "Stage" >> self.stage(settings, configuration.parse(layout, writer.Layout), folders)
        store.require_rows(report.uri, examples.uri)
