"""Where the DAG runs, and all that differs between this machine and Kubeflow Pipelines or Vertex AI."""

import abc
import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec, ExecutorClassSpec, ExecutorSpec
from tfx.dsl.placeholder.placeholder import Placeholder
from tfx.orchestration.data_types import RuntimeParameter

from components.input_state.component import InputState
from components.model_resolver.component import LastPushedModel
from components.model_resolver.executor import Evaluator as OptionalBaselineEvaluator
from models.settings import configuration
from pipeline import resolvers, suite
from pipeline.settings.run import PipelineSettings

METADATA_FILE = "metadata.sqlite"


@dataclasses.dataclass(frozen=True)
class Locations:
    """Where a pipeline keeps things.

    Attributes:
      root: artifacts of every execution.
      serving: pushed models, one numbered folder each.
      checkpoints: state of training runs, one folder each.
      metadata: connection to the metadata store, or None if the platform has its own.
    """

    root: str
    serving: str
    checkpoints: str
    metadata: metadata_store_pb2.ConnectionConfig | None = None


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The input from outside the pipeline, as its components take it.

    Attributes:
      image_text_gen: gin text of ImageTextGenSettings.
      source_state: fingerprint of the source's files; None if a driver of the component adds it. Likewise:
      evaluation_state: fingerprint of the evaluation sets that the Deduper keeps out of training.
      suite_state: fingerprint of the sets of the EvaluationSuite.
      finder: the component that finds all this as the pipeline runs, or None.
    """

    image_text_gen: str | Placeholder
    source_state: Placeholder | None = None
    evaluation_state: Placeholder | None = None
    suite_state: Placeholder | None = None
    finder: BaseNode | None = None


class Platform(abc.ABC):
    """What `pipeline.create` asks of the place where the DAG runs."""

    locations: Locations

    @abc.abstractmethod
    def pipeline_name(self, settings: PipelineSettings) -> str:
        """The name of the pipeline, as the platform spells it."""

    @abc.abstractmethod
    def inputs(self, settings: PipelineSettings) -> Inputs:
        """The input from outside the pipeline."""

    @abc.abstractmethod
    def steps(self, settings: PipelineSettings) -> int | RuntimeParameter:
        """Training steps."""

    @abc.abstractmethod
    def base_model(self, settings: PipelineSettings) -> BaseNode | None:
        """The node that finds the model of an earlier run before training, if the DAG needs it so early."""

    @abc.abstractmethod
    def baseline(self, candidate: tfx.dsl.Channel, base: BaseNode | None) -> BaseNode:
        """The node that finds the model to compare the candidate with; `base` is what `base_model` returned."""

    @abc.abstractmethod
    def push_destination(self) -> tfx.proto.PushDestination | RuntimeParameter:
        """Where Pusher writes versions."""

    def trainer_executor(self) -> ExecutorSpec | None:
        """What runs the Trainer in place of its own executor."""
        return None

    def evaluator_executor(self) -> ExecutorSpec | None:
        """What runs TFX's Evaluator in place of its own executor."""
        return None

    def trainer_config(self) -> dict[str, Any]:
        """The Trainer's `custom_config`."""
        return {}


class ThisMachine(Platform):
    """TFX's local runner, which runs drivers and resolvers."""

    def __init__(self, output_dir: str) -> None:
        """Keeps everything below one folder, with an sqlite metadata store."""
        metadata = metadata_store_pb2.ConnectionConfig(
            sqlite=metadata_store_pb2.SqliteMetadataSourceConfig(
                filename_uri=os.path.join(output_dir, METADATA_FILE),
                connection_mode=metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE,
            )
        )
        self.locations = folders(output_dir, metadata)

    def pipeline_name(self, settings: PipelineSettings) -> str:
        return settings.name

    def inputs(self, settings: PipelineSettings) -> Inputs:
        return Inputs(configuration.to_gin(settings.image_text_gen))

    def steps(self, settings: PipelineSettings) -> int:
        return settings.training.steps

    def base_model(self, settings: PipelineSettings) -> BaseNode | None:
        return resolvers.base() if settings.warm_start else None

    def baseline(self, candidate: tfx.dsl.Channel, base: BaseNode | None) -> BaseNode:
        return resolvers.compared(candidate, by_candidate=True)

    def push_destination(self) -> tfx.proto.PushDestination:
        return folder_destination(self.locations.serving)


@dataclasses.dataclass(frozen=True)
class KubeflowPipelines(Platform):
    """Kubeflow Pipelines 2 and Vertex AI, which run no drivers.

    Attributes:
      locations: folders of a bucket.
      data: path of the data, in place of the source's own; "" leaves it. A run may be given another, as `steps` and
        `destination`.
      training_steps: in place of Training.steps.
      destination: JSON of TFX's PushDestination.
      runs_resolvers: whether TFX's resolvers run there.
      trainer: executor of the Trainer.
      config: what `trainer` needs to know.
    """

    locations: Locations
    data: RuntimeParameter
    training_steps: RuntimeParameter
    destination: RuntimeParameter
    runs_resolvers: bool
    trainer: type[BaseExecutor]
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def pipeline_name(self, settings: PipelineSettings) -> str:
        return settings.name.lower().replace("_", "-")

    def inputs(self, settings: PipelineSettings) -> Inputs:
        found = InputState(
            image_text_gen=configuration.to_gin(settings.image_text_gen),
            data=self.data,
            deduper=configuration.to_gin(settings.deduper) if settings.deduper else "",
            suite=configuration.to_gin(suite.read(settings)),
        )
        text = {key: channel.future()[0].value for key, channel in found.outputs.items()}
        return Inputs(
            text["current_image_text_gen"], text["source_state"], text["evaluation_state"], text["suite_state"], found
        )

    def steps(self, settings: PipelineSettings) -> RuntimeParameter:
        return self.training_steps

    def base_model(self, settings: PipelineSettings) -> BaseNode | None:
        if not self.runs_resolvers:
            return LastPushedModel(push_destination=self.destination).with_id("LastBlessedModel")
        return resolvers.base() if settings.warm_start else None

    def baseline(self, candidate: tfx.dsl.Channel, base: BaseNode | None) -> BaseNode:
        if base and not self.runs_resolvers:
            return base
        return resolvers.compared(candidate, by_candidate=False)

    def push_destination(self) -> RuntimeParameter:
        return self.destination

    def trainer_executor(self) -> ExecutorSpec:
        return ExecutorClassSpec(self.trainer)

    def evaluator_executor(self) -> ExecutorSpec | None:
        return None if self.runs_resolvers else BeamExecutorSpec(OptionalBaselineEvaluator)

    def trainer_config(self) -> dict[str, Any]:
        return dict(self.config)


def folders(root: str, metadata: metadata_store_pb2.ConnectionConfig | None = None) -> Locations:
    """The locations below one folder."""
    artifacts, serving, checkpoints = (os.path.join(root, name) for name in ("artifacts", "serving", "checkpoints"))
    return Locations(artifacts, serving, checkpoints, metadata)


def folder_destination(serving: str) -> tfx.proto.PushDestination:
    """Numbered versions in a folder."""
    return tfx.proto.PushDestination(filesystem=tfx.proto.PushDestination.Filesystem(base_directory=serving))
