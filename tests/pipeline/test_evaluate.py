"""`pipeline.evaluate` on planted models with known answers, and against the Evaluator's metric on a tiny model."""

import base64
import json
import os

import numpy as np
import pytest
import tensorflow as tf
import tqdm

from beam.exported_model import ExportedModel
from components.metrics import saved_model_metrics, tfma_metrics
from models.serving import label_sets
from models.serving.export import ServedModel
from models.serving.label_sets import LabelSet
from pipeline.evaluation import evaluation, report, scores
from tests.pictures import shape_pairs
from tests.pipeline.planted import ANSWERS, CLASSES, LABELS, Planted, row, shard
from tests.tiny_model import tiny_objective

RIGHT = ((0, 2), (1,), (0, 2), (0, 1), (1, 2, 3), (1,), (), ()) * 20  # 4 of each 6 answers are right
PAIRS = shape_pairs()[::4]


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
    split = str(folder / "out" / "sets" / "shapes" / "examples" / "Split-shapes")
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
        monkeypatch.setattr(evaluation.sets, "classes", lambda *_: [])
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


def test_a_set_is_built_once_and_again_after_a_change_of_its_own(ran, exported, capsys, monkeypatch):
    folder, gin, facts = ran
    assert evaluation.run(exported, [gin], [], str(folder / "out")) == facts
    assert "shapes lies in" in capsys.readouterr().out
    more = folder / "more.gin"
    more.write_text(
        "Pipeline.evaluation_sets = (@shapes/EvaluationSet(), @bare/EvaluationSet())\n"
        "bare/EvaluationSet.name = 'bare'\n"
        f"bare/EvaluationSet.source = @bare/JsonlSource()\nbare/JsonlSource.path = '{folder / 'pairs.jsonl'}'\n"
    )
    both = evaluation.run(exported, [gin, str(more)], [], str(folder / "out"))
    assert "shapes lies in" in capsys.readouterr().out
    assert (both["sets"]["shapes"], set(both["sets"])) == (facts["sets"]["shapes"], {"shapes", "bare"})
    evaluation.run(exported, [gin, str(more)], [], str(folder / "out"))
    assert "bare lies in" in capsys.readouterr().out

    class Rebuilt(Exception):
        pass

    def remove(path: str) -> None:
        raise Rebuilt(path)

    monkeypatch.setattr(tf.io.gfile, "rmtree", remove)  # what building again does first
    with pytest.raises(Rebuilt, match=r"sets/shapes$"):
        evaluation.run(exported, [gin], ["shapes/EvaluationSet.all_captions = False"], str(folder / "out"))
    os.utime(folder / "pairs.jsonl", (0, 0))
    with pytest.raises(Rebuilt, match=r"sets/shapes$"):
        evaluation.run(exported, [gin], [], str(folder / "out"))
