"""The DAG: its components, and how they are connected. Start reading the system here.

`create` makes the DAG from the parts that `_data`, `_prepared`, `_trainer` and `_gate` make. `create_data` makes the
first two alone. All of them only make components; they run nothing. platform.py has everything that differs between
this machine and Kubeflow Pipelines.
"""

import tensorflow_data_validation as tfdv
from tfx.components.evaluator.component import Evaluator
from tfx.components.example_validator.component import ExampleValidator
from tfx.components.pusher.component import Pusher
from tfx.components.schema_gen.component import SchemaGen
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.orchestration.pipeline import Pipeline
from tfx.types.channel import Channel

from components.augmenter.component import Augmenter
from components.batch_check.component import BatchCheck
from components.deduper.component import Deduper
from components.evaluation_suite.component import EvaluationSuite
from components.image_embedder.component import ImageEmbedder
from components.image_text_gen.component import ImageTextGen
from components.infra_validator.component import InfraValidator
from components.metrics import eval_config
from components.model_packager.component import ModelPackager
from components.pusher.executor import Executor as PushExecutor
from components.run_report.component import RunReport
from components.trainer.component import Trainer
from components.visual_codebook.component import VisualCodebook
from components.vocabulary_trainer.component import VocabularyTrainer
from models import features
from models.settings import visual_codes
from models.settings.configuration import to_gin
from pipeline import suite
from pipeline.parts import Data, Prepared
from pipeline.platform import Inputs, Platform
from pipeline.settings.run import PipelineSettings


def create(settings: PipelineSettings, platform: Platform) -> Pipeline:
    """Makes the DAG. It runs nothing and reads no file."""
    outside = platform.inputs(settings)
    data = _data(settings, outside)
    prepared = _prepared(settings, platform, data)
    trainer = _trainer(settings, platform, data, prepared)
    gate, results = _gate(settings, platform, data, prepared, trainer)
    report = RunReport(
        examples=data.examples,
        anomalies=data.anomalies,
        vocabulary=prepared.vocabulary,
        model_run=trainer.outputs["model_run"],
        visual_codebook=prepared.codebook,
        **results,
        **data.reports,
        **prepared.reports,
        gin=to_gin(settings),
        steps=platform.steps(settings),
        image_text_gen=outside.image_text_gen,
        training=to_gin(settings.training),
        settings=to_gin(settings.report),
    )
    nodes = [outside.finder, *data.nodes, *prepared.nodes, trainer, data.suite, *gate, report]
    return _dag(settings, platform, nodes)


def create_data(settings: PipelineSettings, platform: Platform) -> tuple[Pipeline, dict[str, Channel]]:
    """Makes the part of the DAG before the Trainer, with the EvaluationSuite.

    Returns:
      The DAG, and its outputs: "train" for the Trainer, "held_out" (Examples with the test split), "rows" (their
      DataReport), "vocabulary", "codebook" (if the objective asks for one), "suite" and "classes" (the DataReport of
      the suite).
    """
    outside = platform.inputs(settings)
    data = _data(settings, outside)
    prepared = _prepared(settings, platform, data)
    outputs = {
        "train": prepared.examples,
        "held_out": data.examples,
        "rows": data.rows,
        "vocabulary": prepared.vocabulary,
        "suite": data.suite.outputs["suite"],
        "classes": data.suite.outputs["report"],
        **({"codebook": prepared.codebook} if prepared.codebook else {}),
    }
    return _dag(settings, platform, [outside.finder, *data.nodes, *prepared.nodes, data.suite]), outputs


def _dag(settings: PipelineSettings, platform: Platform, nodes: list[BaseNode | None]) -> Pipeline:
    return Pipeline(
        pipeline_name=platform.pipeline_name(settings),
        pipeline_root=platform.locations.root,
        components=list(dict.fromkeys(node for node in nodes if node)),
        metadata_connection_config=platform.locations.metadata,
        beam_pipeline_args=list(settings.beam_args),
        enable_cache=True,
    )


