"""Gin text makes checked settings, and settings make gin text that makes equal settings."""

import dataclasses

import pytest

from beam.sources import UrlListSource
from models.settings import (
    AugmentationSettings,
    BarlipSettings,
    ByolipSettings,
    ClipRocketSettings,
    ImageTowerSettings,
    LionSettings,
    ObjectiveSettings,
    SiglipSettings,
    TrainingSettings,
    configuration,
)
from models.settings.checks import settings_class


@settings_class("Towerless")
class TowerlessSettings(ObjectiveSettings):
    """An objective without towers."""

    image_input = text_input = property(lambda self: self)


@settings_class("Today", formerly={"Former": "Today"})
class TodaySettings:
    """A class with a former name."""

    value: int = 0
    text: str = ""


@settings_class("Holder", formerly={"Holder.former": "Holder.today"})
class HolderSettings:
    """A class whose field has a former name."""

    today: TodaySettings = TodaySettings()


def load(*bindings: str, files: tuple[str, ...] = ()) -> TrainingSettings:
    return configuration.load(files, bindings, [TrainingSettings])[0]


@pytest.mark.parametrize("binding", ["Checkpoint.every = 10", "Logging.every = 3", "Augmentation.min_crop = 0.5"])
def test_a_nested_default_needs_no_reference(binding):
    name, value = binding.split(" = ")
    made = load(binding)
    owner, field = name.split(".")
    assert getattr(getattr(made, owner.lower()), field) == float(value)
    assert load() != made


def test_a_nested_default_of_a_nested_default_is_made_by_gin():
    assert load("ImageTower.size = 32").objective == SiglipSettings(image_tower=ImageTowerSettings(size=32))


def test_a_nested_default_keeps_its_own_values():
    """UrlListSource reads tab-separated files; a binding of CsvSource changes the bound field only."""
    (made,) = configuration.load([], ["CsvSource.header = ('caption', 'url', 'id')"], [UrlListSource])
    assert made.rows == dataclasses.replace(UrlListSource().rows, header=("caption", "url", "id"))


def test_a_gin_file_may_bind_a_tower_that_the_objective_lacks(tmp_path):
    towerless = "Training.objective = @Towerless()"
    (tmp_path / "model.gin").write_text("ImageTower.size = 32\nTextTower.length = 8\n")
    assert load(towerless, files=(str(tmp_path / "model.gin"),)).objective == TowerlessSettings()
    with pytest.raises(configuration.ConfigurationError, match=r"ImageTower.size is set, but nothing uses it"):
        load(towerless, "ImageTower.size = 32")
    (tmp_path / "typo.gin").write_text("ImageTower.sice = 32\n")
    with pytest.raises(configuration.ConfigurationError, match="sice"):
        load(towerless, files=(str(tmp_path / "typo.gin"),))


def test_former_names_work_for_one_release(tmp_path, capsys):
    (tmp_path / "old.gin").write_text("Former.value = 3\nHolder.former = @Former()  # 'Former.value' stays\n")
    (made,) = configuration.load([str(tmp_path / "old.gin")], ["Former.text = 'Former.value'"], [HolderSettings])
    assert made.today == TodaySettings(3, "Former.value")
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == 3
    assert all("Former is now Today" in note or "Holder.former is now Holder.today" in note for note in notes)


def test_bindings_make_nested_settings():
    made = load(
        "Training.steps = 700",
        "Training.objective = @Siglip()",
        "Siglip.image_tower = @ImageTower()",
        "ImageTower.size = 32",
    )
    assert made.steps == 700
    assert made.objective == SiglipSettings(image_tower=ImageTowerSettings(size=32))


def test_resolved_text_makes_equal_settings():
    made = load("Training.objective = @Siglip()", "W = 300", "Training.steps = %W", "Siglip.logit_bias = -2.71")
    text = configuration.to_gin(made)
    assert configuration.parse(text, TrainingSettings) == made
    assert configuration.to_gin(configuration.parse(text, TrainingSettings)) == text
    assert "%" not in text
    assert "Siglip.logit_bias = -2.71" in text


def test_two_settings_of_one_class_stay_apart():
    """Training.augmentation, and the augmentation of a kind of views."""
    weak, strong = AugmentationSettings(min_area=0.5), AugmentationSettings(min_area=0.08, flip=True)
    for local in (weak, strong, None):
        made = TrainingSettings(
            objective=ClipRocketSettings(global_images=weak, local_images=local), augmentation=AugmentationSettings()
        )
        text = configuration.to_gin(made)
        assert configuration.parse(text, TrainingSettings) == made
        assert ("local_images/Augmentation.min_area = 0.08" in text) == (local is strong)


def test_terms_are_named_in_gin():
    made = load("Training.objective = @ClipRocket()", "ClipRocket.terms = (@Barlip(), @Byolip())", "Barlip.weight = .5")
    assert made.objective.terms == (BarlipSettings(weight=0.5), ByolipSettings())
    assert configuration.parse(configuration.to_gin(made), TrainingSettings) == made


