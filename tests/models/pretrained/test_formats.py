"""Converts between all formats bit for bit, tests the command line, and serves a converted checkpoint."""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from absl import app, flags
from absl.testing import flagsaver

from models import pretrained, settings
from models.pretrained import __main__, vocabularies
from models.serving import export
from models.settings import configuration
from pipeline import zero_shot
from tests.models.pretrained.tiny import CONFIG, FIXTURE, assert_same, checkpoint
from tests.tiny_model import OBJECTIVE, tiny_objective

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _flags() -> None:
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory, vocabulary) -> pathlib.Path:
    """A folder with the SavedModel "7", as training exports it, and its weights by name in weights.npz."""
    folder = tmp_path_factory.mktemp("trained")
    objective, tokenizer = tiny_objective(vocabulary)
    gin_text = configuration.to_gin(settings.TrainingSettings(objective=OBJECTIVE, steps=300))
    export.save(objective, tokenizer, gin_text, str(folder / "7"))
    np.savez(folder / "weights.npz", **{variable.name: variable.numpy() for variable in objective.variables})
    return folder


def as_big_vision(config: settings.SiglipSettings) -> settings.SiglipSettings:
    """The settings after a round trip through an .npz, which does not hold how pictures and texts are prepared."""
    image = dataclasses.replace(config.image_tower, interpolation="bilinear", antialias=False)
    text = dataclasses.replace(config.text_tower, punctuation="canonicalize")
    return dataclasses.replace(config, image_tower=image, text_tower=text)


def run(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "models.pretrained", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)


def test_round_trip_through_all_formats_keeps_every_bit(tmp_path):
    vocabulary = str(FIXTURE / "spiece.model")
    first = pretrained.read(str(FIXTURE))
    odd = np.array([np.float32(-0.0), np.nextafter(np.float32(0), np.float32(1)), 1e-30], np.float32)
    first.weights["image_tower/patch_embedding/bias"][:3] = odd
    pretrained.write(first, str(tmp_path / "one.npz"))
    read = pretrained.read(str(tmp_path / "one.npz"), vocabulary, size=35)
    for number, target in enumerate(("saved_model", "hugging_face", "saved_model")):
        pretrained.write(read, str(tmp_path / str(number)), target)
        read = pretrained.read(str(tmp_path / str(number)))
    pretrained.write(read, str(tmp_path / "two.npz"))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert_same(first, read)
    through_both = dataclasses.replace(first.config.image_tower, interpolation="bilinear")  # Hugging Face antialiases
    assert dataclasses.replace(first.config, image_tower=through_both) == read.config
    assert first.vocabulary == read.vocabulary == (FIXTURE / "spiece.model").read_bytes()


def test_trained_model_is_read_with_its_settings(trained, vocabulary):
    loaded = pretrained.read(str(trained / "7"))
    assert loaded.config.text_tower == OBJECTIVE.text_tower
    with np.load(trained / "weights.npz") as weights:
        assert len(weights) == len(loaded.weights)
        for name, value in weights.items():
            np.testing.assert_array_equal(value, loaded.weights[name.removesuffix(":0")], err_msg=name)
    assert loaded.vocabulary == pathlib.Path(vocabulary).read_bytes()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("assets.extra/config.gin", "Siglip.nothing = 3", "config.gin cannot be read .*nothing"),
        (
            "assets.extra/config.gin",
            "Siglip.logit_bias = -3.0",
            r"checkpoint does not fit: image_tower/position_embedding is",
        ),
        ("assets.extra/config.gin", None, "config.gin cannot be read .*No such file"),
        ("variables/variables.index", "junk", "variables cannot be read"),
        ("assets/vocabulary.model", None, "assets has 0 files, but must have the vocabulary alone"),
    ],
)
def test_damaged_saved_model_is_refused(tmp_path, trained, name, change, message):
    damaged = pathlib.Path(shutil.copytree(trained / "7", tmp_path / "7"))
    (damaged / name).unlink() if change is None else (damaged / name).write_text(change)
    with pytest.raises(pretrained.PretrainedError, match=message):
        pretrained.read(str(damaged))


