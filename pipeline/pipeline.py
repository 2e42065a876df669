"""The DAG: read it from top to bottom, and you know the system. Runners only differ in where it runs."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow_data_validation as tfdv
from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx
from tfx.dsl.components.base import executor_spec
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.orchestration.data_types import RuntimeParameter

from beam import sources
from components.augmenter.component import Augmenter
from components.deduper.component import Deduper
from components.evaluation_suite.component import EvaluationSuite
from components.image_embedder.component import ImageEmbedder
from components.image_text_gen.component import ImageTextGen
from components.infra_validator.component import InfraValidator
from components.input_state.component import InputState
from components.metrics import eval_config
from components.model_packager.component import ModelPackager
from components.model_resolver.component import LastPushedModel
from components.model_resolver.executor import Evaluator as OptionalBaselineEvaluator
from components.run_report.component import RunReport
from components.trainer.component import Trainer
from components.vocabulary_trainer.component import VocabularyTrainer
from models import features
from models.settings import EmbeddingSettings, TrainingSettings, configuration, precomputed_tower
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
      metadata: connection to the metadata store, or None where the platform brings one.
    """

    root: str
    serving: str
    checkpoints: str
    metadata: metadata_store_pb2.ConnectionConfig | None = None


@dataclasses.dataclass(frozen=True)
class Platform:
    """What another platform than this machine lacks, and what is given to it as a run is submitted.

    Attributes:
      data: path of the data, in place of the source's own; "" leaves it.
      steps: of training, in place of Training.steps.
      push_destination: JSON of TFX's PushDestination, in place of Locations.serving.
      runs_resolvers: whether TFX's resolvers run there.
      trainer: what runs the Trainer.
      trainer_config: what that needs to know, in the Trainer's `custom_config`.
    """

    data: RuntimeParameter
    steps: RuntimeParameter
    push_destination: RuntimeParameter
    runs_resolvers: bool
    trainer: type[BaseExecutor]
    trainer_config: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def create(settings: PipelineSettings, locations: Locations, platform: Platform | None = None) -> tfx.dsl.Pipeline:
    """Builds the DAG, for this machine where there is no other platform; nothing runs, and no file is read."""
    ingest_options = settings.ingest.options()
    source, steps = sources.to_json(settings.ingest.source), platform.steps if platform else settings.training.steps
    deduper_options = _to_json(settings.deduper) if settings.deduper else ""
    data_stages: list[tfx.dsl.components.BaseComponent] = []
    evaluation_sets = suite.evaluation_sets(settings)
    source_state = evaluation_state = suite_state = None
    if platform:  # which runs no drivers
        state = InputState(source=source, data=platform.data, deduper=deduper_options, sets=evaluation_sets)
        texts = (state.outputs[key].future()[0].value for key in state.outputs)
        source, source_state, evaluation_state, suite_state = texts
        data_stages.append(state)
    ingest = ImageTextGen(source=source, options=ingest_options.to_json(), input_fingerprint=source_state)
    examples, reports = ingest.outputs["examples"], {"ingest_report": ingest.outputs["report"]}
    layout = _to_json(ingest_options.layout)
    data_stages.append(ingest)
    if settings.deduper:
        deduper = Deduper(examples, deduper_options, layout, evaluation_state)
        examples, reports["dedupe_report"] = deduper.outputs["processed"], deduper.outputs["report"]
        data_stages.append(deduper)

    # Statistics are of text features: the bytes of a picture have no distribution worth a page.
    statistics = tfx.components.StatisticsGen(
        examples=examples, stats_options=tfdv.StatsOptions(feature_allowlist=list(features.TEXT))
    )
    schema = tfx.components.SchemaGen(statistics=statistics.outputs["statistics"], infer_feature_shape=True)
    validator = tfx.components.ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )

    last_pushed = base = None
    if platform and not platform.runs_resolvers:
        last_pushed = base = LastPushedModel(platform.push_destination).with_id("LastBlessedModel")
        data_stages.append(last_pushed)
    elif settings.warm_start:
        base = resolvers.base()
        data_stages.append(base)
    base_model = base.outputs["model"] if base and settings.warm_start else None
    vocabulary = VocabularyTrainer(examples=examples, base_model=base_model, **dataclasses.asdict(settings.vocabulary))
    # Only training sees variants of rows; all else sees the rows as they came.
    trained_on, between = examples, []
    if settings.augmenter:
        augmenter = Augmenter(examples=examples, options=_to_json(settings.augmenter), layout=layout)
        trained_on, reports["augment_report"] = augmenter.outputs["processed"], augmenter.outputs["report"]
        between.append(augmenter)
    # A locked tower need not run in training: it embeds every picture once.
    embedding = _embedding(settings.training)
    if embedding:
        embedder = ImageEmbedder(examples=trained_on, gin=configuration.to_gin(embedding))
        trained_on = embedder.outputs["embedded"]
        between.append(embedder)
    trainer = Trainer(
        examples=trained_on,
        schema=schema.outputs["schema"],
        vocabulary=vocabulary.outputs["vocabulary"],
        gin=configuration.to_gin(settings.training),
        steps=steps,
        checkpoints=locations.checkpoints,
        base_model=base_model,
        custom_config=platform.trainer_config if platform else {},
    )
    if platform:
        trainer.executor_spec = executor_spec.ExecutorClassSpec(platform.trainer)
    # What is evaluated is what is served: labels, warm-up and fewer bits come before the gate.
    evaluated = EvaluationSuite(examples, evaluation_sets, suite_state)
    packager = ModelPackager(
        model=trainer.outputs["model"],
        suite=evaluated.outputs["suite"],
        classes=evaluated.outputs["report"],
        label_sets=suite.label_sets(settings),
        weights=settings.packaging.weights,
    )
    model = packager.outputs["packaged"]

    last_blessed = last_pushed or resolvers.compared(model, by_candidate=not platform)
    evaluator = tfx.components.Evaluator(
        examples=evaluated.outputs["suite"],
        model=model,
        baseline_model=last_blessed.outputs["model"],
        eval_config=eval_config.create(suite.gate(settings)),
        example_splits=[one.name for one in settings.all_evaluation_sets],
    )
    if last_pushed:
        evaluator.executor_spec = executor_spec.BeamExecutorSpec(OptionalBaselineEvaluator)
    infra_validator = InfraValidator(model=model, examples=examples, settings=_to_json(settings.serving_check))
    pusher = tfx.components.Pusher(
        model=model,
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=infra_validator.outputs["blessing"],
        push_destination=platform.push_destination if platform else push_destination(locations.serving),
    )
    report = RunReport(
        inputs={
            "examples": examples,
            "anomalies": validator.outputs["anomalies"],
            "vocabulary": vocabulary.outputs["vocabulary"],
            "model": model,
            "model_run": trainer.outputs["model_run"],
            "evaluation": evaluator.outputs["evaluation"],
            "model_blessing": evaluator.outputs["blessing"],
            "suite_report": evaluated.outputs["report"],
            "infra_blessing": infra_validator.outputs["blessing"],
            "pushed_model": pusher.outputs["pushed_model"],
            **reports,
        },
        gin=configuration.to_gin(settings),
        steps=steps,
        source=source,
        **dataclasses.asdict(settings.report),
    )
    return tfx.dsl.Pipeline(
        pipeline_name=settings.name.lower().replace("_", "-") if platform else settings.name,
        pipeline_root=locations.root,
        components=[
            *data_stages,
            statistics,
            schema,
            validator,
            vocabulary,
            *between,
            trainer,
            evaluated,
            packager,
            *([] if last_pushed else [last_blessed]),
            evaluator,
            infra_validator,
            pusher,
            report,
        ],
        metadata_connection_config=locations.metadata,
        beam_pipeline_args=list(settings.beam_args),
        enable_cache=True,
    )


def push_destination(serving: str) -> tfx.proto.PushDestination:
    """Numbered versions in a folder."""
    return tfx.proto.PushDestination(filesystem=tfx.proto.PushDestination.Filesystem(base_directory=serving))


def local_locations(output_dir: str) -> Locations:
    """Everything below one folder of this machine, with an sqlite metadata store."""
    metadata = metadata_store_pb2.ConnectionConfig(
        sqlite=metadata_store_pb2.SqliteMetadataSourceConfig(
            filename_uri=os.path.join(output_dir, METADATA_FILE),
            connection_mode=metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE,
        )
    )
    return Locations(
        root=os.path.join(output_dir, "artifacts"),
        serving=os.path.join(output_dir, "serving"),
        checkpoints=os.path.join(output_dir, "checkpoints"),
        metadata=metadata,
    )


def _embedding(training: TrainingSettings) -> EmbeddingSettings | None:
    tower = precomputed_tower(training.objective)
    if tower is None or training.pretrained is None:
        return None
    return EmbeddingSettings(tower, training.pretrained, training.runtime.compute_dtype)


def _to_json(options: Any) -> str:
    return json.dumps(dataclasses.asdict(options), sort_keys=True)