def test_settings_made_without_gin_ignore_its_bindings():
    load("Training.steps = 700")
    assert TrainingSettings().steps == 1000


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("Training.stepz = 3", r"(?s)doesn't have a parameter named 'stepz'.*Did you mean steps"),
        (
            "Training.xyzzy = 3",
            r"(?s)'xyzzy'.*The fields of Training that this command knows: augmentation",
        ),
        ("Trainer.steps = 3", r"(?s)No configurable matching 'Trainer'.*Did you mean .*Training"),
        ("Training.optimizer = @AdamW", r"Training.optimizer is @AdamW, without \(\), but must be of type Optimizer"),
        (
            "Training.profile_steps = (@AdamW,)",
            r"Training.profile_steps is \(@AdamW, without \(\),\), but must be of type",
        ),
        ("Pretrained.path = x.npz", "put a text in quotes"),
        ("Softmax.logit_scale = 3.0", r"Softmax.logit_scale is set, but .*, or add Training.objective = @Softmax\(\)"),
        ("Pretrained.path = 'x'", r"Pretrained.path is set, but .*, or add Training.pretrained = @Pretrained\(\)"),
        ("eval/Training.steps = 3", "eval/Training.steps is set, but nothing uses it"),
        ("UNUSED = 3", "UNUSED is set, but nothing uses it"),
        ("Training.steps = ", "Unable to parse"),
        ("Training.batch_size = 1", "Training.batch_size is 1, but must be 2 or more"),
        ("Training.steps = 99", r"Schedule.warmup_steps is 100, but must be at most Training.steps \(99\)"),
        ("Training.micro_batches = 5", "Training.micro_batches is 5, but must be a divisor of Training.batch_size"),
        ("include 'no.gin'", "no.gin"),
    ],
)
def test_unusable_binding_is_an_error(binding, message):
    with pytest.raises(configuration.ConfigurationError, match=message):
        load(binding)
    assert load().steps == 1000  # and leaves nothing behind


def test_each_of_several_files_has_its_own_includes(tmp_path):
    for name, steps in (("a", 500), ("b", 600)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part.gin").write_text(f"Training.steps = {steps}\n")
        (tmp_path / name / "main.gin").write_text("include 'part.gin'\n")
    paths = {name: str(tmp_path / name / "main.gin") for name in ("a", "b")}
    assert load(files=(paths["a"], paths["b"])).steps == 600
    assert load(files=(paths["b"], paths["a"])).steps == 500


def test_missing_file_is_named():
    with pytest.raises(configuration.ConfigurationError, match=r"no/such\.gin: no such file"):
        load(files=("no/such.gin",))


def test_nested_includes_are_relative_to_the_including_file(tmp_path, monkeypatch):
    """A user's file, outside the project, includes a file of the project, which includes others."""
    (tmp_path / "project" / "parts").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "project" / "parts" / "steps.gin").write_text("include 'seed.gin'\nTraining.steps = 500\n")
    (tmp_path / "project" / "parts" / "seed.gin").write_text("Training.seed = 5\n")
    (tmp_path / "project" / "main.gin").write_text("include 'parts/steps.gin'\n")
    (tmp_path / "mine" / "parts").mkdir()
    (tmp_path / "mine" / "parts" / "steps.gin").write_text("Training.steps = 1\n")  # not this one
    (tmp_path / "mine" / "last.gin").write_text("Training.batch_size = 8\n")
    (tmp_path / "mine" / "own.gin").write_text("include '../project/main.gin'\ninclude 'last.gin'\n")
    monkeypatch.chdir("/")
    made = load(files=(str(tmp_path / "mine" / "own.gin"),))
    assert (made.steps, made.seed, made.batch_size) == (500, 5, 8)


def test_a_cycle_of_includes_is_one_error(tmp_path):
    (tmp_path / "a.gin").write_text("include 'b.gin'\n")
    (tmp_path / "b.gin").write_text("include 'a.gin'\n")
    with pytest.raises(configuration.ConfigurationError, match=r"a\.gin includes .*b\.gin includes .*a\.gin"):
        load(files=(str(tmp_path / "a.gin"),))
    assert load().steps == 1000


def test_an_error_names_the_included_file(tmp_path):
    (tmp_path / "part.gin").write_text("Training.stepz = 5\n")
    (tmp_path / "main.gin").write_text("include 'part.gin'\n")
    with pytest.raises(configuration.ConfigurationError, match=r"part\.gin"):
        load(files=(str(tmp_path / "main.gin"),))


def test_includes_are_relative_to_the_including_file(tmp_path, monkeypatch):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "steps.gin").write_text("Training.steps = 500\n")
    (tmp_path / "main.gin").write_text("include 'parts/steps.gin'\nTraining.seed = 3\n")
    monkeypatch.chdir("/")
    made = load("Training.seed = 4", files=(str(tmp_path / "main.gin"),))
    assert (made.steps, made.seed) == (500, 4)


def test_a_later_file_may_replace_a_class_of_an_earlier_file(tmp_path):
    (tmp_path / "first.gin").write_text("Training.optimizer = @AdamW()\nAdamW.beta_2 = 0.9\n")
    (tmp_path / "second.gin").write_text("Training.optimizer = @Lion()\nLion.beta_2 = 0.8\n")
    files = tuple(str(tmp_path / f"{name}.gin") for name in ("first", "second"))
    assert load(files=files).optimizer == LionSettings(beta_2=0.8)
    assert load("Training.optimizer = @Lion()", files=files[:1]).optimizer == LionSettings()
    (tmp_path / "stray.gin").write_text("AdamW.beta_2 = 0.9\nTraining.optimizer = @Lion()\n")
    with pytest.raises(configuration.ConfigurationError, match=r"AdamW.beta_2 is set, but nothing uses it"):
        load(files=(str(tmp_path / "stray.gin"),))
    with pytest.raises(configuration.ConfigurationError, match=r"Adafactor.beta_1 is set, but nothing uses it"):
        load("Adafactor.beta_1 = 0.9", files=files)
    with pytest.raises(configuration.ConfigurationError, match=r"AdamW.beta_2 is set, but nothing uses it"):
        load("AdamW.beta_2 = 0.8", files=files)  # on the command line, nothing is ignored
