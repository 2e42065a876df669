"""`pipeline.evaluate` on planted models with known answers, and against the Evaluator's metric on a tiny model."""

import base64
import json
import os
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
import tqdm

from beam.exported_model import ExportedModel
from beam.records import ImageText
from components.metrics import saved_model_metrics, tfma_metrics
from models.evaluation import bootstrap, modality
from models.evaluation.collector import Collector
from models.inputs import tfrecords
from models.serving import label_sets
from models.serving.export import ServedModel
from models.serving.label_sets import LabelSet
from pipeline.evaluation import evaluation, report, scores
from tests.pictures import shape_pairs
from tests.tiny_model import tiny_objective

LABELS = ("cat", "dog", "pet", "car")
CLASSES = LabelSet(LABELS, ("{}",), np.eye(4, dtype=np.float32))
ANSWERS = (0, 1, 2, 3, 0, 1, 2, 3) * 20
RIGHT = ((0, 2), (1,), (0, 2), (0, 1), (1, 2, 3), (1,), (), ()) * 20  # 4 of each 6 answers are right
PAIRS = shape_pairs()[::4]


class Planted:
    """A model that embeds a picture as the class that it answers, which the number in the row's key decides."""

    def __init__(self, classes: np.ndarray) -> None:
        self._classes = classes

    def call(self, signature: str, **inputs) -> dict[str, np.ndarray]:
        assert signature == "evaluate"
        row = tfrecords.parse(inputs["examples"], ("key", "caption", "evaluation_set"))
        answer = [ANSWERS[int(key)] if len(self._classes) == 4 else int(key) for key in row["key"].numpy()]
        image, count = self._classes[np.array(answer) % len(self._classes)], len(answer)
        return {
            "image_embedding": image, "text_embedding": image.copy(), "caption": row["caption"].numpy(),
            "picture": row["key"].numpy(), "evaluation_set": row["evaluation_set"].numpy(),
            "class_similarity": np.full([count, 1], -np.inf, np.float32), "class_index": np.full(count, -1),
            "logit_scale": np.full(count, 8.0, np.float32), "logit_bias": np.full(count, -2.0, np.float32),
        }  # fmt: skip


def shard(folder, rows: list[ImageText]) -> str:
    with tf.io.TFRecordWriter(str(folder / "data_tfrecord-00000-of-00001")) as writer:
        for row in rows:
            writer.write(row.to_example())
    return str(folder)


def row(number: int, names: tuple[str, ...], **more) -> ImageText:
    first = names[0] if names else ""
    return ImageText(f"{number:05}", b"x", "a", "x:1", "t", class_name=first, class_names=names, **more)


def measured(split: str, labels=CLASSES, slice_by=()) -> scores.Scores:
    return scores.measure(Planted(CLASSES.embedding), split, labels, tqdm.tqdm(disable=True), slice_by, False)


def test_planted_answers_have_the_exact_accuracy_and_a_wrong_mapping_not(tmp_path):
    names = [tuple(LABELS[c] for c in one) for one in RIGHT]
    found = measured(shard(tmp_path, [row(i, one) for i, one in enumerate(names)]), slice_by=("class_names",))
    assert (found.rows, found.metrics["zero_shot_accuracy"]) == (160, 80 / 120)
    assert set(found.slices["class_names"]) == set(LABELS)  # rows without a class are in none
    of_dogs = [i for i, one in enumerate(RIGHT) if 1 in one]
    assert found.slices["class_names"]["dog"]["zero_shot_accuracy"] == np.mean(
        [ANSWERS[i] in RIGHT[i] for i in of_dogs]
    )
    assert found.slices["class_names"]["dog"]["pictures"] == len(of_dogs)
    by_class = [one["zero_shot_accuracy"] for name, one in found.slices["class_names"].items() if name]
    assert found.means()["class_names"]["zero_shot_accuracy"] == pytest.approx(np.mean(by_class))
    moved = LabelSet((*LABELS[1:], LABELS[0]), ("{}",), CLASSES.embedding)  # control: off by one
    assert measured(str(tmp_path), moved).metrics["zero_shot_accuracy"] != 80 / 120


MANY, DIM = 1000, 64
SIZES = [(384, 1152), pytest.param((1536, 6144), marks=pytest.mark.slow)]
FEW_BYTES = 12 * DIM + 300  # both embeddings in float32, one of them twice while it is joined; ids, ranks and shares


