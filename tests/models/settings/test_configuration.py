"""Gin text becomes validated settings, and settings become gin text that makes them again."""

import pytest

from models.settings import ImageTowerSettings, LionSettings, SiglipSettings, TrainingSettings, configuration


def load(*bindings: str, files: tuple[str, ...] = ()) -> TrainingSettings:
    return configuration.load(files, bindings, [TrainingSettings])[0]


def test_bindings_make_nested_settings():
    made = load(
        "Training.steps = 700",
        "Training.objective = @Siglip()",
        "Siglip.image_tower = @ImageTower()",
        "ImageTower.size = 32",
    )
    assert made.steps == 700
    assert made.objective == SiglipSettings(image_tower=ImageTowerSettings(size=32))


def test_resolved_text_makes_the_same_settings_again():
    made = load("Training.objective = @Siglip()", "W = 300", "Training.steps = %W", "Siglip.logit_bias = -2.71")
    text = configuration.to_gin(made)
    assert configuration.parse(text, TrainingSettings) == made
    assert configuration.to_gin(configuration.parse(text, TrainingSettings)) == text
    assert "%" not in text
    assert "Siglip.logit_bias = -2.71" in text


def test_settings_themselves_know_nothing_of_gin():
    load("Training.steps = 700")
    assert TrainingSettings().steps == 1000


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("Training.stepz = 3", "doesn't have a parameter named 'stepz'"),
        ("Trainer.steps = 3", "No configurable matching 'Trainer'"),
        ("ImageTower.size = 32", "ImageTower.size is set, but nothing uses it"),
        ("eval/Training.steps = 3", "eval/Training.steps is set, but nothing uses it"),
        ("UNUSED = 3", "UNUSED is set, but nothing uses it"),
        ("Training.steps = ", "Unable to parse"),
        ("Training.batch_size = 1", "Training.batch_size is 1, but must be 2 or more"),
        ("Training.steps = 99", r"Schedule.warmup_steps is 100, but must be at most Training.steps \(99\)"),
        ("Training.micro_batches = 5", "Training.micro_batches is 5, but must be a divisor of Training.batch_size"),
        ("include 'no.gin'", "no.gin"),
    ],
)
def test_what_cannot_be_used_is_an_error(binding, message):
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


def test_includes_are_relative_to_the_file(tmp_path, monkeypatch):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "steps.gin").write_text("Training.steps = 500\n")
    (tmp_path / "main.gin").write_text("include 'parts/steps.gin'\nTraining.seed = 3\n")
    monkeypatch.chdir("/")
    made = load("Training.seed = 4", files=(str(tmp_path / "main.gin"),))
    assert (made.steps, made.seed) == (500, 4)


def test_a_later_file_may_replace_what_an_earlier_one_refers_to(tmp_path):
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
