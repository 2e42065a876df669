"""The RunReport component."""

from collections.abc import Mapping

from tfx.dsl.components.base import base_component, executor_spec
from tfx.dsl.placeholder.placeholder import Placeholder
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import BaseChannel, channel, component_spec, standard_artifacts

from components import artifacts
from components.run_report import executor

_INPUT_TYPES = {
    "examples": standard_artifacts.Examples,
    "ingest_report": artifacts.DataReport,
    "dedupe_report": artifacts.DataReport,
    "augment_report": artifacts.DataReport,
    "suite_report": artifacts.DataReport,
    "anomalies": standard_artifacts.ExampleAnomalies,
    "vocabulary": artifacts.Vocabulary,
    "model": standard_artifacts.Model,
    "model_run": standard_artifacts.ModelRun,
    "evaluation": standard_artifacts.ModelEvaluation,
    "model_blessing": standard_artifacts.ModelBlessing,
    "infra_blessing": standard_artifacts.InfraBlessing,
    "pushed_model": standard_artifacts.PushedModel,
}

_OPTIONAL = ("dedupe_report", "augment_report")


class RunReportSpec(component_spec.ComponentSpec):
    """What a run made in, a RunReport out."""

    PARAMETERS = {
        executor.GIN_KEY: component_spec.ExecutionParameter(type=str),
        executor.STEPS_KEY: component_spec.ExecutionParameter(type=int),
        executor.SOURCE_KEY: component_spec.ExecutionParameter(type=str),
        executor.TITLE_KEY: component_spec.ExecutionParameter(type=str),
        executor.ATTRIBUTION_KEY: component_spec.ExecutionParameter(type=str),
        executor.GALLERY_KEY: component_spec.ExecutionParameter(type=int),
        executor.MAX_ROWS_KEY: component_spec.ExecutionParameter(type=int),
    }
    INPUTS = {
        name: component_spec.ChannelParameter(type=kind, optional=name in _OPTIONAL)
        for name, kind in _INPUT_TYPES.items()
    }
    OUTPUTS = {executor.REPORT_KEY: component_spec.ChannelParameter(type=artifacts.RunReport)}


class RunReport(base_component.BaseComponent):
    """Writes report.html and summary.json on everything the run made, blessed or not."""

    SPEC_CLASS = RunReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        inputs: Mapping[str, BaseChannel],
        gin: str,
        steps: int | RuntimeParameter,
        source: str | Placeholder,
        title: str,
        attribution: str,
        gallery: int,
        max_rows: int,
    ) -> None:
        """Makes the component.

        Args:
          inputs: one channel for each input of RunReportSpec that the run has.
          gin: the resolved gin of the whole run.
          steps: training steps of this run, in place of those of the gin text.
          source: the source of this run as `beam.sources.to_json` writes it, in place of that of the gin text.
          title: heading of the page.
          attribution: credit that the data's licence asks for, or "".
          gallery: held-out pictures to show.
          max_rows: rows of the test split to embed.
        """
        super().__init__(
            spec=RunReportSpec(
                **inputs,
                **{
                    executor.GIN_KEY: gin,
                    executor.STEPS_KEY: steps,
                    executor.SOURCE_KEY: source,
                    executor.TITLE_KEY: title,
                    executor.ATTRIBUTION_KEY: attribution,
                    executor.GALLERY_KEY: gallery,
                    executor.MAX_ROWS_KEY: max_rows,
                    executor.REPORT_KEY: channel.Channel(type=artifacts.RunReport),
                },
            )
        )