def test_softmax_model_is_refused(tmp_path, trained):
    other = pathlib.Path(shutil.copytree(trained / "7", tmp_path / "7"))
    softmax = settings.TrainingSettings(objective=settings.SoftmaxSettings())
    (other / "assets.extra" / export.GIN_FILE).write_text(configuration.to_gin(softmax))
    with pytest.raises(
        pretrained.PretrainedError, match="the objective is SoftmaxSettings, but must be SiglipSettings"
    ):
        pretrained.read(str(other))


@pytest.mark.slow  # three processes; no fast test sees a command line that succeeds
def test_checkpoint_converted_on_the_command_line_can_be_served(tmp_path):
    served, weights = tmp_path / "served", tmp_path / "weights.npz"
    done = run("convert", f"--from={FIXTURE}", f"--to={served}", "--format=saved_model", check=True)
    assert done.stdout.startswith(f"wrote {served} (saved_model, 80,938 parameters) from {FIXTURE}; ask it: python -m")
    assert "read 80,938 parameters" in done.stderr

    with np.load(FIXTURE / "answers.npz") as file:
        expected = dict(file)
    embed_text = tf.saved_model.load(str(served)).signatures["embed_text"]
    texts = tf.constant([str(text) for text in expected["texts"]])
    np.testing.assert_allclose(embed_text(text=texts)["text_embedding"], expected["text_embedding"], atol=1e-5)

    (tmp_path / "picture.png").write_bytes(expected["png"].tobytes())
    labels = ["A photo of a cat.", "two red rings"]
    answer = zero_shot.ask(zero_shot.make_client(str(served), None, None), [str(tmp_path / "picture.png")], labels)
    assert set(answer[str(tmp_path / "picture.png")]) == set(labels)

    run("convert", f"--from={served}", f"--to={weights}", check=True)
    assert_same(pretrained.read(str(weights)), pretrained.read(str(FIXTURE)))
    shown = run("inspect", f"--from={weights}", "--size=35", check=True).stdout
    assert "80,938 parameters" in shown
    assert "no vocabulary" in shown
    text = shown.split("\n", 1)[1]
    for objective, kind in (("Siglip", settings.SiglipSettings), ("Siglit", settings.SiglitSettings)):
        towers = f"{objective}.image_tower = @ImageTower()\n{objective}.text_tower = @TextTower()\n{text}"
        shown, expected = configuration.parse(towers, kind), as_big_vision(pretrained.read(str(FIXTURE)).config)
        assert (shown.image_tower, shown.text_tower) == (expected.image_tower, expected.text_tower)


SERVED = {"to": "{new}", "format": "saved_model"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"from": "nothing", "to": "{new}.npz"}, "nothing does not exist; name an .npz of big_vision"),
        ({"from": "tests", "to": "{new}.npz"}, "tests is not a checkpoint; name an .npz"),
        ({"from": "{fixture}", "to": "{new}"}, "is a folder, which needs --format=saved_model (to serve)"),
        ({"from": "{fixture}", "to": "{new}.npz", "format": "saved_model"}, "is for folders, but --to="),
        ({"from": "{fixture}", "to": "{old}", "format": "hugging_face"}, "is there already; remove it"),
        ({"from": "{fixture}", "to": "{new}.npz", "size": 35}, "--size=35 is for an .npz of big_vision"),
        ({"from": "{fixture}", "to": "{new}.npz", "vocabulary": "no"}, "--vocabulary=no cannot be read: No such"),
        ({"from": "{npz}", **SERVED}, "which a SavedModel needs; add --vocabulary"),
        (
            {"from": "{npz}", **SERVED, "vocabulary": "{fixture}/spiece.model"},
            "the vocabulary has 86 pieces, but text_tower/token_embedding/embeddings has 30 rows",
        ),
        ({"from": "{npz}", **SERVED, "vocabulary": __file__}, "the vocabulary is not a SentencePiece model"),
    ],
)
def test_mistakes_give_one_line_and_write_nothing(tmp_path, arguments, message):
    pretrained.write(checkpoint(), str(tmp_path / "weights.npz"))
    before = sorted(tmp_path.iterdir())
    names = {"new": tmp_path / "new", "old": tmp_path, "fixture": FIXTURE, "npz": tmp_path / "weights.npz"}
    given = {name: value.format(**names) if isinstance(value, str) else value for name, value in arguments.items()}
    with flagsaver.flagsaver(**given), pytest.raises(SystemExit, match=re.escape(message)) as told:
        __main__.main(["models.pretrained", "convert"])
    assert str(told.value).startswith("error: ")
    assert sorted(tmp_path.iterdir()) == before