def _data(settings: PipelineSettings, outside: Inputs) -> Data:
    """Makes the components from the source to Examples without duplicates, their schema and the evaluation sets."""
    generated = ImageTextGen(settings=outside.image_text_gen, input_fingerprint=outside.source_state)
    examples, reports = generated.outputs["examples"], {"image_text_gen_report": generated.outputs["report"]}
    deduper = None
    if settings.deduper:
        deduper = Deduper(
            examples=examples,
            settings=to_gin(settings.deduper),
            layout=to_gin(settings.image_text_gen.layout),
            input_fingerprint=outside.evaluation_state,
        )
        examples, reports["dedupe_report"] = deduper.outputs["processed"], deduper.outputs["report"]
    rows = (deduper or generated).outputs["report"]
    checked = BatchCheck(report=rows, batch_size=settings.training.batch_size, variants=settings.train_variants)
    # Text features only: the distribution of the bytes of pictures tells nothing.
    text_only = tfdv.StatsOptions(feature_allowlist=list(features.TEXT))
    statistics = StatisticsGen(examples=examples, stats_options=text_only)
    schema = SchemaGen(statistics=statistics.outputs["statistics"], infer_feature_shape=True)
    validator = ExampleValidator(statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"])
    sets = to_gin(suite.read(settings))
    evaluated = EvaluationSuite(examples=examples, settings=sets, input_fingerprint=outside.suite_state)
    return Data(
        examples,
        schema.outputs["schema"],
        validator.outputs["anomalies"],
        checked,
        rows,
        evaluated,
        reports,
        nodes=[generated, deduper, checked, statistics, schema, validator],
    )


def _prepared(settings: PipelineSettings, platform: Platform, data: Data) -> Prepared:
    """Makes the components from Examples to the vocabulary and the rows of training."""
    base = platform.base_model(settings)
    base_model = base.outputs["model"] if base and settings.warm_start else None
    vocabulary = VocabularyTrainer(examples=data.examples, base_model=base_model, settings=to_gin(settings.vocabulary))
    trained_on, reports = data.examples, {}
    augmenter = embedder = codebook = None
    if codes := visual_codes(settings.training.objective):
        codebook = VisualCodebook(examples=data.examples, settings=to_gin(codes))
        codebook.add_upstream_node(data.checked)
    if settings.augmenter:
        layout = to_gin(settings.image_text_gen.layout)
        augmenter = Augmenter(examples=trained_on, settings=to_gin(settings.augmenter), layout=layout)
        augmenter.add_upstream_node(data.checked)
        trained_on, reports["augment_report"] = augmenter.outputs["processed"], augmenter.outputs["report"]
    if embedding := settings.training.embedding:
        embedder = ImageEmbedder(examples=trained_on, settings=to_gin(embedding))
        trained_on = embedder.outputs["embedded"]
    nodes = [base, vocabulary, codebook, augmenter, embedder]
    found = codebook.outputs["codebook"] if codebook else None
    return Prepared(trained_on, vocabulary.outputs["vocabulary"], found, reports, base, base_model, nodes)


def _trainer(settings: PipelineSettings, platform: Platform, data: Data, prepared: Prepared) -> Trainer:
    trainer = Trainer(
        examples=prepared.examples,
        schema=data.schema,
        vocabulary=prepared.vocabulary,
        gin=to_gin(settings.training),
        steps=platform.steps(settings),
        checkpoints=platform.locations.checkpoints,
        base_model=prepared.base_model,
        visual_codebook=prepared.codebook,
        custom_config=platform.trainer_config(),
    )
    if executor := platform.trainer_executor():
        trainer.executor_spec = executor
    return trainer


def _gate(
    settings: PipelineSettings, platform: Platform, data: Data, prepared: Prepared, trainer: Trainer
) -> tuple[list[BaseNode], dict[str, Channel]]:
    """Makes the components from a trained model to a published one. Returns them, and the outputs that RunReport reads.

    ModelPackager comes before the gate, so that the Evaluator scores the same model that is served.
    """
    packager = ModelPackager(
        model=trainer.outputs["model"],
        suite=data.suite.outputs["suite"],
        classes=data.suite.outputs["report"],
        sets=to_gin(suite.classified(settings)),
        settings=to_gin(settings.packaging),
    )
    model = packager.outputs["packaged"]
    baseline = platform.baseline(model, prepared.base)
    evaluator = Evaluator(
        examples=data.suite.outputs["suite"],
        model=model,
        baseline_model=baseline.outputs["model"],
        eval_config=eval_config.create(settings.gate, suite.not_retrieved(settings)),
        example_splits=[one.name for one in settings.all_evaluation_sets],
    )
    if executor := platform.evaluator_executor():
        evaluator.executor_spec = executor
    infra_validator = InfraValidator(model=model, examples=data.examples, settings=to_gin(settings.infra_validator))
    pusher = Pusher(
        model=model,
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=infra_validator.outputs["blessing"],
        push_destination=platform.push_destination(),
    )
    pusher.executor_spec = ExecutorClassSpec(PushExecutor)
    results = {
        "model": model,
        "evaluation": evaluator.outputs["evaluation"],
        "model_blessing": evaluator.outputs["blessing"],
        "suite": data.suite.outputs["suite"],
        "suite_report": data.suite.outputs["report"],
        "infra_blessing": infra_validator.outputs["blessing"],
        "pushed_model": pusher.outputs["pushed_model"],
    }
    return [packager, baseline, evaluator, infra_validator, pusher], results
