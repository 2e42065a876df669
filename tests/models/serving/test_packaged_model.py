"""Label sets, the class outputs of `evaluate`, and compressed weights."""

import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from beam.exported_model import ExportedModel
from beam.records import ImageText
from components.metrics import saved_model_metrics
from components.model_packager import warm_up
from models import features, objectives, settings
from models.inputs import tfrecords
from models.pretrained import PretrainedError, saved_model
from models.serving import export, label_sets
from models.serving.compression import CompressedWeights
from models.settings import configuration
from tests.pictures import shape_pairs
from tests.tiny_model import OBJECTIVE, tiny_objective

PICTURES, CAPTIONS, COLOURS = (list(column) for column in zip(*shape_pairs()[::20], strict=True))
LABELS = tuple(sorted(set(COLOURS)))
KINDS = ("float32", "int8")
TEMPLATES = ("a photo of a {}", "{}")


@pytest.fixture(scope="module")
def folder(vocabulary, exported, tmp_path_factory) -> pathlib.Path:
    """The untrained model with two label sets, in two kinds of weights."""
    made = tmp_path_factory.mktemp("packaged")
    embed_text = saved_model_metrics.text_embedder(ExportedModel(exported))
    sets = {"eval": label_sets.embed(LABELS, TEMPLATES, embed_text), "two": label_sets.embed("ab", ("{}",), embed_text)}
    for weights in KINDS:
        objective, tokenizer = tiny_objective(vocabulary)
        export.save(objective, tokenizer, configuration.to_gin(OBJECTIVE), str(made / weights), sets, weights)
    return made


def test_a_label_set_scores_as_its_labels_do_and_needs_no_text_tower(folder):
    model = tf.saved_model.load(str(folder / "float32"))
    baked = model.signatures["classify_two"](image_bytes=tf.constant(PICTURES))
    asked = model.signatures["serving_default"](image_bytes=tf.constant(PICTURES), labels=tf.constant(["a", "b"]))
    np.testing.assert_allclose(baked["probability"], asked["probability"], atol=1e-6)
    graph = model.signatures["classify_two"].graph.as_graph_def()
    ops = {node.op for node in graph.node} | {node.op for one in graph.library.function for node in one.node_def}
    assert not [op for op in ops if "Sentencepiece" in op]
    whole = model.signatures["serving_default"].graph.as_graph_def()
    ops = {node.op for node in whole.node} | {node.op for one in whole.library.function for node in one.node_def}
    assert [op for op in ops if "Sentencepiece" in op]  # control


def test_a_label_is_the_mean_over_its_templates(folder, exported):
    written = json.loads((folder / "float32" / "assets.extra" / "labels" / "eval.json").read_text())
    embed = tf.saved_model.load(exported).signatures["embed_text"]
    prompts = [template.replace("{}", LABELS[1]) for template in TEMPLATES]
    mean = embed(text=tf.constant(prompts))["text_embedding"].numpy().mean(axis=0)
    np.testing.assert_allclose(written["embeddings"][1], mean / np.linalg.norm(mean), atol=1e-6)
    assert (tuple(written["labels"]), tuple(written["templates"])) == (LABELS, TEMPLATES)


def test_evaluate_scores_each_row_for_the_labels_of_its_set(folder):
    model = tf.saved_model.load(str(folder / "float32"))
    sets = ["", "two", "other"]  # a row without a set belongs to the eval split
    rows = [
        ImageText(f"{i}", PICTURES[i], CAPTIONS[i], "x:1", "test", class_name=name, evaluation_set=sets[i])
        for i, name in enumerate((COLOURS[0], "b", "b"))
    ]
    said = model.signatures["evaluate"](examples=tf.constant([row.to_example() for row in rows]))
    assert said["class_index"].numpy().tolist() == [LABELS.index(COLOURS[0]), 1, -1]
    assert np.isneginf(said["class_similarity"]).sum(axis=1).tolist() == [0, len(LABELS) - 2, len(LABELS)]
    embeddings = json.loads((folder / "float32/assets.extra/labels/eval.json").read_text())["embeddings"]
    expected = np.asarray(embeddings) @ said["image_embedding"].numpy()[0]
    np.testing.assert_allclose(said["class_similarity"][0], expected, atol=1e-5)
    logit = model.signatures["classify_eval"](image_bytes=tf.constant(PICTURES[:1]))["logit"].numpy()[0]
    np.testing.assert_allclose(said["logit_scale"][0] * expected + said["logit_bias"][0], logit, atol=1e-4)


