"""ImageTextGen's work: runs the data plane and refuses an outcome that cannot be trained on."""

import json
import os
from typing import Any

import tensorflow as tf
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs

from beam import build, sources

SOURCE_KEY = "source"
OPTIONS_KEY = "options"
REPORT_KEY = "report"


class NoRows(ValueError):
    """A split came out empty."""


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
          NoRows: a split is empty; the message says what was read and dropped.
        """
        examples = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        report = artifact_utils.get_single_instance(output_dict[REPORT_KEY])
        options = build.BuildOptions.from_json(exec_properties[OPTIONS_KEY])
        source = sources.from_json(exec_properties[SOURCE_KEY])
        examples.split_names = artifact_utils.encode_split_names(sorted(options.layout.splits))
        examples_utils.set_payload_format(examples, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)

        with self._make_beam_pipeline() as pipeline:
            pipeline | "Build" >> build.Build(source, options, examples.uri, report.uri)

        with tf.io.gfile.GFile(os.path.join(report.uri, build.MANIFEST_FILE)) as file:
            manifest = json.load(file)
        require_rows(manifest, exec_properties[SOURCE_KEY], _first_rejects(report.uri, manifest))


def require_rows(manifest: dict[str, Any], source: str, rejects: list[str]) -> None:
    """Raises NoRows where any split has no row."""
    empty = [split for split, rows in sorted(manifest["splits"].items()) if rows == 0]
    if empty:
        raise NoRows(
            f"split {', '.join(empty)} has no row: {manifest['read']} read from {source}, {manifest['written']} kept, "
            f"dropped {manifest['dropped']}. First rejects: {rejects or 'none'}. Bring more rows, or lower the limits "
            "in gin (Pictures.*, Captions.*)"
        )


def _first_rejects(folder: str, manifest: dict[str, Any], limit: int = 3) -> list[str]:
    lines: list[str] = []
    for name in manifest["reject_files"]:
        with tf.io.gfile.GFile(os.path.join(folder, name)) as file:
            for line in file:
                reject = json.loads(line)
                lines.append(f"{reject['position']}: {reject['reason']} ({reject['detail']})")
                if len(lines) == limit:
                    return lines
    return lines
