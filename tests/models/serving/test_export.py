"""The exported SavedModel keeps its contract, and reads pictures and text as training does."""

import dataclasses
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from beam.records import ImageText
from models import objectives, settings
from models.inputs import images
from models.inputs.batches import Batches
from models.inputs.tokenizer import Tokenizer
from models.serving import export
from models.towers.text_tower import TextTower
from tests import saved_graph
from tests.models.training.shapes import CONFIG, EXAMPLES, OBJECTIVE, fit, write_shards
from tests.pictures import encode, shape_pairs
from tests.tiny_model import tiny_objective


@pytest.fixture(scope="module")
def saved(vocabulary, tmp_path_factory):
    """The path of a SavedModel whose t and b are not those that it starts with."""
    objective, tokenizer = tiny_objective(vocabulary)
    objective.log_scale.assign(np.log(13.0))
    objective.bias.assign(-8.0)
    path = str(tmp_path_factory.mktemp("saved") / "model")
    export.save(objective, tokenizer, "Training.steps = 30\n", path)
    return path


@pytest.fixture(scope="module")
def model(saved):
    return tf.saved_model.load(saved)


@pytest.mark.parametrize("op", ["Conv2D", "ResourceGather"])  # of the patches, and of the pieces
def test_each_tower_is_stored_once_and_all_signatures_call_it(saved, op):
    assert saved_graph.copies(saved, op) == 1


def test_saved_model_keeps_the_contract(model):
    assert set(model.signatures) == {"embed_image", "embed_text", "serving_default", "evaluate"}
    pictures, captions, _ = zip(*shape_pairs()[:6], strict=True)
    image = model.signatures["embed_image"](image_bytes=tf.constant(pictures))["image_embedding"].numpy()
    text = model.signatures["embed_text"](text=tf.constant(captions[:4]))["text_embedding"].numpy()
    np.testing.assert_allclose(np.linalg.norm(image, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(text, axis=1), 1, atol=1e-5)
    answer = model.signatures["serving_default"](image_bytes=tf.constant(pictures), labels=tf.constant(captions[:4]))
    assert answer["probability"].shape == (6, 4)
    logit = answer["logit"].numpy()
    np.testing.assert_allclose(answer["probability"], 1 / (1 + np.exp(-logit)), rtol=1e-4)
    slope = np.polyfit((image @ text.T).ravel(), logit.ravel(), 1)
    assert slope[0] == pytest.approx(13, rel=0.01)  # t
    assert slope[1] == pytest.approx(-8, rel=0.01)  # b
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"not pictures.*\[1\]"):
        model.signatures["embed_image"](image_bytes=tf.constant([pictures[0], b"junk"]))


@pytest.mark.parametrize(
    "runtime",
    [
        settings.RuntimeSettings(compute_dtype="bfloat16", remat="block"),
        settings.RuntimeSettings(strategy="mirrored", devices=("CPU:0",)),
    ],
)
@pytest.mark.slow
def test_a_model_trained_with_another_runtime_serves_its_weights(vocabulary, tmp_path, runtime):
    """The embeddings that a clean process serves are close to those of the same weights in float32."""
    config = dataclasses.replace(CONFIG, steps=10, runtime=runtime)
    objective = fit(vocabulary, write_shards(tmp_path / "shards", 2), tmp_path, config)
    tokenizer = Tokenizer(vocabulary, OBJECTIVE.text_tower)
    path = str(tmp_path / "model")
    export.save(objective, tokenizer, "Training.steps = 10\n", path)
    float32 = objectives.create(OBJECTIVE, tokenizer.vocabulary_size)
    for mine, theirs in zip(float32.trainable_variables, objective.trainable_variables, strict=True):
        mine.assign(theirs.numpy())
    pictures, captions, _ = zip(*shape_pairs()[:8], strict=True)
    script = (
        "import pickle, sys, tensorflow as tf, tensorflow_text\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "pictures, captions = pickle.load(sys.stdin.buffer)\n"
        "image = model.signatures['embed_image'](image_bytes=tf.constant(pictures))['image_embedding'].numpy()\n"
        "text = model.signatures['embed_text'](text=tf.constant(captions))['text_embedding'].numpy()\n"
        "pickle.dump((image, text), open(sys.argv[2], 'wb'))\n"
    )
    answer = tmp_path / "answer"
    subprocess.run(
        [sys.executable, "-c", script, path, str(answer)], input=pickle.dumps((pictures, captions)), check=True
    )
    image, text = pickle.loads(answer.read_bytes())
    near = 1e-5 if runtime.compute_dtype == "float32" else 0.05
    expected = float32.embed_image(images.decode_batch(tf.constant(pictures), OBJECTIVE.image_tower)).numpy()
    np.testing.assert_allclose(image, expected, atol=near)
    np.testing.assert_allclose(text, float32.embed_text(tokenizer(tf.constant(captions))).numpy(), atol=near)


