"""Training learns, is a function of its seed, stops on NaN, and what it exports keeps the SavedModel contract."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from beam.records import ImageText
from models import data, export, objectives, optimizer, settings, training
from models.tokenizer import Tokenizer
from tests.pictures import shape_pairs

OBJECTIVE = settings.SiglipSettings(
    settings.ImageTowerSettings(size=24, patch=8, width=32, depth=1, heads=2, mlp_dim=64),
    settings.TextTowerSettings(length=12, width=32, depth=1, heads=2, mlp_dim=64),
)
CONFIG = settings.TrainingSettings(
    objective=OBJECTIVE,
    optimizer=settings.AdamWSettings(learning_rate=3e-3, warmup_steps=5),
    augmentation=settings.AugmentationSettings(0.9, 1.1),
    steps=30,
    batch_size=48,
    log_every=10,
)
EXAMPLES = [
    ImageText(f"key-{i}", image, caption, "x:1", "test", class_name=colour).to_example()
    for i, (image, caption, colour) in enumerate(shape_pairs())
]


def batches(vocabulary: str, examples: list[bytes] = EXAMPLES, **changes):
    rows = tf.data.Dataset.from_tensor_slices(examples)
    tokenizer = Tokenizer(vocabulary, OBJECTIVE.text_tower.length)
    config = settings.dataclasses.replace(CONFIG, **changes)
    return data.training_batches(rows, tokenizer, OBJECTIVE.image_tower.size, config)


def fit(vocabulary: str, folder, config: settings.TrainingSettings = CONFIG) -> objectives.Objective:
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    vocabulary_size = Tokenizer(vocabulary, OBJECTIVE.text_tower.length).vocabulary_size
    objective = objectives.create(config.objective, vocabulary_size)
    training.train(objective, batches(vocabulary, seed=config.seed), config, str(folder))
    return objective


def weights(objective: objectives.Objective) -> list[np.ndarray]:
    return [variable.numpy() for variable in objective.trainable_variables]


def test_same_seed_gives_the_same_weights_bit_for_bit_and_another_does_not(vocabulary, tmp_path):
    first, again = (weights(fit(vocabulary, tmp_path / name)) for name in ("a", "b"))
    assert all(np.array_equal(x, y) for x, y in zip(first, again, strict=True))
    other = weights(fit(vocabulary, tmp_path / "c", settings.dataclasses.replace(CONFIG, seed=1)))
    assert not all(np.array_equal(x, y) for x, y in zip(first, other, strict=True))
    rows = [json.loads(line) for line in (tmp_path / "a" / training.LOG_FILE).read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 10, 20, 29]
    assert rows[-1]["loss"] < 0.8 * rows[0]["loss"]
    assert rows[0]["logit_scale"] == pytest.approx(10.0, rel=1e-3)
    assert list((tmp_path / "a").glob("events.*"))


def test_a_loss_that_is_not_finite_stops_with_step_and_fix(vocabulary, tmp_path):
    broken = settings.dataclasses.replace(
        CONFIG, objective=settings.dataclasses.replace(OBJECTIVE, logit_bias=float("nan"))
    )
    with pytest.raises(training.NotFinite, match=r"the loss is nan at step 0.*lower AdamW.learning_rate"):
        fit(vocabulary, tmp_path, broken)


def test_too_few_rows_for_a_batch_say_how_many_there_are(vocabulary):
    with pytest.raises(data.NotEnoughRows, match=r"has 5 rows, but Training\.batch_size is 48; lower"):
        batches(vocabulary, EXAMPLES[:5])
    with pytest.raises(data.NotEnoughRows, match="no shard matches"):
        data.read_shards(["/nowhere/*"])


def test_every_pass_shows_every_row_once_in_another_order(vocabulary):
    four = [batch["pixels"].numpy() for batch in batches(vocabulary, EXAMPLES[:96]).take(4)]
    first, second = np.concatenate(four[:2]), np.concatenate(four[2:])
    as_set = [{row.tobytes() for row in half} for half in (first, second)]
    assert as_set[0] == as_set[1]
    assert not np.array_equal(first, second)
    cached = [batch["pixels"].numpy() for batch in batches(vocabulary, EXAMPLES[:96], cache=True).take(4)]
    assert np.array_equal(four, cached)
    other = [batch["pixels"].numpy() for batch in batches(vocabulary, EXAMPLES[:96], seed=1).take(4)]
    assert not np.array_equal(four, other)


def test_weight_decay_is_for_kernels_only():
    objective = objectives.create(OBJECTIVE, 40)
    decayed = {v.name for v in objective.trainable_variables if optimizer.is_kernel(v)}
    assert all(name.endswith("kernel:0") for name in decayed)
    kept = {v.name.split("/")[-1] for v in objective.trainable_variables} - {name.split("/")[-1] for name in decayed}
    assert {"bias:0", "gamma:0", "position_embedding:0", "embeddings:0", "probe:0", "log_scale:0"} <= kept


def test_schedule_rises_to_its_peak_and_falls_to_zero():
    schedule = optimizer.WarmupCosine(peak=2.0, warmup_steps=10, steps=110)
    values = [float(schedule(tf.constant(step))) for step in range(111)]
    assert values[0] == pytest.approx(0.2)
    assert max(values) == values[10] == pytest.approx(2.0)
    assert values[60] == pytest.approx(1.0)
    assert values[110] == pytest.approx(0.0, abs=1e-6)


@pytest.fixture(scope="module")
def saved(vocabulary, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    objective = fit(vocabulary, folder / "log")
    path = str(folder / "model")
    export.save(objective, Tokenizer(vocabulary, OBJECTIVE.text_tower.length), "Training.steps = 30\n", path)
    return path


def test_saved_model_keeps_the_contract(saved):
    model = tf.saved_model.load(saved)
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
    assert slope[0] == pytest.approx(10, rel=0.2)  # t
    assert slope[1] == pytest.approx(-10, rel=0.1)  # b
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"not pictures.*\[1\]"):
        model.signatures["embed_image"](image_bytes=tf.constant([pictures[0], b"junk"]))


def test_training_evaluation_and_serving_give_the_same_embeddings(saved, vocabulary):
    model = tf.saved_model.load(saved)
    evaluated = model.signatures["evaluate"](examples=tf.constant(EXAMPLES[:8]))
    pictures, captions, colours = zip(*shape_pairs()[:8], strict=True)
    image = model.signatures["embed_image"](image_bytes=tf.constant(pictures))["image_embedding"]
    text = model.signatures["embed_text"](text=tf.constant(captions))["text_embedding"]
    classes = model.signatures["embed_text"](text=tf.constant(colours))["text_embedding"]
    np.testing.assert_allclose(evaluated["image_embedding"], image, atol=1e-5)
    np.testing.assert_allclose(evaluated["text_embedding"], text, atol=1e-5)
    np.testing.assert_allclose(evaluated["class_embedding"], classes, atol=1e-5)
    assert evaluated["caption"].numpy().tolist() == [caption.encode() for caption in captions]

    in_training = next(iter(batches(vocabulary, EXAMPLES[:8], batch_size=8)))
    pixels = {row.tobytes() for row in in_training["pixels"].numpy()}
    served = {
        data.images.decode_and_resize(tf.constant(p), OBJECTIVE.image_tower.size).numpy().tobytes() for p in pictures
    }
    assert pixels == served


def test_saved_model_carries_vocabulary_and_gin_and_no_half_written_folder(saved):
    import pathlib

    folder = pathlib.Path(saved)
    assert (folder / "assets" / "vocabulary.model").stat().st_size > 1000
    assert (folder / "assets.extra" / export.GIN_FILE).read_text() == "Training.steps = 30\n"
    assert [path.name for path in folder.parent.iterdir() if "unfinished" in path.name] == []
