"""The order of rows depends on the seed only, resumes at any position, and readers share all rows evenly."""

import dataclasses
import itertools
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from beam.records import ImageText
from models import features, settings
from models.inputs import tfrecords
from models.inputs.batches import Batches, InputPipeline
from models.inputs.tokenizer import Tokenizer
from models.objectives.objective import Views
from tests.models.training.shapes import CONFIG, EXAMPLES, OBJECTIVE, write_shards
from tests.pictures import shape_pairs

PLAIN = dataclasses.replace(CONFIG, augmentation=settings.AugmentationSettings(), batch_size=16, shards_at_once=2)


SLOW_COUNTS = [pytest.param(count, marks=pytest.mark.slow) for count in (1, 7)]


@pytest.fixture(scope="module", params=[3, *SLOW_COUNTS])
def paths(request, tmp_path_factory) -> list[str]:
    """Shards of the same 96 rows: more than are read at once, one, and more than readers."""
    return write_shards(tmp_path_factory.mktemp("shards"), request.param, EXAMPLES[:96])


def batches(vocabulary: str, paths: list[str], **changes) -> Batches:
    config = dataclasses.replace(PLAIN, **changes)
    return Batches(paths, Tokenizer(vocabulary, OBJECTIVE.text_tower), config)


def rows(dataset: tf.data.Dataset, count: int) -> list[bytes]:
    """The pixels of each row of the first `count` batches, which identify the row."""
    taken = [batch["images"].numpy() for batch in dataset.take(count)]
    assert len(taken) == count
    return [row.tobytes() for row in np.concatenate(taken)]


CACHES = [pytest.param(False, marks=pytest.mark.slow), True]  # a cached row takes the longer way


@pytest.mark.parametrize("cache", CACHES)
def test_every_pass_shows_every_row_once_in_another_order(vocabulary, paths, cache):
    seen = rows(batches(vocabulary, paths, cache=cache).read(16), 12)
    first, second = seen[:96], seen[96:]
    assert sorted(first) == sorted(second)
    assert len(set(first)) > 90
    assert first != second
    assert seen == rows(batches(vocabulary, paths, cache=cache).read(16), 12)
    assert seen != rows(batches(vocabulary, paths, cache=cache, seed=1).read(16), 12)


@pytest.mark.parametrize("cache", CACHES)
def test_a_run_resumed_at_any_position_sees_the_same_batches_as_an_unbroken_run(vocabulary, paths, cache):
    source = batches(vocabulary, paths, cache=cache, augmentation=settings.AugmentationSettings(0.8, 1.2))
    unbroken = list(source.read(10).take(24))  # 10 divides neither the pass nor a shard
    for stop in (1, 5, 9, 10, 20):
        resumed = source.read(10, start=unbroken[stop - 1]["position"].numpy().tolist()).take(24 - stop)
        for expected, batch in itertools.zip_longest(unbroken[stop:], resumed):
            for name, value in expected.items():
                np.testing.assert_array_equal(value, batch[name], err_msg=f"{name} after {stop}")


