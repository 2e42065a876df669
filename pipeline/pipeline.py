"""The DAG: read it from top to bottom, and you know the system. Runners only differ in where it runs."""

import dataclasses
import json
import os
from typing import Any

import tensorflow_data_validation as tfdv
from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx

from beam import sources
from components.augmenter.component import Augmenter
from components.deduper.component import Deduper
from components.evaluation_suite.component import EvaluationSuite
from components.image_embedder.component import ImageEmbedder
from components.image_text_gen.component import ImageTextGen
from components.infra_validator.component import InfraValidator
from components.metrics import eval_config
from components.model_packager.component import ModelPackager
from components.model_resolver import LatestOtherBlessedModelStrategy
from components.run_report.component import RunReport
from components.trainer.component import Trainer
from components.vocabulary_trainer.component import VocabularyTrainer
from models import configuration, features
from models.evaluation import metrics
from models.settings import EmbeddingSettings, TrainingSettings
from pipeline.settings import PipelineSettings

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


def create(settings: PipelineSettings, locations: Locations) -> tfx.dsl.Pipeline:
    """Builds the DAG; nothing runs, and no file is read."""
    ingest_options = settings.ingest.options()
    ingest = ImageTextGen(source=sources.to_json(settings.ingest.source), options=ingest_options.to_json())
    examples, reports = ingest.outputs["examples"], {"ingest_report": ingest.outputs["report"]}
    layout = _to_json(ingest_options.layout)
    data_stages: list[tfx.dsl.components.BaseComponent] = [ingest]
    if settings.deduper:
        deduper = Deduper(examples=examples, options=_to_json(settings.deduper), layout=layout)
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

    vocabulary = VocabularyTrainer(examples=examples, **dataclasses.asdict(settings.vocabulary))
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
        steps=settings.training.steps,
        checkpoints=locations.checkpoints,
    )
    # What is evaluated is what is served: labels, warm-up and fewer bits come before the gate.
    suite = EvaluationSuite(examples=examples, sets=_evaluation_sets(settings))
    packager = ModelPackager(
        model=trainer.outputs["model"],
        suite=suite.outputs["suite"],
        classes=suite.outputs["report"],
        label_sets=_label_sets(settings),
        weights=settings.packaging.weights,
    )
    model = packager.outputs["packaged"]

    last_blessed = _last_blessed_model(model, locations)
    evaluator = tfx.components.Evaluator(
        examples=suite.outputs["suite"],
        model=model,
        baseline_model=last_blessed.outputs["model"],
        eval_config=eval_config.create(_gate(settings)),
        example_splits=[one.name for one in settings.all_evaluation_sets],
    )
    infra_validator = InfraValidator(model=model, examples=examples, settings=_to_json(settings.serving_check))
    pusher = tfx.components.Pusher(
        model=model,
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=infra_validator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=locations.serving)
        ),
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
            "suite_report": suite.outputs["report"],
            "infra_blessing": infra_validator.outputs["blessing"],
            "pushed_model": pusher.outputs["pushed_model"],
            **reports,
        },
        gin=configuration.to_gin(settings),
        **dataclasses.asdict(settings.report),
    )
    return tfx.dsl.Pipeline(
        pipeline_name=settings.name,
        pipeline_root=locations.root,
        components=[
            *data_stages,
            statistics,
            schema,
            validator,
            vocabulary,
            *between,
            trainer,
            suite,
            packager,
            last_blessed,
            evaluator,
            infra_validator,
            pusher,
            report,
        ],
        metadata_connection_config=locations.metadata,
        beam_pipeline_args=list(settings.beam_args),
        enable_cache=True,
    )


def _last_blessed_model(candidate: tfx.dsl.Channel, locations: Locations) -> tfx.dsl.Resolver:
    """The model to compare the candidate with; where the platform brings the metadata, by TFX's own strategy.

    The compiler for Kubeflow Pipelines knows TFX's strategies only.
    """
    channels = {
        "model": tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        "model_blessing": tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    }
    if locations.metadata is None:
        resolver = tfx.dsl.Resolver(strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy, **channels)
    else:
        resolver = tfx.dsl.Resolver(strategy_class=LatestOtherBlessedModelStrategy, candidate=candidate, **channels)
    return resolver.with_id("LastBlessedModel")


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
    tower = training.objective.embeds_beforehand
    if tower is None or training.pretrained is None:
        return None
    return EmbeddingSettings(tower, training.pretrained, training.runtime.compute_dtype)


def _evaluation_sets(settings: PipelineSettings) -> str:
    sets = {
        one.name: {
            "source": sources.to_json(one.source) if one.source else "",
            "examples": one.examples,
            "classes": one.classes,
            "all_captions": one.all_captions,
        }
        for one in settings.all_evaluation_sets
    }
    return json.dumps(sets, sort_keys=True)


def _label_sets(settings: PipelineSettings) -> str:
    """Those of the evaluation sets, whose labels are known once they are read, and those to be served only."""
    sets = {one.name: {"labels": one.classes, "templates": one.templates} for one in settings.all_evaluation_sets}
    sets |= {one.name: {"labels": one.labels, "templates": one.templates} for one in settings.packaging.label_sets}
    return json.dumps(sets, sort_keys=True)


def _gate(settings: PipelineSettings) -> eval_config.Gate:
    gate = settings.gate
    return eval_config.Gate(
        gate.min_value,
        gate.max_drop,
        gate.slice_by,
        [one.name for one in settings.all_evaluation_sets if not one.retrieval],
        metrics.Confidence(gate.confidence, gate.slice_confidence),
    )


def _to_json(options: Any) -> str:
    return json.dumps(dataclasses.asdict(options), sort_keys=True)
