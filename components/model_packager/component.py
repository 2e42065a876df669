"""The ModelPackager component."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, channel, component_spec, standard_artifacts, standard_component_specs

from components import artifacts
from components.model_packager import executor


class ModelPackagerSpec(component_spec.ComponentSpec):
    """Model, suite and two texts in; Model out."""

    PARAMETERS = {
        executor.LABEL_SETS_KEY: component_spec.ExecutionParameter(type=str),
        executor.WEIGHTS_KEY: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        standard_component_specs.MODEL_KEY: component_spec.ChannelParameter(type=standard_artifacts.Model),
        executor.SUITE_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.CLASSES_KEY: component_spec.ChannelParameter(type=artifacts.DataReport),
    }
    OUTPUTS = {executor.PACKAGED_KEY: component_spec.ChannelParameter(type=standard_artifacts.Model)}


class ModelPackager(base_component.BaseComponent):
    """Makes of the trained model what is evaluated, gated and pushed, so that nothing changes after the gate.

    Output: `packaged` (Model): the labels of every set embedded once, for the signatures classify_NAME and for the
    metrics; warm-up requests; weights in fewer bits, where asked, with packaging.json saying what that costs.
    """

    SPEC_CLASS = ModelPackagerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self, model: BaseChannel, suite: BaseChannel, classes: BaseChannel, label_sets: str, weights: str
    ) -> None:
        """Makes the component.

        Args:
          model: the Trainer's Model.
          suite: Examples of the EvaluationSuite; warm-up requests are made of its split eval.
          classes: the EvaluationSuite's report.
          label_sets: JSON of {name: {"labels": texts, or [] for the classes of the evaluation set of this name,
            "templates": texts with {} for the label}}; a set that has no label is left out.
          weights: one of `models.serving.compression.DTYPES`.
        """
        super().__init__(
            spec=ModelPackagerSpec(
                **{
                    standard_component_specs.MODEL_KEY: model,
                    executor.SUITE_KEY: suite,
                    executor.CLASSES_KEY: classes,
                    executor.LABEL_SETS_KEY: label_sets,
                    executor.WEIGHTS_KEY: weights,
                    executor.PACKAGED_KEY: channel.Channel(type=standard_artifacts.Model),
                }
            )
        )
