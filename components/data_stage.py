"""What Deduper and Augmenter have in common: Examples in, Examples of the same layout and a report out."""

import abc
import json
from typing import Any

import apache_beam as beam
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_component, base_beam_executor
from tfx.dsl.placeholder.placeholder import Placeholder
from tfx.proto import example_gen_pb2
from tfx.types import (
    BaseChannel,
    artifact_utils,
    channel,
    component_spec,
    standard_artifacts,
    standard_component_specs,
)

from beam import store, writer
from components import artifacts
from components.fingerprint_driver import FINGERPRINT_KEY

OPTIONS_KEY = "options"
LAYOUT_KEY = "layout"
PROCESSED_KEY = "processed"
REPORT_KEY = "report"


class DataStageSpec(component_spec.ComponentSpec):
    """Examples and two JSON texts in; Examples and a DataReport out."""

    PARAMETERS = {
        OPTIONS_KEY: component_spec.ExecutionParameter(type=str),
        LAYOUT_KEY: component_spec.ExecutionParameter(type=str),
        FINGERPRINT_KEY: component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {standard_component_specs.EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples)}
    OUTPUTS = {
        PROCESSED_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        REPORT_KEY: component_spec.ChannelParameter(type=artifacts.DataReport),
    }


class DataStage(base_beam_component.BaseBeamComponent):
    """A component between ImageTextGen and Trainer. Outputs: `processed` (Examples) and `report` (DataReport)."""

    SPEC_CLASS = DataStageSpec

    def __init__(
        self,
        examples: BaseChannel,
        options: str,
        layout: str,
        input_fingerprint: str | Placeholder | None = None,
    ) -> None:
        """Makes the component.

        Args:
          examples: Examples.
          options: JSON of the fields of the stage's options.
          layout: JSON of the fields of the `beam.writer.Layout` that the examples were written with.
          input_fingerprint: of files that the options name, where no driver runs that adds it.
        """
        super().__init__(
            spec=DataStageSpec(
                **{
                    standard_component_specs.EXAMPLES_KEY: examples,
                    OPTIONS_KEY: options,
                    LAYOUT_KEY: layout,
                    FINGERPRINT_KEY: input_fingerprint,
                    PROCESSED_KEY: channel.Channel(type=standard_artifacts.Examples),
                    REPORT_KEY: channel.Channel(type=artifacts.DataReport),
                }
            )
        )


class Executor(base_beam_executor.BaseBeamExecutor, abc.ABC):
    """Runs the stage over all splits."""

    @abc.abstractmethod
    def stage(self, options: dict[str, Any], layout: writer.Layout, folders: store.Folders) -> beam.PTransform:
        """The transform that reads and writes these folders."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes Examples and report.

        Raises:
          NoRows: a split came out empty.
        """
        examples = artifact_utils.get_single_instance(input_dict[standard_component_specs.EXAMPLES_KEY])
        processed = artifact_utils.get_single_instance(output_dict[PROCESSED_KEY])
        report = artifact_utils.get_single_uri(output_dict[REPORT_KEY])
        processed.split_names = examples.split_names
        examples_utils.set_payload_format(processed, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)
        layout = writer.Layout(**json.loads(exec_properties[LAYOUT_KEY]))
        options = json.loads(exec_properties[OPTIONS_KEY])
        with self._make_beam_pipeline() as pipeline:
            pipeline | "Stage" >> self.stage(options, layout, store.Folders(examples.uri, processed.uri, report))
        store.require_rows(report, examples.uri)