class Bar:
    """Notes the peak of the memory of arrays up to the last row, and lets that of the metrics start anew."""

    def __init__(self, rows: int) -> None:
        self.left, self.reading = rows, 0

    def update(self, count: int) -> None:
        self.left -= count
        if not self.left:
            self.reading = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()


@pytest.fixture
def grown(tmp_path, monkeypatch):
    """(rows, more rows) -> bytes at the peak for each further row: while rows are read, and from then to the end."""
    monkeypatch.setattr(bootstrap, "_BLOCK", 1 << 14)  # blocks that all sizes fill, so that they are no growth
    monkeypatch.setattr(modality, "_ROWS", 64)
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)
    codes = np.random.default_rng(0).normal(size=(MANY, DIM)).astype(np.float32)
    labels = LabelSet(tuple(f"c{i}" for i in range(MANY)), ("{}",), codes / np.linalg.norm(codes, axis=1)[:, None])

    def peaks(rows: int) -> np.ndarray:
        (tmp_path / f"{rows}").mkdir()
        split = shard(tmp_path / f"{rows}", [row(i, (f"c{i % MANY}",)) for i in range(rows)])
        bar = Bar(rows)
        tracemalloc.start()
        found = scores.measure(Planted(labels.embedding), split, labels, bar, retrieves=False)
        finishing = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (found.rows, found.metrics["zero_shot_accuracy"]) == (rows, 1.0)
        return np.array([bar.reading, finishing])

    peaks(128)  # what the first call keeps for good
    return lambda rows, more: (peaks(more) - peaks(rows)) / (more - rows)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_memory_does_not_grow_with_pictures_times_classes_up_to_the_last_metric(grown, sizes):
    reading, finishing = grown(*sizes)
    assert 8 * DIM < reading < FEW_BYTES
    assert 8 * DIM < finishing < FEW_BYTES


def test_control_memory_grows_if_all_similarities_are_kept(grown, monkeypatch):
    kept, usual = [], Collector.add

    def keep(self: Collector, outputs: dict[str, np.ndarray]) -> None:
        kept.append(outputs["class_similarity"])
        usual(self, outputs)

    monkeypatch.setattr(Collector, "add", keep)
    assert min(grown(*SIZES[0])) > 4 * MANY > 2 * FEW_BYTES


