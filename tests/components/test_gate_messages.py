"""The gate's message on a set that is too small has the count, the need, the chance level and the fix."""

import pytest

from components.metrics import eval_config
from components.metrics.settings import GateSettings
from components.run_report import gate
from models import features
from models.evaluation import metrics


@pytest.mark.parametrize("place", ["eval", "coco"])
def test_too_small_set_is_reported_with_chance_and_fix(place):
    rules = {"image_to_text_recall_at_1": 0.1, "text_to_image_recall_at_5": 0.2, "zero_shot_accuracy": 0.3}
    settings = GateSettings(min_value={f"{place}/{metric}": value for metric, value in rules.items()})
    thresholds = eval_config.create(settings).metrics_specs[0].per_slice_thresholds
    key = ((features.EVALUATION_SET, place),)

    def messages(pictures: int, classes: int, right: float = 1.0) -> list[str]:
        values = {metrics.PICTURES: float(pictures), metrics.CLASSES: float(classes), metrics.RIGHT_CLASSES: right}
        values[metrics.CLASSES_PER_RIGHT] = classes / right
        return gate._too_few(key, values, metrics.chance(pictures, classes, values), thresholds)

    pictures, classes = messages(20, 3)
    share = ", give the eval split a larger share (ImageTextGen.eval_share)" if place == "eval" else ""
    assert pictures == (
        f"{place} has 20 pictures, but the gate needs 75 or more, because an untrained model could pass: "
        "image_to_text_recall_at_1 has a chance level of 0.050 and a smallest value of 0.100; "
        "text_to_image_recall_at_5 has a chance level of 0.250 and a smallest value of 0.200. "
        f"Bring more rows{share}, or raise Gate.min_value"
    )
    assert f"{place} has 3 zero-shot classes, but the gate needs 4 or more" in classes
    assert "zero_shot_accuracy has a chance level of 0.333 and a smallest value of 0.300" in classes
    assert messages(75, 4) == []
    assert messages(75, 12, right=3.0) == []
    (several,) = messages(75, 10, right=3.0)  # control: ten classes would be enough for one right one
    assert f"{place} has 3.33333 zero-shot classes for each right one, but the gate needs 4 or more" in several
    assert "zero_shot_accuracy has a chance level of 0.300 and a smallest value of 0.300" in several
