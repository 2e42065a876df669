"""InputState's work."""

from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from beam import sources
from components.deduper.driver import evaluation_fingerprint
from components.evaluation_suite.driver import SETS_KEY, sets_fingerprint

SOURCE_KEY = "source"
DATA_KEY = "data"
DEDUPER_KEY = "deduper"
CURRENT_SOURCE_KEY = "current_source"
SOURCE_STATE_KEY = "source_state"
EVALUATION_STATE_KEY = "evaluation_state"
SUITE_STATE_KEY = "suite_state"


class Executor(base_executor.BaseExecutor):
    """Looks at files, and writes four texts."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Finds the newest span, and fingerprints; raises ValueError where there are no files."""
        source = sources.from_json(exec_properties[SOURCE_KEY])
        if exec_properties[DATA_KEY]:
            source = sources.with_path(source, exec_properties[DATA_KEY])
        source = sources.newest(source)
        deduper = exec_properties[DEDUPER_KEY]
        found = {
            CURRENT_SOURCE_KEY: sources.to_json(source),
            SOURCE_STATE_KEY: source.fingerprint(),
            EVALUATION_STATE_KEY: evaluation_fingerprint(deduper) if deduper else "",
            SUITE_STATE_KEY: sets_fingerprint(exec_properties[SETS_KEY]),
        }
        for key, text in found.items():
            artifact_utils.get_single_instance(output_dict[key]).value = text