def test_wrong_usage_is_explained():
    failed = run("sell", "--from=x")
    assert failed.returncode != 0
    assert "name what to do, convert or inspect" in failed.stdout + failed.stderr
    assert "Traceback" not in failed.stderr
    with flagsaver.flagsaver(**{"from": "x"}), pytest.raises(app.UsageError, match="convert needs --from and --to"):
        __main__.main(["models.pretrained", "convert"])


@pytest.mark.parametrize(
    ("target", "folder_format"), [("new.npz", None), ("new", "hugging_face"), ("new", "saved_model")]
)
def test_failed_write_leaves_no_file(tmp_path, monkeypatch, target, folder_format):
    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    loaded = pretrained.read(str(FIXTURE))
    monkeypatch.setattr(os, "rename", fail)
    monkeypatch.setattr("tensorflow.io.gfile.rename", lambda *_, **__: fail())
    with pytest.raises(OSError, match="No space left"):
        pretrained.write(loaded, str(tmp_path / target), folder_format)
    assert not list(tmp_path.iterdir())


def test_extra_pieces_of_the_multilingual_vocabulary_are_cut_off(tmp_path):
    """mT5's vocabulary ends in pieces for which SigLIP has no embeddings."""
    model = (FIXTURE / "spiece.model").read_bytes()
    extra = b"".join(_piece(f"▁<extra_id_{i}>".encode()) for i in range(3))
    fitted = vocabularies.fit(model + extra, 86, "a file")
    assert fitted == model
    loaded = dataclasses.replace(pretrained.read(str(FIXTURE)), vocabulary=model)
    (tmp_path / "uncut.model").write_bytes(model + extra)
    with pytest.raises(pretrained.PretrainedError, match=r"has more pieces than .*; set Vocabulary.path to assets/"):
        pretrained.require_same_vocabulary(loaded, str(tmp_path / "uncut.model"), ("text_tower",))
    (tmp_path / "other.model").write_bytes(model + _piece("▁cat".encode()))
    with pytest.raises(pretrained.PretrainedError, match="was trained with another vocabulary than"):
        pretrained.require_same_vocabulary(loaded, str(tmp_path / "other.model"), ("text_tower",))
    with pytest.raises(pretrained.PretrainedError, match=r"has 89 pieces, but .* has 85 rows"):
        vocabularies.fit(model + extra, 85, "a file")
    with pytest.raises(pretrained.PretrainedError, match=r"has 87 pieces, but .* has 86 rows"):
        vocabularies.fit(model + _piece("▁cat".encode() + b"alogue"), 86, "a file")


def _piece(text: bytes) -> bytes:
    """A serialized ModelProto of one piece: its text and a score."""
    inner = b"\x0a" + bytes([len(text)]) + text + b"\x15\x00\x00\x00\x00"
    return b"\x0a" + bytes([len(inner)]) + inner


def test_checkpoint_checks_weights_against_settings():
    weights = dict(checkpoint().weights)
    del weights["text_tower/head/bias"]
    weights["text_tower/head/kernel"] = np.zeros([3, 4], np.float32)
    message = r"text_tower/head/kernel is \[3, 4\], not \[16, 24\]; text_tower/head/bias is missing, not \[24\]"
    with pytest.raises(pretrained.PretrainedError, match=message):
        pretrained.Checkpoint(CONFIG, weights, None, "made up")
