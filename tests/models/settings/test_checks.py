"""Settings check the types of their values when they are made."""

import typing

import pytest

from beam.augment.augment import AugmenterSettings
from beam.build import ImageTextGenSettings
from beam.dedupe import DeduperSettings
from beam.evaluation_sets import EvaluationSetSettings
from beam.sources import JsonlSource, UrlListSource
from beam.writer import Layout
from components.infra_validator.settings import InfraValidatorSettings
from models.settings import (
    AdamWSettings,
    BarlipSettings,
    ClipRocketSettings,
    SiglitSettings,
    TextAugmentationSettings,
    TrainingSettings,
    checks,
)
from models.settings.checks import DECLARED, label, settings_class


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DeduperSettings(borders="no"), "Deduper.borders is 'no', but must be of type bool"),
        (lambda: DeduperSettings(image_distance=2.5), "Deduper.image_distance is 2.5, but must be of type int"),
        (lambda: DeduperSettings(exact=["pixels"]), r"Deduper.exact is \['pixels'\], but must be of type tuple"),
        (lambda: AugmenterSettings(variants=True), "Augmenter.variants is True, but must be of type int"),
        (
            lambda: AugmenterSettings(rewrites={"swap": "1"}),
            r"Augmenter.rewrites is {'swap': '1'}, but must be",
        ),
        (lambda: Layout({"train": 0.8}, 1, "x"), r"Layout.splits is {'train': 0.8}, but must be of type dict"),
        (
            lambda: ImageTextGenSettings(source="a.jsonl"),
            "ImageTextGen.source is 'a.jsonl', but must be of type S",
        ),
        (lambda: JsonlSource(path=3), "JsonlSource.path is 3, but must be of type str"),
        (lambda: UrlListSource(timeout="10"), "UrlListSource.timeout is '10', but must be of type float"),
        (lambda: EvaluationSetSettings(classes=("a", 1)), r"EvaluationSet.classes is \('a', 1\), but must be of type"),
        (lambda: InfraValidatorSettings(rows=1.0), "InfraValidator.rows is 1.0, but must be of type int"),
        (lambda: SiglitSettings(precomputed=1), "Siglit.precomputed is 1, but must be of type bool"),
        (
            lambda: TrainingSettings(optimizer=SiglitSettings()),
            r"Training.optimizer is @Siglit\(\), but must be of type Optimizer; .* @Adafactor\(\), @AdamW\(\), @Lion",
        ),
        (
            lambda: ClipRocketSettings(terms=BarlipSettings()),
            r"terms is @Barlip\(\), but must be of type tuple\[Term, ...\]; write \(@Barlip\(\),\), with the comma",
        ),
        (
            lambda: ClipRocketSettings(terms=("Barlip",)),
            r"terms is \('Barlip',\), but .*; it may be @Barlip\(\), @Byolip\(\), @Siamlip\(\), @Swalip\(\)$",
        ),
        (
            lambda: ClipRocketSettings(local_images=TextAugmentationSettings()),
            r"is @TextAugmentation\(\), but must be of type @Augmentation\(\) or None; .* may be @Augmentation\(\)$",
        ),
        (
            lambda: BarlipSettings(projector=8),
            r"Barlip.projector is 8, but .* tuple\[int, ...\]; write \(8,\), with the",
        ),
        (
            lambda: TrainingSettings(profile_steps=(1, "2")),
            r"Training.profile_steps is \(1, '2'\), but must be of t",
        ),
    ],
)
def test_value_of_another_type_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_whole_numbers_become_floats_and_nothing_else_changes():
    made = AdamWSettings(learning_rate=1, multipliers={"image": 1})
    assert isinstance(made.learning_rate, float)
    assert made == AdamWSettings(learning_rate=1.0, multipliers={"image": 1.0})


def test_a_base_class_without_a_name_checks_too():
    @settings_class()
    class Base:
        size: int = 1

    @settings_class()
    class Sub(Base):
        name: str = ""

    assert Base not in DECLARED
    for make in (lambda: Base(size="1"), lambda: Sub(size="1"), lambda: Sub(name=1)):
        with pytest.raises(ValueError, match="but must be of type"):
            make()
    assert label(Sub(), "size") == "Sub.size"


def test_every_annotation_of_settings_has_a_name_that_gin_knows():
    kinds = {checks._kind(hint) for cls in DECLARED for hint in typing.get_type_hints(cls).values()}
    assert {"@Augmentation() or None", "tuple[Term, ...]", "Optimizer"} <= kinds
    assert not [kind for kind in kinds if "." in kind.replace("...", "") or "Settings" in kind]
