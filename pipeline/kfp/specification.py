"""Builds the specification that Kubeflow Pipelines 2 and Vertex AI run; all settings are resolved in it."""

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner
from tfx.utils import proto_utils

from beam import sources
from beam.sources.files import spans
from models.settings import ObjectiveSettings, configuration, visual_codes
from models.settings.checks import label, require
from pipeline import pins, pipeline, platform
from pipeline.settings.platforms import YOURS, PlatformSettings, in_bucket
from pipeline.settings.run import PipelineSettings

_ALWAYS_RUN = ("InputState", "LastBlessedModel")
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 60, 3600
_KILL_AFTER = "--kill-after=120"  # seconds between SIGTERM and SIGKILL, enough to write a checkpoint
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,127}")  # TFX accepts it, in lower case and with - for _
_TFDS_DEFAULT = "~/tensorflow_datasets"  # where TFDS looks without a data_dir
_OF_THIS_MACHINE = ("--setup_file", "--requirements_file", "--extra_package", "--prebuild_sdk_container_engine")


def load(
    gin_files: Sequence[str], gin_bindings: Sequence[str], kind: type[PlatformSettings]
) -> tuple[PipelineSettings, Any]:
    """Loads the settings of the pipeline and of the platform, and checks that they fit together; reads no data.

    Raises:
      ValueError: the gin is invalid, or the platform does not support a setting or cannot read a path.
    """
    settings, where = configuration.load(gin_files, gin_bindings, [PipelineSettings, kind])
    where.require_runtime(settings.training.runtime)
    _require_remote(settings, where)
    return pins.pin_models(settings), where


