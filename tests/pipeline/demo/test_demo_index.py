"""The demo's search: collections of folders and shards, their index, and the model that embeds them."""

import io
import os
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from beam.filters.pictures import PictureSettings
from beam.records import ImageText
from pipeline.demo import collection, index
from pipeline.demo.model import LoadedModel
from tests.beam import stored
from tests.pipeline.demo.command import running
from tests.pipeline.demo.conftest import RULES, SHAPES

ROWS = [ImageText(f"key-{n}", image, caption, "", "test") for n, (image, caption, _) in enumerate(SHAPES)]


def test_picture_is_nearest_to_itself(model, built):
    for image, _, _ in SHAPES[:3]:
        (nearest, similarity), (_, second) = built[0].search(model.embed_images([image])[0], 2)
        assert similarity == pytest.approx(1, abs=1e-5)
        assert similarity > second
        assert nearest.thumbnail.startswith("data:image/jpeg;base64,")


def test_the_first_found_pictures_are_ranked_again_and_the_others_stay(model, built):
    embedding, asked = model.embed_images([SHAPES[0][0]])[0], []

    def match(images):
        asked.extend(Image.open(io.BytesIO(image)).format for image in images)
        return [0.1, 0.9, 0.5]

    usual = [entry for entry, _ in built[0].search(embedding, 6)]
    found = built[0].reranked(embedding, 6, 3, match)
    assert [entry for entry, _ in found] == [usual[1], usual[2], usual[0], *usual[3:]]
    assert [score for _, score in found[:3]] == [0.9, 0.5, 0.1]
    assert asked == ["JPEG"] * 3


def test_index_has_each_picture_once_and_names_unusable_ones(built):
    found, problems = built
    assert len(found) == len({image for image, _, _ in SHAPES}) == 40
    (told,) = problems
    assert told.startswith("broken.jpg: this is not a complete picture in JPEG, PNG")


def test_large_pictures_are_shrunk_before_a_batch_of_them_is_decoded(tmp_path):
    for name, size in {"wide.jpg": (2000, 1000), "small.png": (300, 200)}.items():
        Image.new("RGB", size, "red").save(tmp_path / name)
    embedded = []

    class Recorder:
        def embed_images(self, images: list[bytes]) -> np.ndarray:
            embedded.extend(Image.open(io.BytesIO(image)).size for image in images)
            return np.ones((len(images), 1), np.float32)

    index.build(collection.ImageFolder(str(tmp_path)), Recorder(), PictureSettings())
    assert embedded == [(300, 200), (1536, 768)]


def test_rows_of_stored_shards_are_indexed_with_their_captions(model, tmp_path):
    examples = stored.write(tmp_path, ROWS)
    assert len(index.build(collection.StoredExamples(examples), model, RULES)[0]) == 40
    held_out = stored.by_split(ROWS)["test"]
    found, problems = index.build(collection.StoredExamples(f"{examples}/Split-test/"), model, RULES)
    assert 0 < len(found) == len(held_out) < 40
    assert not problems
    for row in held_out:
        assert found.search(model.embed_images([row.image])[0], 1)[0][0].caption == row.caption


def test_unreadable_collections_are_reported(model, tmp_path):
    with pytest.raises(ValueError, match=r"--images=.*/none is not a folder; name a folder of files in JPEG"):
        collection.ImageFolder(str(tmp_path / "none"))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"no picture of .* can be used: broken.png: this is not a complete picture"):
        index.build(collection.ImageFolder(str(tmp_path)), model, RULES)
    with pytest.raises(ValueError, match=r"--examples=.* has no TFRecord shard; name a folder such as"):
        collection.StoredExamples(str(tmp_path))
    for name, content in {"cut.tfrecord": b"no shard at all", "other.tfrecord": None}.items():
        shard = tmp_path / name / name
        shard.parent.mkdir()
        if content is None:
            with tf.io.TFRecordWriter(str(shard)) as writer:
                writer.write(tf.train.Example().SerializeToString())
        else:
            shard.write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is damaged, or its rows are not this project's"):
            index.build(collection.StoredExamples(str(shard.parent)), model, RULES)


