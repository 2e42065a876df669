"""Filters of the corpus and of image-text similarity; every removed caption is counted."""

import json
import pathlib

import apache_beam
import numpy as np
import pyarrow
import pytest
import tensorflow as tf
from pyarrow import parquet

from beam import build, store, writer
from beam.filters.captions import CaptionSettings
from beam.filters.similarity import SimilaritySettings, _Score
from beam.records import ImageText
from beam.sources.parquet.source import ParquetSource
from models.settings import configuration
from tests.beam.test_build import LAYOUT
from tests.pictures import shape_pairs
from tests.pipeline.test_build_command import examples

SHAPES = shape_pairs()


def run(folder: pathlib.Path, texts: list[list[str]], **options) -> dict:
    table = pyarrow.table({"image": [image for image, _, _ in SHAPES[: len(texts)]], "captions": texts})
    parquet.write_table(table, folder / "a.parquet")
    with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
        given = {"shards": LAYOUT.shards, "salt": LAYOUT.salt, "shard_bytes": 0, "unique_captions": False, **options}
        chosen = build.ImageTextGenSettings(ParquetSource(str(folder / "a.parquet")), **given)
        travelled = configuration.parse(configuration.to_gin(chosen), build.ImageTextGenSettings)
        assert travelled == chosen
        pipeline | build.Build(travelled, str(folder), str(folder))
    return json.loads((folder / store.MANIFEST_FILE).read_text())


def test_captions_repeated_over_the_corpus_are_removed(tmp_path):
    captions = [[caption] for _, caption, _ in SHAPES[:20]]
    plate = "click to enlarge"
    captions[:5] = [["Click to  enlarge"], [plate], ["CLICK TO ENLARGE", "a shape"], ["a"], [plate]]
    captions[6] = captions[5]  # twice is not too often
    manifest = run(tmp_path, captions, captions=CaptionSettings(max_repeats=3))
    assert manifest["dropped"] == {"caption_repeated": 3}
    assert manifest["captions_removed"] == {"caption_repeated": 1}
    stored = examples(tmp_path)
    assert {"a shape", "a", captions[5][0]} <= set(stored)
    assert not any("click" in caption.lower() for caption in stored)
    kept = run(tmp_path, captions, captions=CaptionSettings(max_repeats=4))
    assert (kept["dropped"], kept["captions_removed"]) == ({}, {})


def test_a_caption_that_breaks_a_rule_is_removed_and_its_row_keeps_the_others(tmp_path):
    captions = [["IMG_0001", "a red boat", "www.boats.example"], ["IMG_0002", "IMG_0003"], ["a blue boat", "IMG_4"]]
    rules = CaptionSettings(allow_file_names=False, allow_urls=False)
    manifest = run(tmp_path, captions, captions=rules)
    assert manifest["dropped"] == {"caption_file_name": 1}
    assert manifest["captions_removed"] == {"caption_file_name": 2, "caption_url": 1}
    assert set(examples(tmp_path)) == {"a red boat", "a blue boat"}


def save_red_model(path: str) -> None:
    """Saves a model whose embeddings say only whether a picture is red, or a text has the word red."""

    def unit(red: tf.Tensor) -> tf.Tensor:
        return tf.stack([tf.cast(red, tf.float32), 1.0 - tf.cast(red, tf.float32)], axis=-1)

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
        def embed_image(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            def is_red(image: tf.Tensor) -> tf.Tensor:
                pixels = tf.cast(tf.io.decode_image(image, channels=3, expand_animations=False), tf.int32)
                return tf.reduce_any((pixels[..., 0] > 200) & (pixels[..., 1] < 60))

            return {"image_embedding": unit(tf.map_fn(is_red, image_bytes, fn_output_signature=tf.bool))}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
        def embed_text(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"text_embedding": unit(tf.strings.regex_full_match(text, ".*red.*"))}

    model = Model()
    signatures = {"embed_image": model.embed_image, "embed_text": model.embed_text}
    tf.saved_model.save(model, path, signatures)


def test_captions_that_do_not_fit_their_picture_are_removed(tmp_path):
    save_red_model(str(tmp_path / "model"))
    several, one = ["a red one", "a blue one", "red"], ["a red one"]
    captions = [several if colour == "red" else one for _, _, colour in SHAPES[:50]]
    reds = sum(colour == "red" for _, _, colour in SHAPES[:50])
    rules = SimilaritySettings(str(tmp_path / "model"), minimum=0.5, batch_size=16)
    manifest = run(tmp_path, captions, similarity=rules)
    assert 0 < reds < 50
    assert manifest["dropped"] == {"low_similarity": 50 - reds}
    assert manifest["captions_removed"] == {"low_similarity": reds}
    assert set(examples(tmp_path)) == {"a red one"}


def test_similarity_does_not_depend_on_the_batch(exported):
    """Compares the scores with cosines that the signatures of an exported model give one by one."""
    model = tf.saved_model.load(exported)
    rows = [ImageText(str(i), image, caption, f"f:{i}", "t", more_captions=("x",)) for i, (image, caption, _) in
            enumerate(SHAPES[:5])]  # fmt: skip

    def cosine(image: bytes, text: str) -> float:
        left = model.signatures["embed_image"](image_bytes=tf.constant([image]))["image_embedding"].numpy()[0]
        right = model.signatures["embed_text"](text=tf.constant([text]))["text_embedding"].numpy()[0]
        return float(left @ right)

    expected = [[cosine(row.image, caption) for caption in (row.caption, "x")] for row in rows]
    median = float(np.median(expected)) + 1e-4
    for size in (2, 5):
        scorer = _Score(SimilaritySettings(exported, median, size))
        scorer.setup()
        judged = [reasons for start in range(0, 5, size) for _, reasons in scorer.process(rows[start : start + size])]
        assert judged == [["low_similarity" if cosine_ < median else "" for cosine_ in pair] for pair in expected]


def test_a_layout_refuses_an_unknown_compression_and_rounds_shards_to_hosts():
    with pytest.raises(ValueError, match="compression is 'ZIP', but must be 'GZIP' or ''"):
        writer.Layout({"train": 1}, 1, "x", compression="ZIP")
    layout = writer.Layout({"train": 1}, shards=2, salt="x", hosts=4, shard_bytes=100)
    assert [layout.count(size) for size in (0, 800, 801, 1201)] == [8, 8, 12, 16]
