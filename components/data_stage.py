"""The base of Deduper and Augmenter: both read Examples, and write Examples of the same layout and a report."""

import abc
import json
from typing import Any

import apache_beam as beam
from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.types import Artifact, standard_artifacts

from beam import store, writer
from components import artifacts
from components.declaration import BeamComponent, BeamExecutor, copy_description


class DataStage(BeamComponent):
    """A component between ImageTextGen and Trainer. Outputs: `processed` (Examples) and `report` (DataReport).

    Args:
      examples: Examples.
      options: JSON of the fields of the stage's settings.
      layout: JSON of the fields of the `beam.writer.Layout` that the examples were written with.
      input_fingerprint: fingerprint of the files that the options name, on a platform that runs no driver to add it.
    """

    examples: InputArtifact[standard_artifacts.Examples]
    options: Parameter[str]
    layout: Parameter[str]
    input_fingerprint: Parameter[str] = None

    OUTPUTS = {"processed": standard_artifacts.Examples, "report": artifacts.DataReport}


class Executor(BeamExecutor, abc.ABC):
    """Runs the stage over all splits."""

    @abc.abstractmethod
    def stage(self, options: dict[str, Any], layout: writer.Layout, folders: store.Folders) -> beam.PTransform:
        """Makes the transform that reads and writes these folders."""

    def run(self, examples: Artifact, options: str, layout: str, processed: Artifact, report: Artifact) -> None:
        """Writes Examples and report.

        Raises:
          NoRows: a split has no row left.
        """
        copy_description(examples, processed)
        folders = store.Folders(examples.uri, processed.uri, report.uri)
        with self._make_beam_pipeline() as pipeline:
            pipeline | "Stage" >> self.stage(json.loads(options), writer.Layout(**json.loads(layout)), folders)
        store.require_rows(report.uri, examples.uri)