def build(
    settings: PipelineSettings,
    where: PlatformSettings,
    trainer: type[BaseExecutor],
    runs_resolvers: bool,
    trainer_config: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Builds the JSON of the PipelineJob, which is a function of the settings alone.

    Args:
      settings: settings of the pipeline.
      where: settings of the platform.
      trainer: the executor class of the Trainer on the platform.
      runs_resolvers: whether the platform runs TFX's resolvers.
      trainer_config: the custom_config of `trainer`.
    """
    root = os.path.join(where.root.rstrip("/"), settings.name)
    locations = platform.folders(root)
    destination = proto_utils.proto_to_json(platform.folder_destination(locations.serving))
    defaults: dict[str, Any] = {"data": "", "steps": settings.training.steps, "push_destination": destination}
    data, steps, destination = (RuntimeParameter(name, type(value), value) for name, value in defaults.items())
    remote = platform.KubeflowPipelines(
        locations, data, steps, destination, runs_resolvers, trainer, trainer_config or {}
    )
    dag = pipeline.create(settings, remote)
    components = [one for one in dag.components if isinstance(one, BaseComponent)]  # resolvers have no container
    _require_known(where, {component.id for component in components})
    for component in components:
        component.with_platform_config(_resources(where, component.id))
    trainer_image = "" if where.trainer_waits else where.trainer_image
    images = {"default_image_path": where.image, "Trainer": trainer_image or where.image}
    config = kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(default_image=images, use_pipeline_spec_2_1=True)
    job = kubeflow_v2_dag_runner.KubeflowV2DagRunner(config=config).run(dag, write_out=False)
    spec = job["pipelineSpec"]
    for name, value in defaults.items():
        spec["root"]["inputDefinitions"]["parameters"][name] |= {"defaultValue": value, "isOptional": True}
    for name, task in spec["root"]["dag"]["tasks"].items():
        _finish_task(name, task, spec["deploymentSpec"]["executors"], where)
    return job


def placeholders(settings: PipelineSettings) -> list[str]:
    """Returns the names of pipeline settings that still hold a YOUR-... of gin/engine."""
    return ["Pipeline.beam_args"] if any(YOURS in flag for flag in settings.beam_args) else []


def require_run(settings: PipelineSettings, data: str, steps: int | None) -> None:
    """Checks the parameters of a run against the settings.

    Args:
      settings: settings of the pipeline.
      data: path in place of the path of the source, or "".
      steps: training steps in place of Training.steps, or None.

    Raises:
      ValueError: a component would refuse a parameter; the message names the flag or the setting.
    """
    source = settings.image_text_gen.source
    try:
        if data:
            source = sources.with_path(source, data)
    except ValueError as error:
        raise ValueError(f"--data={data}: {error}; remove it, or choose another gin/data file") from error
    rows = getattr(source, "rows", source)
    named = getattr(rows, "path", True) or getattr(rows, "builder", "")
    require(bool(named), f"{type(rows).__name__}.path", "", "a path of the data", "set it, or give --data=gs://...")
    try:
        if steps is not None:
            dataclasses.replace(settings.training, steps=steps)
    except ValueError as error:
        raise ValueError(f"--steps={steps}: {error}") from error


def _finish_task(name: str, task: dict[str, Any], executors: dict[str, Any], where: PlatformSettings) -> None:
    """Adds to a compiled task what TFX's compiler cannot express: caching, retries, timeout."""
    for parameter in task.get("inputs", {}).get("parameters", {}).values():
        # TFX appends "_task" to the name of the producer task, and no task has such a name.
        if source := parameter.get("taskOutputParameter"):
            source["producerTask"] = source["producerTask"].removesuffix("_task")
    if name in (*_ALWAYS_RUN, *where.uncached):
        task["cachingOptions"] = {}
    container = executors[f"{name}_executor"].get("container")
    if container and (retries := where.of("retries", name)):
        task["retryPolicy"] = {
            "maxRetryCount": int(retries),
            "backoffDuration": f"{_FIRST_WAIT_SECONDS}s",
            "backoffFactor": 2.0,
            "backoffMaxDuration": f"{_LONGEST_WAIT_SECONDS}s",
        }
    seconds = where.timeout_seconds(name)
    # Vertex AI's job has the timeout itself. A timeout here would end the waiting task first; its retry would start a
    # second job.
    if container and seconds and not (name == "Trainer" and where.trainer_waits):
        container["command"] = ["timeout", _KILL_AFTER, str(seconds), *container["command"]]


def _resources(where: PlatformSettings, component: str) -> Any:
    if component == "Trainer" and where.trainer_waits:
        component = ""
    return pipeline_spec_pb2.PipelineDeploymentConfig.PipelineContainerSpec.ResourceSpec(
        cpu_limit=where.of("cpus", component) or 0, memory_limit=where.of("memory_gb", component) or 0
    )


def _require_known(where: PlatformSettings, components: set[str]) -> None:
    rule = f"one of {', '.join(sorted(components))}"
    for name in ("cpus", "memory_gb", "retries", "timeout_hours", "uncached"):
        for component in {*getattr(where, name)} - {""}:
            require(component in components, label(where, name), component, rule, "correct it")


def _require_remote(settings: PipelineSettings, where: PlatformSettings) -> None:
    """Raises ValueError for a name, path or Beam flag that works on this machine only."""
    require(
        bool(_NAME.fullmatch(settings.name)),
        "Pipeline.name",
        settings.name,
        "at most 128 ASCII letters, digits and _, a letter first",
        "rename it",
    )
    for name, path in _paths(settings):
        require(
            in_bucket(path),
            name,
            path,
            "in a bucket: pods do not see this machine",
            f"copy it to {where.root}/inputs",
        )
    for one in settings.evaluation_sets:
        for name, path in _source_paths(one.source):
            require(spans.SPAN not in path, name, path, f"without {spans.SPAN} in an evaluation set", "name the span")
    for flag in settings.beam_args:
        require(
            not flag.startswith(_OF_THIS_MACHINE),
            "Pipeline.beam_args",
            flag,
            "without files of this machine",
            "use gin/engine/dataflow_image.gin, where workers run the image",
        )


def _paths(settings: PipelineSettings) -> list[tuple[str, str]]:
    """Returns (name of the setting, path) for each path in the settings."""
    found = []
    for source in (settings.image_text_gen.source, *(one.source for one in settings.evaluation_sets)):
        found += _source_paths(source)
    for one in settings.evaluation_sets:
        found += [("EvaluationSet.examples", one.examples), ("EvaluationSet.classes", one.classes)]
    found += [("Vocabulary.path", settings.vocabulary.path), *_objective_paths(settings.training.objective)]
    if settings.training.pretrained:
        found.append(("Pretrained.path", settings.training.pretrained.path))
    if settings.image_text_gen.similarity:
        found.append(("Similarity.model", settings.image_text_gen.similarity.model))
    if settings.deduper:
        found.append(("Deduper.embedding_model", settings.deduper.embedding_model))
        found += [("Deduper.evaluation_sets", path) for path in settings.deduper.evaluation_sets.values()]
    # A tuple holds the classes themselves, and no path.
    return [(name, path) for name, path in found if path and isinstance(path, str)]


def _source_paths(source: Any) -> list[tuple[str, Any]]:
    kind = type(source).__name__
    own = [(f"{kind}.{name}", getattr(source, name, "")) for name in ("path", "data_dir", "class_names")]
    if getattr(source, "builder", "") and not source.data_dir:
        own.append((f"{kind}.data_dir", _TFDS_DEFAULT))
    return own + _source_paths(source.rows) if hasattr(source, "rows") else own


def _objective_paths(objective: ObjectiveSettings) -> list[tuple[str, str]]:
    found = [("TextAugmentation.synonyms", texts.synonyms) for texts in pins.text_augmentations(objective).values()]
    codes = visual_codes(objective)
    return [*found, ("VisualCodebook.path", codes.codebook.path)] if codes else found
