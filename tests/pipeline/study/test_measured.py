"""A run of a study measures what its model can do: composed retrieval, pointing and keywords beside recall."""

import dataclasses
import math

import tf_keras as keras

from beam.records import ImageText
from models import objectives
from models.evaluation import composition, keywords, pointing
from models.inputs.tokenizer import Tokenizer
from models.serving import export
from pipeline.study import training_run
from pipeline.study.settings import TEST
from tests.models.objectives.toy_objectives import OneTowerSettings
from tests.models.training.shapes import write_shards
from tests.pictures import shape_pairs
from tests.tiny_model import tiny_objective

TONES = ("light", "medium", "dark")
NAMES = [f"{who} rowing boat {tone} skin tone" for who in ("man", "woman") for tone in TONES]
PICTURES = [picture for picture, _, _ in shape_pairs()[::7]]
ROWS = [ImageText(f"k{i}", PICTURES[i], name, "x:1", "t") for i, name in enumerate(NAMES)]
BOXES = ((0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0))
SCENE = [dataclasses.replace(ROWS[0], key=f"s{i}", group="scene", boxes=box) for i, box in enumerate(BOXES)]


def measured(served: export.ServedModel, folder) -> dict[str, dict[str, float]]:
    sets = {TEST: ROWS, "scenes": SCENE}
    for name, rows in sets.items():
        write_shards(folder / f"Split-{name}", 1, [row.to_example() for row in rows])
    evaluated = {name: str(folder / f"Split-{name}") for name in sets}
    order = training_run.Order("", "", "", "", [], "", evaluated, [], {}, "float32", -1, False)
    return training_run._measure(served, order)


def test_a_model_with_all_signatures_has_all_metrics_and_another_has_none_of_them(vocabulary, tmp_path):
    keras.utils.set_random_seed(0)
    config = OneTowerSettings()
    tokenizer = Tokenizer(vocabulary, config)
    objective = objectives.create(config, tokenizer.vocabulary_size)
    found = measured(export.ServedModel(objective, tokenizer, {}, "float32"), tmp_path / "one_tower")
    assert set(composition.METRICS) <= set(found[TEST])
    assert not set(composition.METRICS) & set(found["scenes"])
    assert all(0 <= found[TEST][name] <= 1 for name in (*composition.METRICS, *keywords.NAMES))
    assert all(0 <= found["scenes"][name] <= 1 for name in keywords.NAMES)
    assert found["scenes"]["pointing_accuracy_chance"] == 0.25
    assert found["scenes"]["pointing_accuracy"] in (0, 0.5, 1)
    assert math.isnan(found[TEST]["pointing_accuracy"])
    two = measured(export.ServedModel(*tiny_objective(vocabulary), {}, "float32"), tmp_path / "two_towers")
    assert {name for name in composition.METRICS if name not in two[TEST]} == {
        f"composed_pair_recall_at_{k}" for k in (1, 5, 10)
    }
    assert all(math.isnan(two["scenes"][name]) for name in (*pointing.NAMES, *keywords.NAMES))