@pytest.mark.parametrize(
    ("weights", "compute", "near"),
    [("bfloat16", "float32", 0.02), ("int8", "float32", 0.05), ("int8", "bfloat16", 0.1)],
)
def test_compression_changes_embeddings_little_and_restores_the_objective(vocabulary, weights, compute, near):
    _, tokenizer = tiny_objective(vocabulary)
    runtime = settings.RuntimeSettings(compute_dtype=compute)
    objective = objectives.create(OBJECTIVE, tokenizer.vocabulary_size, runtime)
    ids = tokenizer(tf.constant(CAPTIONS))
    pixels = tf.random.stateless_uniform([4, 24, 24, 3], [1, 2], -1.0, 1.0)
    before = objective.embed_image(pixels), objective.embed_text(ids)
    compressed = CompressedWeights(objective, weights)
    with compressed.in_place():
        fewer = objective.embed_image(pixels), objective.embed_text(ids)
    after = objective.embed_image(pixels), objective.embed_text(ids)
    for exact, rough, again in zip(before, fewer, after, strict=True):
        assert 0 < np.abs(exact - rough).max() < near  # above 0: compression has an effect
        np.testing.assert_array_equal(exact, again)
    bits = {"bfloat16": 2, "int8": 1}[weights]
    matrices = [stored[0] for stored in compressed.stored]
    assert all(matrix.dtype.size == bits for matrix in matrices)
    kept = sum(int(tf.size(variable)) for variable in compressed.kept)
    assert kept < 0.2 * sum(int(tf.size(matrix)) for matrix in matrices)


def test_each_output_channel_has_its_own_scale(vocabulary):
    objective, _ = tiny_objective(vocabulary)
    attention = objective.image_tower.encoder.blocks[0].attention
    compressed = CompressedWeights(objective, "int8")
    scales = {stored[0].name: stored[1].shape.as_list() for stored in compressed.stored}
    named = {name.split("/")[-3] + "/" + str(len(shape)): shape for name, shape in scales.items() if "block_0" in name}
    query, output = attention.query.kernel.shape, attention.attention_output.kernel.shape
    assert named["query/3"] == [1, *query[1:]]
    assert named["attention_output/3"] == [1, 1, output[2]]


def test_training_cannot_start_from_compressed_weights(folder):
    objective, _, _ = saved_model.rebuild(str(folder / "float32"))  # control
    model = tf.saved_model.load(str(folder / "float32"))
    own = {variable.name: variable.numpy() for variable in model.objective.variables}
    assert {variable.name for variable in objective.variables} == set(own)
    for variable in objective.variables:
        np.testing.assert_array_equal(variable.numpy(), own[variable.name])
    with pytest.raises(
        PretrainedError, match=r"has compressed weights, such as .*compressed, from which training cannot"
    ):
        saved_model.rebuild(str(folder / "int8"))
    sizes = [(folder / name / "variables" / "variables.data-00000-of-00001").stat().st_size for name in KINDS]
    print(f"\nint8: {sizes[1] / sizes[0]:.0%} of the bytes of float32")
    assert sizes[1] < 0.6 * sizes[0]


def test_warm_up_requests_cover_every_served_signature(folder):
    path = str(folder / "float32")
    rows = {features.IMAGE: tf.constant(PICTURES), features.CAPTION: tf.constant(CAPTIONS)}
    warm_up.write(path, rows)
    file = os.path.join(path, "assets.extra", "tf_serving_warmup_requests")
    logs = [warm_up.prediction_log_pb2.PredictionLog.FromString(one.numpy()) for one in tfrecords.read_shards([file])]
    model = tf.saved_model.load(path)
    asked = set()
    for log in logs:
        request = log.predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        model.signatures[request.model_spec.signature_name](**inputs)
        asked.add(request.model_spec.signature_name)
    assert asked == set(model.signatures) - {"evaluate"}
    assert len(logs) == 2 * len(asked)