def test_training_evaluation_and_serving_give_the_same_embeddings(model):
    evaluated = model.signatures["evaluate"](examples=tf.constant(EXAMPLES[:8]))
    pictures, captions, _ = zip(*shape_pairs()[:8], strict=True)
    image = model.signatures["embed_image"](image_bytes=tf.constant(pictures))["image_embedding"]
    text = model.signatures["embed_text"](text=tf.constant(captions))["text_embedding"]
    np.testing.assert_allclose(evaluated["image_embedding"], image, atol=1e-5)
    np.testing.assert_allclose(evaluated["text_embedding"], text, atol=1e-5)
    assert evaluated["caption"].numpy().tolist() == [caption.encode() for caption in captions]
    assert evaluated["picture"].numpy().tolist() == [f"key-{i}".encode() for i in range(8)]


def test_rows_of_a_group_are_one_picture(model):
    image, caption, _ = shape_pairs()[0]
    rows = [
        ImageText(key, image, caption, "x:1", "test", group=group) for key, group in (("1", "g"), ("2", "g"), ("3", ""))
    ]
    evaluated = model.signatures["evaluate"](examples=tf.constant([row.to_example() for row in rows]))
    assert evaluated["picture"].numpy().tolist() == [b"g", b"g", b"3"]


def test_serving_pads_to_the_full_length_and_padding_changes_embeddings(model, vocabulary):
    """The tower attends to padding: a text padded only to the longest of its batch has another embedding."""
    embed_text = model.signatures["embed_text"]
    caption = shape_pairs()[0][1]
    alone = embed_text(text=tf.constant([caption]))["text_embedding"]
    beside = embed_text(text=tf.constant([caption, f"{caption}, and far more of it than fits " * 3]))["text_embedding"]
    np.testing.assert_allclose(beside[:1], alone, atol=1e-6)

    full = OBJECTIVE.text_tower
    token_ids = Tokenizer(vocabulary, full)(tf.constant(["red"])).numpy()
    longest = int(np.sum(token_ids != full.pad_id))
    assert longest < full.length
    towers = {length: TextTower(dataclasses.replace(full, length=length), 512, 16) for length in (full.length, longest)}
    outputs = {length: tower(token_ids[:, :length]).numpy() for length, tower in towers.items()}
    for to, of in zip(towers[longest].weights, towers[full.length].weights, strict=True):
        to.assign(of if to.shape == of.shape else of[:, :longest])  # only the positions that the shorter tower has
    outputs[longest] = towers[longest](token_ids[:, :longest]).numpy()
    assert np.abs(outputs[longest] - outputs[full.length]).max() > 0.01


def test_training_sees_the_pixels_that_serving_sees(vocabulary, tmp_path):
    plain = dataclasses.replace(CONFIG, augmentation=settings.AugmentationSettings(), batch_size=8)
    tokenizer = Tokenizer(vocabulary, OBJECTIVE.text_tower)
    shards = write_shards(tmp_path, 1, EXAMPLES[:8])
    batch = next(iter(Batches(shards, tokenizer, plain).read(8)))
    pictures, captions, _ = zip(*shape_pairs()[:8], strict=True)
    served = {images.decode_and_resize(tf.constant(p), OBJECTIVE.image_tower).numpy().tobytes() for p in pictures}
    assert {row.tobytes() for row in batch["images"].numpy()} == served
    tokens = {row.tobytes() for row in tokenizer(tf.constant(captions)).numpy()}
    assert {row.tobytes() for row in batch["token_ids"].numpy()} == tokens


def test_saved_model_holds_vocabulary_and_gin_and_leaves_no_unfinished_folder(saved):
    folder = pathlib.Path(saved)
    assert (folder / "assets" / "vocabulary.model").stat().st_size > 1000
    assert (folder / "assets.extra" / export.GIN_FILE).read_text() == "Training.steps = 30\n"
    assert [path.name for path in folder.parent.iterdir() if "unfinished" in path.name] == []


def test_training_and_serving_resize_as_the_image_tower_says(vocabulary, tmp_path):
    tower = dataclasses.replace(OBJECTIVE.image_tower, resize="letterbox", interpolation="bicubic")
    config = dataclasses.replace(CONFIG.objective, image_tower=tower)
    tokenizer = Tokenizer(vocabulary, OBJECTIVE.text_tower)
    objective = objectives.create(config, tokenizer.vocabulary_size)
    picture = encode(Image.linear_gradient("L").resize((60, 20)), "PNG")
    expected, squashed = (images.decode_and_resize(tf.constant(picture), t) for t in (tower, OBJECTIVE.image_tower))
    assert np.any(expected != squashed)  # control

    model = export.ServedModel(objective, tokenizer, {}, "float32")
    served = model.embed_image(tf.constant([picture]))["image_embedding"]
    by_hand = objective.embed_image(images.to_unit_range(expected)[None])
    np.testing.assert_allclose(served, by_hand, atol=1e-5)
    assert np.abs(served - objective.embed_image(images.to_unit_range(squashed)[None])).max() > 1e-3  # control

    examples = [ImageText(f"key-{i}", picture, "a gradient", "x:1", "test").to_example() for i in range(4)]
    plain = dataclasses.replace(CONFIG, objective=config, augmentation=settings.AugmentationSettings(), batch_size=4)
    batch = next(iter(Batches(write_shards(tmp_path / "wide", 1, examples), tokenizer, plain).read(4)))
    np.testing.assert_array_equal(batch["images"], [expected] * 4)
