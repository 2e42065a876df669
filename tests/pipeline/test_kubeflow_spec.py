"""The same DAG compiles for Kubeflow Pipelines v2, on each stack: a check of the DAG, not yet a runner."""

import json

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx import v1 as tfx

from models import configuration
from pipeline import pipeline
from pipeline.settings import PipelineSettings
from tests.pipeline.conftest import ROOT


def compile_spec(folder) -> str:
    (settings,) = configuration.load([str(ROOT / "gin" / "quickstart.gin")], [], [PipelineSettings])
    dag = pipeline.create(
        settings, pipeline.Locations("gs://bucket/root", "gs://bucket/serving", "gs://bucket/checkpoints")
    )
    runner = tfx.orchestration.experimental.KubeflowV2DagRunner(
        config=tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(default_image="siglip-tfx"),
        output_dir=str(folder),
        output_filename="spec.json",
    )
    runner.run(dag, write_out=True)
    return (folder / "spec.json").read_text()


def test_the_dag_compiles_to_a_spec_that_kfp_parses(tmp_path):
    text = compile_spec(tmp_path)
    spec = json_format.ParseDict(json.loads(text)["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())
    tasks = set(spec.root.dag.tasks)
    assert {
        "ImageTextGen",
        "VocabularyTrainer",
        "Trainer",
        "EvaluationSuite",
        "ModelPackager",
        "Evaluator",
        "InfraValidator",
        "Pusher",
        "RunReport",
    } <= tasks
    assert "Siglip.logit_bias = -10.0" in text
    assert str(ROOT) not in text
    (tmp_path / "again").mkdir()
    assert json.loads(compile_spec(tmp_path / "again"))["pipelineSpec"] == json.loads(text)["pipelineSpec"]
