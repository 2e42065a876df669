"""Settings that compile refuses: each message names the setting, its value, the rule and the fix."""

import re

import pytest

from models.settings.configuration import ConfigurationError
from pipeline.kfp import specification
from pipeline.settings.platforms import KubeflowSettings, VertexSettings
from tests.pipeline.conftest import ROOT
from tests.pipeline.kfp import compiled

ON_TPUS = [
    ("Vertex.machine = 'ct5lp-hightpu-9t'", r"Vertex.machine is 'ct5lp-hightpu-9t', but must be a machine with TPUs"),
    ("Vertex.topology = '3x3'", r"Vertex.topology is '3x3', but must be a slice that ct5lp-hightpu-8t forms: 2x4;"),
    ("Vertex.machine = 'ct5lp-hightpu-4t'", r"a slice of one ct5lp-hightpu-4t, and not of 2, .*use one of ct5lp-"),
    ("Vertex.machine = 'ct4p-hightpu-4t'", r"Vertex.machine is 'ct4p-hightpu-4t', but must be a machine with TPUs"),
    ("Runtime.strategy = 'mirrored'", r"Runtime.strategy is 'mirrored', but must be 'tpu' for ct5lp-hightpu-8t 2x4"),
    ("Vertex.root = '/data'", r"Vertex.root is '/data', but must be 'gs://', a bucket and a folder"),
    ("Vertex.image = 'siglip:latest'", r"Vertex.image is 'siglip:latest', but must be an image with a tag other"),
    ("Vertex.gpus = 2", r"Vertex.gpus is 2, but must be above 0 if Vertex.gpu names a kind"),
    ("Vocabulary.path = 'spiece.model'", r"Vocabulary.path is 'spiece.model', but must be in a bucket: pods do"),
    ("Pipeline.beam_args = ('--setup_file=./setup.py',)", r"--setup_file=./setup.py', but must be without files of"),
    ("Vertex.machine = 'n1-standard-8'", r"a machine with TPUs: ct5lp-hightpu-1t 1x1, ct5lp-hightpu-4t 2x2, ct5lp-"),
    ("Vertex.image = 'localhost:5000/siglip'", r"Vertex.image is 'localhost:5000/siglip', but must be an image with a"),
    ("Vertex.uncached = ('LastBlessedModel',)", r"Vertex.uncached is 'LastBlessedModel', but must be one of Augmenter"),
    ("Pipeline.name = '_x'", r"Pipeline.name is '_x', but must be at most 128 ASCII letters, digits and _, a "),
    ("Pipeline.name = 'größe'", r"Pipeline.name is 'größe', but must be at most 128 ASCII letters"),
    ("Vertex.retries = {'Traner': 1}", r"retries is .Traner., but must be one of Augmenter, BatchCheck, Deduper"),
]  # fmt: skip
ON_GPUS = [
    ("Vertex.gpu = 'NVIDIA_L4'", r"Vertex.gpu is 'NVIDIA_L4', but must be 'NVIDIA_TESLA_A100', which a2-high"),
    ("Vertex.gpus = 7", r"gpus is 7, but must be 2, which a2-highgpu-2g has; correct it, or change Vertex.machine"),
    ("Vertex.machine = 'a2-highgpu-3g'", r"Vertex.machine is 'a2-highgpu-3g', but must be one of a2-highgpu-1g, a2-"),
    ("Vertex.machine = 'g2-standard-24'", r"Vertex.gpu is 'NVIDIA_TESLA_A100', but must be 'NVIDIA_L4', which g2-stan"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("platform", "binding", "message"),
    [*(("vertex_tpu_v5e", *case) for case in ON_TPUS), *(("vertex_gpu", *case) for case in ON_GPUS)],
)
def test_bad_settings_are_refused_before_anything_is_submitted(tmp_path, platform, binding, message):
    with pytest.raises(ValueError, match=message):
        compiled.vertex(tmp_path, binding, files=compiled.gin(platform))
    assert not list(tmp_path.iterdir())


def test_unknown_gpu_type_of_vertex_ai_is_refused(tmp_path):
    other = ("Vertex.machine = 'n1-standard-32'", "Vertex.gpus = 4")
    with pytest.raises(ValueError, match=r"Vertex.gpu is 'NVIDIA_TESLA_T44', but must be one of NVIDIA_TESLA_K80, NVI"):
        compiled.vertex(tmp_path, *other, "Vertex.gpu = 'NVIDIA_TESLA_T44'", files=compiled.gin("vertex_gpu"))
    compiled.vertex(tmp_path, *other, "Vertex.gpu = 'NVIDIA_TESLA_T4'", files=compiled.gin("vertex_gpu"))


def test_kubeflow_machine_without_tpus_is_refused():
    filled = {"root": "gs://b/s", "image": "r/i:1", "host": "http://h"}
    with pytest.raises(ValueError, match=r"Kubeflow.machine is 'n1-standard-8', but must be a machine with TPUs: ct"):
        KubeflowSettings(**filled, machine="n1-standard-8")
    with pytest.raises(ValueError, match=r"Kubeflow.machine is 'g2-standard-24', but must be '' with GPUs; remove it"):
        KubeflowSettings(**filled, machine="g2-standard-24", gpu="nvidia-l4", gpus=2)


def test_a_registry_may_have_a_port():
    assert KubeflowSettings(image="localhost:5000/i:1").image == "localhost:5000/i:1"


def test_source_on_this_machine_is_refused(tmp_path):
    files = [str(ROOT / "gin" / "own_data.gin"), compiled.gin("kubeflow")[1]]
    with pytest.raises(ValueError, match=r"JsonlSource.path is 'pairs.jsonl', but must be in a bucket"):
        specification.load(files, ["JsonlSource.path = 'pairs.jsonl'"], KubeflowSettings)
    bindings = ["JsonlSource.path = 'gs://b/x.jsonl'", "Pipeline.evaluation_sets = (@EvaluationSet(),)"]
    bindings += ["EvaluationSet.name = 'coco'", "EvaluationSet.examples = 'coco'"]
    with pytest.raises(ValueError, match=r"EvaluationSet.examples is 'coco', but must be in a bucket"):
        specification.load(files, bindings, KubeflowSettings)
    for path in ("file:///pairs.jsonl", "s3://bucket/pairs.jsonl"):  # the images have no file system of S3
        with pytest.raises(ValueError, match=rf"JsonlSource.path is '{path}', but must be in a bucket: pods"):
            specification.load(files, [f"JsonlSource.path = '{path}'"], KubeflowSettings)
    settings, _ = specification.load(files, ["JsonlSource.path = 'gs://bucket/day-{SPAN}/*.jsonl'"], KubeflowSettings)
    # The run itself finds the newest span.
    assert settings.image_text_gen.source.path == "gs://bucket/day-{SPAN}/*.jsonl"


OF_THIS_MACHINE = [
    (["JsonlSource.class_names = 'classes.json'"], "JsonlSource.class_names is 'classes.json'"),
    (["EvaluationSet.classes = 'classes.json'"], "EvaluationSet.classes is 'classes.json'"),
    (["EvaluationSet.source = @TfdsSource()", "TfdsSource.builder = 'coco_captions'"],
     "TfdsSource.data_dir is '~/tensorflow_datasets'"),
    (["Training.objective = @ClipRocket()", "ClipRocket.global_texts = @TextAugmentation()",
      "TextAugmentation.synonyms = 'synonyms.json'"], "TextAugmentation.synonyms is 'synonyms.json'"),
    (["Training.objective = @Simla()", "Simla.visual_codebook = @VisualCodebook()",
      "VisualCodebook.path = 'codes.npz'"], "VisualCodebook.path is 'codes.npz'"),
]  # fmt: skip


@pytest.mark.parametrize(("bindings", "message"), OF_THIS_MACHINE)
def test_files_of_this_machine_are_refused_wherever_they_are_named(bindings, message):
    files = [str(ROOT / "gin" / "own_data.gin"), compiled.gin("kubeflow")[1]]
    usual = ["JsonlSource.path = 'gs://b/x.jsonl'"]
    if any("EvaluationSet" in one for one in bindings):
        usual += ["Pipeline.evaluation_sets = (@EvaluationSet(),)", "EvaluationSet.name = 'coco'"]
    with pytest.raises(ValueError, match=re.escape(f"{message}, but must be in a bucket: pods do not see this mach")):
        specification.load(files, [*usual, *bindings], KubeflowSettings)


def test_a_span_of_an_evaluation_set_is_refused():
    files = [str(ROOT / "gin" / "own_data.gin"), compiled.gin("kubeflow")[1]]
    bindings = ["JsonlSource.path = 'gs://b/day-{SPAN}/x.jsonl'", "Pipeline.evaluation_sets = (@EvaluationSet(),)"]
    bindings += ["EvaluationSet.name = 'night'", "EvaluationSet.source = @eval/JsonlSource()"]
    bindings += ["eval/JsonlSource.path = 'gs://b/eval-{SPAN}/x.jsonl'"]
    message = "JsonlSource.path is 'gs://b/eval-{SPAN}/x.jsonl', but must be without {SPAN} in an evaluation set"
    with pytest.raises(ValueError, match=re.escape(message)):
        specification.load(files, bindings, KubeflowSettings)


def test_classes_that_gin_holds_are_no_path():
    files = [str(ROOT / "gin" / "own_data.gin"), compiled.gin("kubeflow")[1]]
    bindings = ["JsonlSource.path = 'gs://b/x.jsonl'", "JsonlSource.class_names = ('cat', 'dog')"]
    settings, _ = specification.load(files, bindings, KubeflowSettings)
    assert settings.image_text_gen.source.class_names == ("cat", "dog")


def test_settings_of_the_other_platform_are_refused():
    with pytest.raises(ConfigurationError, match=r"Kubeflow.host is set, but nothing uses it"):
        specification.load(compiled.gin("kubeflow"), [], VertexSettings)