def test_kept_index_is_loaded_if_its_inputs_are_unchanged(built, exported, folder, tmp_path):
    made_of = index.fingerprint(collection.ImageFolder(folder), exported, RULES)
    assert index.Index.load(str(tmp_path), made_of) is None
    built[0].save(str(tmp_path), made_of)
    assert [path.name for path in tmp_path.iterdir()] == [index.INDEX_FILE]
    kept = index.Index.load(str(tmp_path), index.fingerprint(collection.ImageFolder(folder), exported, RULES))
    query = np.ones(32, np.float32)
    assert kept.search(query, 40) == built[0].search(query, 40)
    other_rules = index.fingerprint(collection.ImageFolder(folder), exported, PictureSettings())
    assert index.Index.load(str(tmp_path), other_rules) is None
    (tmp_path / index.INDEX_FILE).write_bytes((tmp_path / index.INDEX_FILE).read_bytes()[:1000])
    assert index.Index.load(str(tmp_path), made_of) is None


def test_fingerprint_changes_with_each_file(exported, tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(b"1")
    first = index.fingerprint(collection.ImageFolder(str(tmp_path)), exported, RULES)
    file.write_bytes(b"22")
    second = index.fingerprint(collection.ImageFolder(str(tmp_path)), exported, RULES)
    assert first != second
    assert index.fingerprint(collection.ImageFolder(str(tmp_path)), str(tmp_path), RULES) != second
    (tmp_path / "b.png").symlink_to("nowhere")  # a picture that cannot be used does not stop the demo
    assert index.fingerprint(collection.ImageFolder(str(tmp_path)), exported, RULES) != second


@pytest.mark.slow
def test_the_command_keeps_its_index(exported, tmp_path):
    examples = stored.write(tmp_path / "examples", ROWS)
    flags = (f"--model_dir={exported}", f"--examples={examples}/Split-train", f"--index_dir={tmp_path / 'kept'}")
    for expected in ("Indexed", "Loaded the index"):
        with running(*flags) as (address, printed):
            assert expected in printed
            with urllib.request.urlopen(f"{address}/search", b"text=a+red+disc") as answer:
                assert answer.read().decode().count("<li>") == 24
    assert os.listdir(tmp_path / "kept") == [index.INDEX_FILE]


class Foreign(tf.Module):
    """A minimal model, with signatures that the demo does not know."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def embed_image(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image_embedding": tf.ones([tf.size(image_bytes), 1])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def embed_text(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"text_embedding": tf.ones([tf.size(text), 1])}

    @tf.function(input_signature=2 * [tf.TensorSpec([None], tf.string)])
    def zero_shot(self, image_bytes: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        logit = tf.ones([tf.size(image_bytes), 1]) * tf.cast(tf.range(tf.size(labels)), tf.float32)
        return {"probability": 0.5 * tf.ones_like(logit), "logit": logit}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def classify(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"classes": inputs[:, None], "scores": tf.ones([tf.size(inputs), 1])}


def test_model_with_missing_signatures_or_damaged_files_is_refused(tmp_path):
    served = Foreign()
    less = {"embed_image": served.embed_image, "classify_emoji": served.classify}
    tf.saved_model.save(served, str(tmp_path / "less"), signatures=less)
    with pytest.raises(
        ValueError, match="no signature embed_text, serving_default, but classify_emoji, embed_image; name a model"
    ):
        LoadedModel(str(tmp_path / "less"))
    (tmp_path / "less" / "saved_model.pb").write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"less cannot be loaded \(.*\); push or export the model again"):
        LoadedModel(str(tmp_path / "less"))
    more = {**less, "embed_text": served.embed_text, "serving_default": served.zero_shot}
    tf.saved_model.save(served, str(tmp_path / "more"), signatures=more)
    loaded = LoadedModel(str(tmp_path / "more"))
    assert list(loaded.probabilities(b"", ["a", "b"]).items()) == [("b", 0.5), ("a", 0.5)]  # by logit
    assert loaded.further == {}  # classify_emoji is a label set


def test_the_state_of_a_shard_at_an_address_changes_with_it():
    shard, states = "ram://shards/data.gz", []
    for content in ("one", "another"):
        with tf.io.gfile.GFile(shard, "w") as file:
            file.write(content)
        states.append(index._state(shard))
        tf.io.gfile.remove(shard)  # this file system would append
    assert [size for _, size, _ in states] == [3, 7]
    assert states[0] != states[1]
