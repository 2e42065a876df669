"""Finds pictures whose embeddings are similar, by any exported model, although hashes and colours are not."""

import dataclasses
import pathlib

import pytest
import tensorflow as tf

from beam import dedupe
from beam.build import ImageTextGenSettings
from beam.dedupe import signatures
from beam.filters.similarity import SimilaritySettings
from models.settings import configuration
from pipeline import pins
from pipeline.settings.run import PipelineSettings
from tests.beam import stored
from tests.beam.dedupe.test_deduplicate import UNLIKE, row, run, scene
from tests.beam.stored import read


def save_model(path: pathlib.Path) -> str:
    """Saves a model whose embedding is a grey 6 x 6 thumbnail, the same for a picture and its mirror image."""

    class Model(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
        def embed_image(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            def thumbnail(image: tf.Tensor) -> tf.Tensor:
                pixels = tf.cast(tf.io.decode_image(image, channels=3, expand_animations=False), tf.float32)
                small = tf.image.resize(pixels, [6, 6], antialias=True)
                both_ways = tf.reduce_mean(small + small[:, ::-1], axis=-1)
                return tf.reshape(both_ways - tf.reduce_mean(both_ways), [36])

            found = tf.map_fn(thumbnail, image_bytes, fn_output_signature=tf.float32)
            return {"image_embedding": tf.nn.l2_normalize(found, axis=-1)}

    model = Model()
    tf.saved_model.save(model, str(path), {"embed_image": model.embed_image})
    return str(path)


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> dedupe.DeduperSettings:
    model = save_model(tmp_path_factory.mktemp("model") / "7")
    return dedupe.DeduperSettings(exact=(), image_distance=-1, embedding_model=model, embedding_similarity=0.95)


MIRRORED = [
    row("left", scene(600), "a longer caption"),
    row("right", scene(600).transpose(0), "short"),
    *UNLIKE[:70],  # with the two above, more than one batch of embeddings
    *(row(f"further-{i}", scene(900 + i)) for i in range(40)),
]


@pytest.fixture(scope="module")
def mirrored(settings, tmp_path_factory) -> tuple[pathlib.Path, dict]:
    """MIRRORED without rows of similar embeddings, and the manifest."""
    folder = tmp_path_factory.mktemp("mirrored")
    return folder, run(MIRRORED, folder, settings)


def test_rows_with_similar_embeddings_are_dropped(mirrored):
    folder, manifest = mirrored
    assert manifest["dropped"] == {"near_duplicate": 1}
    assert {one.key for one in MIRRORED} - set(read(folder / "out")) == {"right"}


def test_control_threshold_of_one_and_hashes_drop_nothing(settings, tmp_path):
    strict = dataclasses.replace(settings, embedding_similarity=1.0)
    assert run([*UNLIKE, row("left", scene(600))], tmp_path / "all", strict)["dropped"] == {}
    hashes = dedupe.DeduperSettings(image_distance=6)
    assert run(MIRRORED, tmp_path / "hashes", hashes)["dropped"] == {}


def test_bytes_are_the_same_in_any_order_and_with_more_workers(settings, mirrored, tmp_path):
    run(MIRRORED[::-1], tmp_path, settings, "--direct_num_workers=4", "--direct_running_mode=multi_threading")
    assert stored.checksums(mirrored[0] / "out") == stored.checksums(tmp_path / "out")


def test_evaluation_set_is_compared_by_embeddings(settings, tmp_path):
    folder = stored.write(tmp_path / "evaluation", [row("set", scene(600).transpose(0)), *UNLIKE[20:]])
    decontaminated = dataclasses.replace(settings, evaluation_sets={"coco": folder})
    manifest = run([row("planted", scene(600)), *UNLIKE[:20]], tmp_path, decontaminated)
    assert manifest["dropped"] == {"contaminated_coco": 1}


def test_pin_takes_the_newest_model_and_errors_name_a_missing_one(settings):
    pushed = dataclasses.replace(settings, embedding_model=str(pathlib.Path(settings.embedding_model).parent))
    run_of = PipelineSettings(deduper=pushed)
    pinned = pins.pin(run_of).deduper
    assert dataclasses.replace(pinned, embedding_sha256="") == settings
    assert pins.pin(PipelineSettings(deduper=pinned)).deduper == pinned
    assert "Deduper.embedding_similarity = 0.95" in configuration.to_gin(run_of)
    with pytest.raises(ValueError, match=r"Deduper.embedding_sha256 is 'other', but .* has "):
        pins.pin(PipelineSettings(deduper=dataclasses.replace(pinned, embedding_sha256="other")))
    no_text = SimilaritySettings(model=settings.embedding_model, minimum=0.1)
    with pytest.raises(ValueError, match=r"Similarity.model is .* but that has no signature embed_text; name one"):
        pins.pin_image_text_gen(ImageTextGenSettings(similarity=no_text))
    with pytest.raises(ValueError, match=r"Deduper.embedding_model is 'nowhere', but holds no SavedModel"):
        pins.pin(PipelineSettings(deduper=dataclasses.replace(settings, embedding_model="nowhere")))


@pytest.mark.parametrize("fields", [{"embedding_similarity": 0.9}, {"embedding_model": "x"}])
def test_embedding_model_and_similarity_must_be_set_together(fields):
    with pytest.raises(ValueError, match=r"Deduper.embedding_model is '.*', but must be a SavedModel's folder if"):
        dedupe.DeduperSettings(**fields)


def test_agreement_is_one_for_equal_and_half_for_orthogonal_embeddings():
    assert signatures.agreement_at(1.0) == 1.0
    assert signatures.agreement_at(0.0) == 0.5
