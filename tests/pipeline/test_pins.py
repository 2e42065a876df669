"""The driver pins a pretrained checkpoint and a vocabulary file by version and by content."""

import dataclasses
import pathlib
import pickle

import numpy as np
import pytest

from beam.dedupe import DeduperSettings
from beam.evaluation_sets import EvaluationSetSettings
from beam.sources import JsonlSource
from models import pretrained
from models.layers import visual_codes
from models.settings import (
    ClipRocketSettings,
    PretrainedSettings,
    SimlaSettings,
    TextAugmentationSettings,
    TrainingSettings,
    VisualCodebookSettings,
)
from pipeline import pins
from pipeline.settings.run import PipelineSettings, VocabularySettings


def pinned(path, sha256: str = "") -> PretrainedSettings:
    settings = PretrainedSettings(path=str(path), sha256=sha256)
    run = PipelineSettings(training=TrainingSettings(pretrained=settings))
    found = pins.pin(run).training.pretrained
    assert found is not None
    return found


def test_newest_pushed_model_is_pinned_by_its_content(tmp_path):
    for version in ("9", "10"):
        (tmp_path / version / "variables").mkdir(parents=True)
        (tmp_path / version / "variables" / "data").write_text(version)
        (tmp_path / version / "saved_model.pb").write_text(version)
    (tmp_path / "11").mkdir()  # a push that has not ended
    first = pinned(tmp_path)
    assert first.path == str(tmp_path / "10")
    assert len(first.sha256) == 64
    assert pinned(tmp_path) == first
    assert pinned(tmp_path / "9").sha256 != first.sha256
    (tmp_path / "10" / "variables" / "data").write_text("11")
    assert pinned(tmp_path).sha256 != first.sha256
    with pytest.raises(ValueError, match=r"Pretrained.sha256 is .*, but .* has .*; name the file with that hash"):
        pinned(tmp_path, first.sha256)


def test_vocabulary_file_is_pinned_and_a_missing_one_is_named(tmp_path):
    file = tmp_path / "spiece.model"
    run = PipelineSettings(vocabulary=VocabularySettings(path=str(file)))
    with pytest.raises(ValueError, match=r"Vocabulary.path is .*spiece.model', but there is no such file"):
        pins.pin(run)
    file.write_bytes(b"one")
    one = pins.pin(run).vocabulary
    file.write_bytes(b"two")
    assert pins.pin(run).vocabulary.sha256 != one.sha256
    assert dataclasses.replace(one, sha256="") == run.vocabulary


def codebook(patch: int, codes: int = 2) -> bytes:
    centres = np.zeros((codes, 3 * patch * patch + 1), np.float32)
    return visual_codes.as_bytes(visual_codes.Codebook(centres, np.ones(codes, np.float32), patch))


def test_a_codebook_is_pinned_and_a_missing_or_bad_one_is_named(tmp_path):
    file = tmp_path / "book.npz"
    objective = SimlaSettings(visual_codebook=VisualCodebookSettings(path=str(file)))
    run = PipelineSettings(training=TrainingSettings(objective))
    with pytest.raises(ValueError, match=r"VisualCodebook.path is .*book.npz', but there is no such file"):
        pins.pin(run)
    with pytest.raises(ValueError, match=r"VisualCodebook makes one if VisualCodebook.path is left out"):
        pins.pin(run)
    file.write_bytes(codebook(patch=16))
    one = pins.pin(run).training.objective
    assert len(one.visual_codebook.sha256) == 64
    file.write_bytes(codebook(patch=8))
    with pytest.raises(ValueError, match=r"is of patches of 8 pixels, but ImageTower.patch is 16"):
        pins.pin(run)
    file.write_bytes(pickle.dumps([1]))
    with pytest.raises(ValueError, match=r"a pickle is never loaded"):
        pins.pin(run)
    file.write_bytes(codebook(patch=16, codes=3))
    assert pins.pin(run).training.objective != one
    with pytest.raises(ValueError, match=r"VisualCodebook.sha256 is .*, but .* has .*; name the file with that hash"):
        pins.pin(dataclasses.replace(run, training=TrainingSettings(one)))