@pytest.fixture(scope="module")
def ran(exported, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    lines = [
        {"image_base64": base64.b64encode(image).decode(), "caption": caption, "key": f"{i}",
         "class_names": [colour, "shape"] if i % 2 else [colour], "category": "odd" if i % 2 else "even"}
        for i, (image, caption, colour) in enumerate(PAIRS)
    ]  # fmt: skip
    (folder / "pairs.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    gin = folder / "shapes.gin"
    gin.write_text(
        "Pipeline.evaluation_sets = (@shapes/EvaluationSet(),)\n"
        "shapes/EvaluationSet.name = 'shapes'\n"
        "shapes/EvaluationSet.source = @JsonlSource()\n"
        f"JsonlSource.path = '{folder / 'pairs.jsonl'}'\n"
        "Gate.slice_by = ('category',)\n"
    )
    return folder, str(gin), evaluation.run(exported, [str(gin)], [], str(folder / "out"))


def test_the_figures_are_those_of_the_evaluator_s_metric(ran, exported, vocabulary):
    """The same rows in another order, one at a time, through the combiner that TFMA runs."""
    folder, _, facts = ran
    split = str(folder / "out" / "sets" / "examples" / "Split-shapes")
    objective, tokenizer = tiny_objective(vocabulary)
    names = sorted({one[2] for one in PAIRS} | {"shape"})
    embedded = label_sets.embed(names, ("{}",), saved_model_metrics.text_embedder(ExportedModel(exported)))
    served = ServedModel(objective, tokenizer, {"shapes": embedded}, "float32")
    config = {"not_retrieved": [], "confidence": 0.9, "slice_confidence": 0.999, "name": "image_text"}
    (computation,) = tfma_metrics._computations(**config)
    combiner, accumulator = computation.combiner, computation.combiner.create_accumulator()
    batches = [outputs for _, outputs in saved_model_metrics.evaluated(served, split, -1)]
    for outputs in reversed(batches):
        for i in reversed(range(len(outputs["picture"]))):
            one = {name: value[i] for name, value in outputs.items()}

            class Element:
                def get_predictions(self, one=one, **_):
                    return one

            accumulator = combiner.add_input(accumulator, Element())
    expected = {key.name: value for key, value in combiner.extract_output(accumulator).items()}
    got = facts["sets"]["shapes"]["metrics"]
    assert got["zero_shot_right_classes"] == pytest.approx(np.mean([1 + i % 2 for i in range(len(PAIRS))]))
    for name, value in expected.items():
        if np.isnan(value):
            assert got[name] is None
        elif "brier" in name or "calibration" in name or name.startswith("modality"):
            assert got[name] == pytest.approx(value, rel=1e-6), name
        else:
            assert got[name] == value, name


def test_json_page_and_table_have_the_same_numbers(ran):
    folder, _, facts = ran
    assert json.loads((folder / "out" / report.JSON_FILE).read_text()) == facts
    page = (folder / "out" / report.PAGE_FILE).read_text()
    assert "<script" not in page
    assert "http" not in page.split("</style>")[1]
    recall = f"{facts['sets']['shapes']['metrics']['image_to_text_recall_at_1']:.4f}"
    assert recall in page
    assert any(recall in line and "image to text recall at 1" in line for line in report.table(facts))
    assert set(facts["sets"]["shapes"]["slices"]["category"]) == {"odd", "even"}


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        (["JsonlSource.path = 'missing.jsonl'"], r"EvaluationSet 'shapes': JsonlSource.path is 'missing.jsonl'"),
        (["shapes/EvaluationSet.classes = 'missing.json'"], "EvaluationSet.classes is 'missing.json', but must be"),
        (["shapes/EvaluationSet.fitted_on = 'other'"], "fitted_on of 'shapes' is 'other', but must be another"),
        (["shapes/EvaluationSet.fitted_on = 'eval'"], "has fitted_on 'eval', which is not evaluated; add --examples"),
        (["shapes/EvaluationSet.retrieval = False"], "has no row with a class, and EvaluationSet.retrieval is False"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(ran, exported, monkeypatch, bindings, message):
    if "retrieval" in bindings[0]:
        monkeypatch.setattr(evaluation.sets, "classes", lambda _: {"shapes": []})
        monkeypatch.setattr(evaluation.scores, "measure", lambda *_, **__: pytest.fail("a set was scored"))
    with pytest.raises(ValueError, match=message):
        evaluation.run(exported, [ran[1]], bindings, str(ran[0] / "out"))


def test_a_run_without_a_set_is_refused(exported, tmp_path):
    with pytest.raises(ValueError, match=r"Pipeline.evaluation_sets is \(\), but must be a set or more; add --gin"):
        evaluation.run(exported, [], [], str(tmp_path))
    own = ["Pipeline.evaluation_sets = (@EvaluationSet(),)", "EvaluationSet.name = 'all'"]
    with pytest.raises(ValueError, match="EvaluationSet 'all' has neither source nor examples"):
        evaluation.run(exported, [], own, str(tmp_path))


def test_a_model_of_another_kind_is_refused(ran, tmp_path):
    other = tf.Module()
    other.embed_image = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(other, str(tmp_path / "m"), signatures={"embed_image": other.embed_image})
    with pytest.raises(ValueError, match="has no signature evaluate, embed_text, but embed_image"):
        evaluation.run(str(tmp_path / "m"), [ran[1]], [], str(tmp_path / "out"))


def test_the_sets_are_built_once_and_again_after_a_change(ran, exported, capsys, monkeypatch):
    folder, gin, facts = ran
    assert evaluation.run(exported, [gin], [], str(folder / "out")) == facts
    assert "lie in" in capsys.readouterr().out

    class Rebuilt(Exception):
        pass

    def remove(_: str) -> None:
        raise Rebuilt

    monkeypatch.setattr(tf.io.gfile, "rmtree", remove)  # what building again does first
    with pytest.raises(Rebuilt):
        evaluation.run(exported, [gin], ["shapes/EvaluationSet.all_captions = False"], str(folder / "out"))
    os.utime(folder / "pairs.jsonl", (0, 0))
    with pytest.raises(Rebuilt):
        evaluation.run(exported, [gin], [], str(folder / "out"))
