"""The platforms: everything in the DAG that differs between this machine, Kubeflow Pipelines and Vertex AI."""

import abc
import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec, ExecutorClassSpec, ExecutorSpec
from tfx.dsl.placeholder.placeholder import Placeholder
from tfx.orchestration.data_types import RuntimeParameter
from tfx.proto.pusher_pb2 import PushDestination
from tfx.types.channel import Channel

from components.input_state.component import InputState
from components.model_resolver.component import LastPushedModel
from components.model_resolver.executor import Evaluator as OptionalBaselineEvaluator
from models.settings import configuration
from pipeline import resolvers, suite
from pipeline.settings.run import PipelineSettings

METADATA_FILE = "metadata.sqlite"


@dataclasses.dataclass(frozen=True)
class Locations:
    """Folders of a pipeline, and its metadata store.

    Attributes:
      root: folder of the artifacts of all executions.
      serving: folder of pushed models, which has one numbered folder for each.
      checkpoints: folder of the checkpoints, which has one folder for each training run.
      metadata: connection to the metadata store, or None if the platform has its own.
    """

    root: str
    serving: str
    checkpoints: str
    metadata: metadata_store_pb2.ConnectionConfig | None = None


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The input from outside the pipeline, in the form that its components take.

    Attributes:
      image_text_gen: gin text of ImageTextGenSettings.
      source_state: fingerprint of the source's files; None if the component's driver computes it.
      evaluation_state: fingerprint of the evaluation sets that the Deduper keeps out of training; None as above.
      suite_state: fingerprint of the sets of the EvaluationSuite; None as above.
      finder: the component that computes these values while the pipeline runs, or None.
    """

    image_text_gen: str | Placeholder
    source_state: Placeholder | None = None
    evaluation_state: Placeholder | None = None
    suite_state: Placeholder | None = None
    finder: BaseNode | None = None


class Platform(abc.ABC):
    """A place where the DAG runs; `pipeline.create` calls these methods."""

    locations: Locations

    @abc.abstractmethod
    def pipeline_name(self, settings: PipelineSettings) -> str:
        """The name of the pipeline, in characters that the platform allows."""

    @abc.abstractmethod
    def inputs(self, settings: PipelineSettings) -> Inputs:
        """The input from outside the pipeline."""

    @abc.abstractmethod
    def steps(self, settings: PipelineSettings) -> int | RuntimeParameter:
        """The number of training steps."""

    @abc.abstractmethod
    def base_model(self, settings: PipelineSettings) -> BaseNode | None:
        """The node that finds the model of an earlier run, if it must run before training; otherwise None."""

    @abc.abstractmethod
    def baseline(self, candidate: Channel, base: BaseNode | None) -> BaseNode:
        """The node that finds the model to compare the candidate with; `base` is what `base_model` returned."""

    @abc.abstractmethod
    def push_destination(self) -> PushDestination | RuntimeParameter:
        """The place where Pusher writes model versions."""

    def trainer_executor(self) -> ExecutorSpec | None:
        """The executor of the Trainer; None for its own."""
        return None

    def evaluator_executor(self) -> ExecutorSpec | None:
        """The executor of TFX's Evaluator; None for its own."""
        return None

    def trainer_config(self) -> dict[str, Any]:
        """The Trainer's `custom_config`."""
        return {}


class ThisMachine(Platform):
    """TFX's local runner. It runs drivers and resolvers."""

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

    def baseline(self, candidate: Channel, base: BaseNode | None) -> BaseNode:
        return resolvers.compared(candidate, by_candidate=True)

    def push_destination(self) -> PushDestination:
        return folder_destination(self.locations.serving)


@dataclasses.dataclass(frozen=True)
class KubeflowPipelines(Platform):
    """Kubeflow Pipelines 2 and Vertex AI. They run no drivers.

    Attributes:
      locations: folders in a bucket.
      data: parameter of a run: path of the data, which replaces the source's own; "" keeps it.
      training_steps: parameter of a run: the number of training steps, which replaces Training.steps.
      destination: parameter of a run: JSON of TFX's PushDestination.
      runs_resolvers: whether the platform runs TFX's resolvers.
      trainer: executor of the Trainer.
      config: entries of the Trainer's `custom_config` that `trainer` reads.
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

    def baseline(self, candidate: Channel, base: BaseNode | None) -> BaseNode:
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
    """Makes the locations below one folder."""
    artifacts, serving, checkpoints = (os.path.join(root, name) for name in ("artifacts", "serving", "checkpoints"))
    return Locations(artifacts, serving, checkpoints, metadata)


def folder_destination(serving: str) -> PushDestination:
    """Makes the destination of versions in a folder, where each version is a numbered folder."""
    return PushDestination(filesystem=PushDestination.Filesystem(base_directory=serving))
