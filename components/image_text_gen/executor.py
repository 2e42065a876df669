"""ImageTextGen's work: runs the data plane and refuses an outcome that cannot be trained on."""

from typing import Any

from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs

from beam import build, sources, store

SOURCE_KEY = "source"
OPTIONS_KEY = "options"
REPORT_KEY = "report"


class Executor(base_beam_executor.BaseBeamExecutor):
    """Runs `beam.build.Build`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the Examples and the report.

        Raises:
          store.NoRows: a split is empty; the message says what was read and dropped.
        """
        examples = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        report = artifact_utils.get_single_instance(output_dict[REPORT_KEY])
        options = build.BuildOptions.from_json(exec_properties[OPTIONS_KEY])
        source = sources.from_json(exec_properties[SOURCE_KEY])
        examples.split_names = artifact_utils.encode_split_names(sorted(options.layout.splits))
        examples_utils.set_payload_format(examples, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)

        with self._make_beam_pipeline() as pipeline:
            pipeline | "Build" >> build.Build(source, options, examples.uri, report.uri)

        store.require_rows(report.uri, exec_properties[SOURCE_KEY])