def test_control_a_resumed_run_that_forgets_its_position_sees_other_rows(vocabulary, paths):
    source = batches(vocabulary, paths)
    assert rows(source.read(10), 8)[40:] != rows(source.read(10), 4)


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("readers", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_readers_share_every_pass_evenly_even_with_fewer_shards_than_readers(vocabulary, paths, readers, cache):
    """Each of 4 readers gets about 24 rows a pass; the number varies if whole shards differ in length."""
    source = batches(vocabulary, paths, cache=cache)
    seen: list[bytes] = []
    for index in range(readers):
        numbers, mine = [], []
        for batch in source.read(1, InputPipeline(index, readers)).take(200):
            numbers.append(int(batch["position"][0]))
            mine.append(batch["images"].numpy().tobytes())
        first = [row for number, row in zip(numbers, mine, strict=True) if number == 0]
        assert len(first) == pytest.approx(96 / readers, abs=14)
        seen += first
    assert sorted(seen) == sorted(rows(source.read(16), 6))


def test_more_readers_than_rows_in_a_shard_still_give_full_batches(vocabulary, paths):
    for batch in batches(vocabulary, paths, batch_size=64).read(5, InputPipeline(30, 40)).take(3):
        assert batch["images"].shape == (5, 24, 24, 3)


def test_each_pass_reads_shards_in_another_order(vocabulary, tmp_path):
    paths = write_shards(tmp_path / "many", 12, EXAMPLES[:96])
    source = batches(vocabulary, paths, shards_at_once=1, shuffle_buffer=1)
    seen = rows(source.read(8), 24)
    shard_of = {row: number // 8 for number, row in enumerate(seen[:96])}
    second = [shard_of[row] for row in seen[96::8]]
    assert len(set(second)) == 12
    assert second != sorted(second)


def test_too_few_rows_for_a_batch_are_refused_with_their_number(vocabulary, tmp_path):
    with pytest.raises(tfrecords.NotEnoughRows, match=r"has 5 rows, but Training\.batch_size is 16; lower"):
        batches(vocabulary, write_shards(tmp_path / "few", 2, EXAMPLES[:5]))
    with pytest.raises(tfrecords.NotEnoughRows, match="no shard matches"):
        tfrecords.find_shards(["/nowhere/*"])


def test_views_see_the_same_rows_with_separate_augmentations(vocabulary, tmp_path):
    shards = write_shards(tmp_path, 2)
    strong = settings.AugmentationSettings(0.3, 1.0)
    plain = settings.AugmentationSettings()
    views = Views({"images": None, "plain": plain, "local_0": strong, "local_1": strong})
    tokenizer = Tokenizer(vocabulary, OBJECTIVE.text_tower)
    read = Batches(shards, tokenizer, CONFIG, views).read(8)
    one = Batches(shards, tokenizer, CONFIG).read(8)
    for batch, usual in zip(read.take(3), one.take(3), strict=True):
        np.testing.assert_array_equal(batch["images_boxes"], usual["images_boxes"])
        for view in views.images:
            np.testing.assert_array_equal(batch[view], usual["images"])
        assert "plain_boxes" not in batch
        assert (batch["local_0_boxes"].numpy() >= 0).all()
        assert not np.allclose(batch["local_0_boxes"], batch["local_1_boxes"])


def test_stored_embeddings_are_read_in_place_of_pictures(vocabulary, tmp_path):
    rows = []
    for number, serialized in enumerate(EXAMPLES[:48]):
        example = tf.train.Example.FromString(serialized)
        del example.features.feature[features.IMAGE]
        example.features.feature[features.IMAGE_EMBEDDING].float_list.value.extend([number, 1.0])
        rows.append(example.SerializeToString())
    shards = write_shards(tmp_path, 1, rows)
    tokenizer = Tokenizer(vocabulary, OBJECTIVE.text_tower)
    batch = next(iter(Batches(shards, tokenizer, CONFIG, Views({}, image_embedding=2)).read(48)))
    assert set(batch) == {"image_embedding", "token_ids", "position"}
    captions = tokenizer(tf.constant([caption for _, caption, _ in shape_pairs()[:48]])).numpy()
    for embedding, tokens in zip(batch["image_embedding"].numpy(), batch["token_ids"].numpy(), strict=True):
        np.testing.assert_array_equal(captions[int(embedding[0])], tokens)
    with pytest.raises(tf.errors.InvalidArgumentError, match="image_embedding"):
        next(iter(Batches(shards, tokenizer, CONFIG, Views({}, image_embedding=3)).read(48)))


@pytest.mark.parametrize("cache", CACHES)
def test_each_visit_draws_one_caption_and_a_resumed_run_draws_the_same(vocabulary, tmp_path, cache):
    captions = [["red"], ["blue circle", "a blue one", "round and blue"], ["green", "grass"], ["black"]]
    rows = [
        ImageText(str(i), shape_pairs()[i][0], first, "x:1", "test", more_captions=tuple(more)).to_example()
        for i, (first, *more) in enumerate(captions)
    ]
    shards = write_shards(tmp_path, 1, rows)
    config = dataclasses.replace(PLAIN, cache=cache, batch_size=4)
    tokenizer = Tokenizer(vocabulary, OBJECTIVE.text_tower)
    taken = list(Batches(shards, tokenizer, config).read(4).take(60))
    seen = Counter(row.tobytes() for batch in taken for row in batch["token_ids"].numpy())
    for texts in captions:
        counts = [seen.pop(tokenizer(tf.constant([text]))[0].numpy().tobytes()) for text in texts]
        assert sum(counts) == 60
        assert min(counts) > 0.6 * 60 / len(texts)
    assert not seen
    position = [int(number) for number in taken[29]["position"]]
    resumed = Batches(shards, tokenizer, config).read(4, start=position)
    for batch, other in zip(resumed.take(30), taken[30:], strict=True):
        np.testing.assert_array_equal(batch["token_ids"], other["token_ids"])


@pytest.mark.parametrize("cache", CACHES)
def test_rand_augment_changes_pixels_at_each_visit_and_equally_after_a_restart(vocabulary, tmp_path, cache):
    shards = write_shards(tmp_path, 2, EXAMPLES[:32])
    augmentation = settings.AugmentationSettings(rand_augment_layers=2, flip=True)
    config = dataclasses.replace(PLAIN, cache=cache, augmentation=augmentation)
    plain = dataclasses.replace(config, augmentation=settings.AugmentationSettings())
    taken = list(batches(vocabulary, shards, **vars(config)).read(16).take(6))
    usual = list(batches(vocabulary, shards, **vars(plain)).read(16).take(6))
    changed = [np.any(a["images"] != b["images"], axis=(1, 2, 3)).mean() for a, b in zip(taken, usual, strict=True)]
    assert min(changed) > 0.6
    assert "images_boxes" in taken[0]
    position = [int(number) for number in taken[2]["position"]]
    for batch, other in zip(
        batches(vocabulary, shards, **vars(config)).read(16, start=position).take(3), taken[3:], strict=True
    ):
        np.testing.assert_array_equal(batch["images"], other["images"])
        np.testing.assert_array_equal(batch["images_boxes"], other["images_boxes"])


@pytest.mark.parametrize("cache", [False, True])
def test_rows_of_one_picture_have_one_picture_id(vocabulary, tmp_path, cache):
    """A group, such as the variants of a row, is one picture."""
    groups = ["a", "a", "", "b", "a", ""]
    examples = [
        ImageText(f"key-{i}", image, caption, "x:1", "test", group=groups[i]).to_example()
        for i, (image, caption, _) in enumerate(shape_pairs()[: len(groups)])
    ]
    paths = write_shards(tmp_path, 1, examples)
    config = dataclasses.replace(PLAIN, batch_size=6, cache=cache)
    source = Batches(paths, Tokenizer(vocabulary, OBJECTIVE.text_tower), config, Views(picture_ids=True))
    (batch,) = source.read(6).take(1)
    assert sorted(Counter(batch["picture_ids"].numpy()).values()) == [1, 1, 1, 3]
