"""The InputState component."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import channel, component_spec, standard_artifacts

from components.input_state import executor


class InputStateSpec(component_spec.ComponentSpec):
    """Texts in, texts out."""

    PARAMETERS = {
        executor.SOURCE_KEY: component_spec.ExecutionParameter(type=str),
        executor.DATA_KEY: component_spec.ExecutionParameter(type=str),
        executor.DEDUPER_KEY: component_spec.ExecutionParameter(type=str),
        executor.SETS_KEY: component_spec.ExecutionParameter(type=str),
    }
    INPUTS: dict[str, component_spec.ChannelParameter] = {}
    OUTPUTS = {
        key: component_spec.ChannelParameter(type=standard_artifacts.String)
        for key in (
            executor.CURRENT_SOURCE_KEY,
            executor.SOURCE_STATE_KEY,
            executor.EVALUATION_STATE_KEY,
            executor.SUITE_STATE_KEY,
        )
    }


class InputState(base_component.BaseComponent):
    """Does what the drivers of ImageTextGen, Deduper and EvaluationSuite do, on Kubeflow Pipelines, which run none.

    It is never served from cache. Outputs, each a String: `current_source`, the source with the newest span;
    `source_state`, `evaluation_state` and `suite_state`, fingerprints of its files, of the sets that Deduper keeps out,
    and of those of the EvaluationSuite.
    """

    SPEC_CLASS = InputStateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, source: str, data: str | RuntimeParameter, deduper: str, sets: str) -> None:
        """Makes the component.

        Args:
          source: a source as `beam.sources.to_json` writes it.
          data: a path in place of the source's own, or "".
          deduper: JSON of the fields of `beam.dedupe.DeduperSettings`, or "" where there is no Deduper.
          sets: what the EvaluationSuite takes.
        """
        outputs = {key: channel.Channel(type=standard_artifacts.String) for key in InputStateSpec.OUTPUTS}
        options = {
            executor.SOURCE_KEY: source,
            executor.DATA_KEY: data,
            executor.DEDUPER_KEY: deduper,
            executor.SETS_KEY: sets,
        }
        super().__init__(spec=InputStateSpec(**options, **outputs))
