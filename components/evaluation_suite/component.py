"""The EvaluationSuite component."""

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.dsl.placeholder.placeholder import Placeholder
from tfx.types import BaseChannel, channel, component_spec, standard_artifacts, standard_component_specs

from components import artifacts, fingerprint_driver
from components.evaluation_suite import driver, executor


class EvaluationSuiteSpec(component_spec.ComponentSpec):
    """Examples and a JSON text in; Examples and a DataReport out."""

    PARAMETERS = {
        driver.SETS_KEY: component_spec.ExecutionParameter(type=str),
        fingerprint_driver.FINGERPRINT_KEY: component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS = {standard_component_specs.EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples)}
    OUTPUTS = {
        executor.SUITE_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.REPORT_KEY: component_spec.ChannelParameter(type=artifacts.DataReport),
    }


class EvaluationSuite(base_beam_component.BaseBeamComponent):
    """Brings every set that a model is evaluated on into one place.

    Outputs: `suite` (Examples, one split a set, whose rows name their set and have one caption each) and `report`
    (DataReport: classes.json, and a folder with manifest and rejects for each set). It runs again when a source or a
    shard behind a set changes.
    """

    SPEC_CLASS = EvaluationSuiteSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver

    def __init__(self, examples: BaseChannel, sets: str, input_fingerprint: str | Placeholder | None = None) -> None:
        """Makes the component.

        Args:
          examples: Examples whose split eval is the set "eval".
          sets: JSON of {name: {"source": as `beam.sources.to_json` writes it, or "", "examples": folder of Examples, or
            "", "classes": labels, "all_captions": bool}}; with neither source nor examples it is the eval split.
          input_fingerprint: of what is behind the sets, where no driver runs that adds it.
        """
        super().__init__(
            spec=EvaluationSuiteSpec(
                **{
                    standard_component_specs.EXAMPLES_KEY: examples,
                    driver.SETS_KEY: sets,
                    fingerprint_driver.FINGERPRINT_KEY: input_fingerprint,
                    executor.SUITE_KEY: channel.Channel(type=standard_artifacts.Examples),
                    executor.REPORT_KEY: channel.Channel(type=artifacts.DataReport),
                }
            )
        )