def test_a_file_of_synonyms_is_pinned_and_a_bad_one_is_named(tmp_path):
    file = tmp_path / "synonyms.tsv"
    texts = TextAugmentationSettings(rewrites={"synonym": 1.0}, synonyms=str(file))
    run = PipelineSettings(training=TrainingSettings(ClipRocketSettings(local_texts=texts)))
    with pytest.raises(ValueError, match=r"TextAugmentation.synonyms is .*synonyms.tsv', but there is no such file"):
        pins.pin(run)
    file.write_text("dog\thound\n")
    one = pins.pin(run).training.objective
    assert len(one.local_texts.synonyms_sha256) == 64
    assert one.global_texts is None
    file.write_text("dog\tpuppy\n")
    assert pins.pin(run).training.objective != one
    with pytest.raises(ValueError, match=r"TextAugmentation.synonyms_sha256 is .* but .* has .*"):
        pins.pin(dataclasses.replace(run, training=TrainingSettings(one)))
    file.write_text("dog hound\n")
    with pytest.raises(ValueError, match="line 1: 'dog hound': it must be word<TAB>synonym,synonym"):
        pins.pin(run)


def test_a_missing_checkpoint_says_how_to_make_one(tmp_path):
    with pytest.raises(ValueError, match=r"Pretrained.path is .*serving'.*`make quickstart` publishes"):
        pinned(tmp_path / "serving")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="there is no such file"):
        pinned(tmp_path / "empty")


def test_settings_without_files_are_unchanged():
    assert pins.pin(PipelineSettings()) == PipelineSettings()


def test_checkpoint_that_training_would_refuse_is_refused_before_anything_runs(tmp_path, capsys):
    folder = pathlib.Path(__file__).parents[1] / "fixtures" / "hugging_face_siglip"
    checkpoint = pretrained.read(str(folder))
    objective = dataclasses.replace(TrainingSettings().objective, **vars(checkpoint.config))
    run = PipelineSettings(
        training=TrainingSettings(objective=objective, pretrained=PretrainedSettings(path=str(folder))),
        vocabulary=VocabularySettings(path=str(folder / "spiece.model")),
    )
    pins.require_fit(run)
    assert "note" not in capsys.readouterr().out

    with pytest.raises(ValueError, match=r"Vocabulary\.path is ''"):
        pins.require_fit(dataclasses.replace(run, vocabulary=VocabularySettings()))
    other = dataclasses.replace(run.training, objective=TrainingSettings().objective)
    with pytest.raises(pretrained.PretrainedError, match=r"is .* in the checkpoint and .* in the model"):
        pins.require_fit(dataclasses.replace(run, training=other))
    bilinear = dataclasses.replace(objective.image_tower, interpolation="bilinear")
    changed = dataclasses.replace(objective, image_tower=bilinear)
    pins.require_fit(dataclasses.replace(run, training=dataclasses.replace(run.training, objective=changed)))
    note = "note: image_tower's interpolation is 'bicubic' in the checkpoint and 'bilinear' in the model"
    assert note in capsys.readouterr().out


def with_set(path: str, deduper: DeduperSettings | None = None) -> PipelineSettings:
    one = EvaluationSetSettings("night", JsonlSource(path=path))
    return PipelineSettings(evaluation_sets=(one,), deduper=deduper)


def test_an_evaluation_set_takes_the_newest_span(tmp_path):
    pattern = str(tmp_path / "day-{SPAN}" / "*.jsonl")
    with pytest.raises(ValueError, match=r"EvaluationSet 'night': the source's path is .* but no span has files"):
        pins.pin(with_set(pattern))
    for day in (9, 10):
        (tmp_path / f"day-{day}").mkdir()
        (tmp_path / f"day-{day}" / "a.jsonl").write_text("{}\n")
    (one,) = pins.pin(with_set(pattern)).evaluation_sets
    assert one.source.path == str(tmp_path / "day-10" / "*.jsonl")
    with pytest.raises(ValueError, match=r"'\?' must not be before \{SPAN\}; use \* there"):
        pins.pin(with_set(str(tmp_path / "da?-{SPAN}" / "*.jsonl")))


def test_a_missing_evaluation_set_of_the_deduper_is_told_before_anything_runs(tmp_path):
    rows = tmp_path / "a.jsonl"
    rows.write_text("{}\n")
    run = with_set(str(rows), DeduperSettings(evaluation_sets={"coco": str(tmp_path / "missing")}))
    with pytest.raises(ValueError, match=r"Deduper.evaluation_sets: no shard matches .*missing"):
        pins.require_inputs(run)
    pins.require_evaluation_sets(run)  # an evaluation without a run does not need it
