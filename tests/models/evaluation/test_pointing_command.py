"""The command that measures pointing in scenes compares a model with an untrained one and with exchanged captions."""

import dataclasses
import re
from collections import defaultdict

import numpy as np
import pytest
import tf_keras as keras

from beam.exported_model import ExportedModel
from beam.records import ImageText
from components.metrics import saved_model_metrics
from models import objectives, settings
from models.inputs.tokenizer import Tokenizer
from models.pretrained import saved_model
from models.serving import export
from models.settings import configuration
from tests.benchmarks import pointing
from tests.models.training.shapes import CONFIG, write_shards
from tests.pictures import shape_pairs

TINY = settings.OnerSettings(settings.OneTowerSettings(8, 1, 1, 8, size=24, patch=8, length=12, projection_dim=8))
NAMES = ("pointing_accuracy", "pointing_among_objects")
BOXES = ((0.0, 0.0, 0.4, 1.0), (0.4, 0.0, 1.0, 1.0))
ROWS = [
    ImageText(f"k{i}-{j}", picture, f"{caption} {j}", "x:1", "t", group=f"k{i}", boxes=box)
    for i, (picture, caption, _) in enumerate(shape_pairs()[::4])
    for j, box in enumerate(BOXES)
]
EXAMPLES = [row.to_example() for row in ROWS]


@pytest.fixture(scope="module")
def made(vocabulary, tmp_path_factory) -> tuple[str, str]:
    """A tiny Oner with drawn weights, and scenes of two objects."""
    folder = tmp_path_factory.mktemp("pointing")
    keras.utils.set_random_seed(5)
    tokenizer = Tokenizer(vocabulary, TINY.text_input)
    objective = objectives.create(TINY, tokenizer.vocabulary_size)
    gin = configuration.to_gin(dataclasses.replace(CONFIG, objective=TINY))
    export.save(objective, tokenizer, gin, str(folder / "model"))
    write_shards(folder / "Split-scenes", 1, EXAMPLES)
    return str(folder / "model"), str(folder / "Split-scenes")


@pytest.mark.slow
def test_it_prints_both_metrics_with_intervals_and_chances_for_three_models(made):
    path, split = made
    printed = pointing.measure(path, split).splitlines()
    assert printed[0].startswith("120 rows of ")
    number, interval = r"(\d\.\d{3})", r" \((\d\.\d{3}) to (\d\.\d{3})\) +(\d\.\d{3})"
    pattern = rf"(.*?) +{(number + interval + ' *') * 2}"
    cells = [re.fullmatch(pattern, line).groups() for line in printed[2:]]
    found = {name.strip(): [float(one) for one in values] for name, *values in cells}
    assert list(found) == ["model", "untrained, seed 0", "captions exchanged"]
    model = ExportedModel(path)
    right = saved_model_metrics.measure(model, split, -1)
    assert found["model"] == pytest.approx(
        [right[f"{name}{end}"] for name in NAMES for end in ("", "_low", "_high", "_chance")], abs=6e-4
    )
    assert found["model"][3] == pytest.approx(0.5)  # the mean of .4 and .6
    assert found["model"][7] == 0.5  # of two objects


def test_the_exchanged_captions_are_asked_of_the_given_model(tmp_path, monkeypatch):
    write_shards(tmp_path / "rows", 1, EXAMPLES)
    asked = []
    monkeypatch.setattr(pointing, "untrained", lambda path, seed: ("untrained", path, seed))
    monkeypatch.setattr(pointing, "ExportedModel", lambda path, required: ("given", path, required))
    monkeypatch.setattr(pointing, "figures", lambda model, rows: asked.append((model, rows)) or defaultdict(float))
    pointing.measure("a model", str(tmp_path / "rows"), 3)
    exchanged = pointing.with_captions_exchanged(EXAMPLES, 3)
    given = ("given", "a model", ("localize",))
    assert asked == [(("untrained", "a model", 3), EXAMPLES), (given, EXAMPLES), (given, exchanged)]


@pytest.mark.slow
def test_the_untrained_model_is_that_of_its_seed(made):
    path, _ = made
    one, same, other = (pointing.untrained(path, seed) for seed in (1, 1, 2))
    kernels = [next(v.numpy() for v in model.exported if "projection" in v.name) for model in (one, same, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    trained = saved_model.read_trained(path).weights["one_tower/projection/kernel"]
    for others in (kernels[2], trained):
        assert np.abs(kernels[0] - others).max() > 1e-2


def test_captions_are_exchanged_over_all_rows_and_nothing_else_is():
    exchanged = [ImageText.from_example(one, "x") for one in pointing.with_captions_exchanged(EXAMPLES, 0)]
    assert sorted(one.caption for one in exchanged) == sorted(row.caption for row in ROWS)
    assert sum(one.caption == row.caption for one, row in zip(exchanged, ROWS, strict=True)) < 12
    for one, row in zip(exchanged, ROWS, strict=True):
        assert dataclasses.replace(one, caption=row.caption, position=row.position).to_example() == row.to_example()


def test_rows_without_boxes_are_refused(tmp_path):
    write_shards(tmp_path / "rows", 1, [dataclasses.replace(ROWS[0], boxes=()).to_example()])
    with pytest.raises(ValueError, match="has 1 rows, but none with boxes"):
        pointing.measure("no model", str(tmp_path / "rows"))
