"""Values of ClipRocket and its terms that make no sense are refused at once, with name, value and fix."""

import dataclasses
import pathlib
import re

import pytest

from models.settings import (
    AugmentationSettings,
    BarlipSettings,
    ByolipSettings,
    ClipRocketSettings,
    SiamlipSettings,
    SwalipSettings,
    TextAugmentationSettings,
    TrainingSettings,
    configuration,
)

GIN = pathlib.Path(__file__).parents[3] / "gin"
STRONG = AugmentationSettings(
    min_area=0.08, jitter_probability=0.8, grey_probability=0.2, blur_probability=0.5, flip=True
)
VIEWS = {
    "global_images": AugmentationSettings(min_area=0.5),
    "local_images": STRONG,
    "global_texts": TextAugmentationSettings(stop_words=0.8),
    "local_texts": TextAugmentationSettings(stop_words=0.8, rewrites={"swap": 0.4, "delete": 0.2}, dropout=True),
}
"""The paper's; its rewrite "synonym", with a weight of .4, needs a file."""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ClipRocketSettings(terms=(BarlipSettings(), SiamlipSettings(), BarlipSettings(weight=2.0))),
            "ClipRocket.terms is ('Barlip', 'Siamlip', 'Barlip'), but must be different terms; name Barlip once",
        ),
        (
            lambda: ClipRocketSettings(terms=(SwalipSettings(),), label_smoothing=0.0, local_views=3),
            "ClipRocket.local_views is 3, but must be 2 for Swalip without prototypes; set it to 2",
        ),
        (
            lambda: ClipRocketSettings(terms=(SwalipSettings(prototypes=30),)),
            "ClipRocket.local_views is 2, but must be 0 for Swalip with prototypes; set it to 0",
        ),
        (
            lambda: ClipRocketSettings(terms=(SwalipSettings(),)),
            "ClipRocket.label_smoothing is 0.1, but must be 0 with Swalip, whose targets are soft already; set it to 0",
        ),
        (
            lambda: ClipRocketSettings(contrast="sigmoid"),
            "ClipRocket.label_smoothing is 0.1, but must be 0 with ClipRocket.contrast = 'sigmoid'",
        ),
        (lambda: ClipRocketSettings(contrast="hinge"), "ClipRocket.contrast is 'hinge', but must be one of softmax, s"),
        (
            lambda: ClipRocketSettings(local_views=-1),
            "ClipRocket.local_views is -1, but must be 0 or more; use 0 for the basic recipe",
        ),
        (lambda: ClipRocketSettings(label_smoothing=1.0), "ClipRocket.label_smoothing is 1.0, but must be in [0, 1)"),
        (lambda: ClipRocketSettings(logit_scale=200.0), "ClipRocket.logit_scale is 200.0, but must be in [1, 100]"),
        (lambda: ClipRocketSettings(ensemble_weight=1.5), "ClipRocket.ensemble_weight is 1.5, but must be in [0, 1]"),
        (
            lambda: ClipRocketSettings(ensemble_weight=0.5, local_views=0),
            "ClipRocket.ensemble_weight is 0.5, but must be None with ClipRocket.local_views = 0",
        ),
        (
            lambda: ClipRocketSettings(projection_dim=0),
            "ClipRocket.projection_dim is 0, but must be a number above 0; set ClipRocket.projection_dim to 1 or more",
        ),
        (
            lambda: BarlipSettings(weight=0.0),
            "Barlip.weight is 0.0, but must be a number above 0; set Barlip.weight to a number above 0, such as 0.025",
        ),
        (lambda: BarlipSettings(projector=()), "Barlip.projector is (), but must be a tuple of numbers above 0"),
        (lambda: SiamlipSettings(projector=(8, 0)), "Siamlip.projector is (8, 0), but must be a tuple of numbers abov"),
        (
            lambda: ByolipSettings(predictor=(8, 4)),
            "Byolip.predictor is (8, 4), but must be a tuple that ends in 128, as Byolip.projector; change either",
        ),
        (lambda: ByolipSettings(momentum=1.5), "Byolip.momentum is 1.5, but must be in [0, 1]"),
        (
            lambda: SwalipSettings(temperature=0.0),
            "Swalip.temperature is 0.0, but must be a number above 0; "
            "set Swalip.temperature to a number above 0, such as 0.05",
        ),
        (lambda: SwalipSettings(prototypes=-1), "Swalip.prototypes is -1, but must be 0 or more; correct it"),
    ],
)
def test_a_bad_value_is_refused(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.parametrize("name", ["clip_rocket", "barlip", "siamlip", "byolip", "swalip"])
def test_gin_files_give_the_sizes_of_the_paper_which_are_the_defaults(name):
    files = [str(GIN / "objective" / f"{name}.gin"), str(GIN / "optimizer" / "clip_rocket.gin")]
    (made,) = configuration.load(files, [], [TrainingSettings])
    default = {
        "barlip": BarlipSettings(),
        "siamlip": SiamlipSettings(),
        "byolip": ByolipSettings(),
        "swalip": SwalipSettings(),
    }
    expected = (default[name],) if name in default else ()
    smoothing = 0.0 if name == "swalip" else 0.1
    assert made.objective == ClipRocketSettings(terms=expected, label_smoothing=smoothing, **VIEWS)
    assert (made.optimizer.beta_2, made.optimizer.clip_norm) == (0.98, 0.0)
    assert made.schedule.warmup_steps == made.steps // 32
    assert made.schedule.final_share * made.optimizer.learning_rate == pytest.approx(1e-5)


def views(*bindings: str) -> dict[str, object]:
    (made,) = configuration.load([str(GIN / "objective" / "clip_rocket.gin")], list(bindings), [TrainingSettings])
    return {name: getattr(made.objective, name) for name in VIEWS}


@pytest.mark.parametrize(
    "binding",
    [
        "Augmentation.min_crop = 0.75",
        "Augmentation.max_crop = 1.1",
        "Augmentation.jitter_probability = 0.5",
        "Augmentation.grey_probability = 0.5",
        "Augmentation.blur_probability = 0.6",
        "Augmentation.solarise_probability = 0.5",
        "Augmentation.flip = True",
        "Augmentation.flip = False",
        "Augmentation.rand_augment_layers = 2",
        "TextAugmentation.stop_words = 0.1",
        "TextAugmentation.rewrites = {'swap': 1.0}",
        "TextAugmentation.dropout = True",
    ],
)
def test_a_binding_without_a_scope_leaves_the_weak_and_the_strong_augmentation_as_they_are(binding):
    assert views(binding) == VIEWS


def test_control_a_binding_without_a_scope_reaches_what_the_files_leave_open():
    found = views("Augmentation.source_size = 256")
    assert found["global_images"].source_size == found["local_images"].source_size == 256


def test_the_file_of_swalip_holds_the_paper_s_value_of_each_setting():
    """Also those that only prototypes use; a default that changes then changes no run."""
    text = (GIN / "objective" / "swalip.gin").read_text()
    bound = set(re.findall(r"^Swalip\.(\w+) = ", text, re.MULTILINE))
    assert bound == {field.name for field in dataclasses.fields(SwalipSettings)} - {"prototypes"}
