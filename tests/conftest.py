"""Fixtures that the tests of several packages share."""

import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import pytest
from PIL import Image

from components.vocabulary_trainer.executor import train
from models.serving import export
from tests import quick_beam
from tests.pictures import encode, shape_pairs
from tests.tiny_model import tiny_objective


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory):
    """Tests and their processes keep temporary files below pytest's own folder, which pytest removes."""
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"] = tempfile.tempdir = str(tmp_path_factory.mktemp("tmp"))
    yield
    tempfile.tempdir = before[1]
    os.environ.pop("TMPDIR") if before[0] is None else os.environ.update(TMPDIR=before[0])


@pytest.fixture(scope="session", autouse=True)
def _quick_beam():
    with quick_beam.remembering():
        yield


@pytest.fixture(scope="session")
def red_png() -> bytes:
    return encode(Image.new("RGB", (40, 30), (255, 0, 0)))


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory) -> str:
    """Path of a SentencePiece model, trained on the captions of the drawn shapes."""
    path = tmp_path_factory.mktemp("vocabulary") / "vocabulary.model"
    path.write_bytes(train([caption for _, caption, _ in shape_pairs()], 320))
    return str(path)


@pytest.fixture(scope="session")
def exported(vocabulary, tmp_path_factory) -> str:
    """Path of an untrained model's SavedModel, in a folder of versions."""
    objective, tokenizer = tiny_objective(vocabulary)
    path = str(tmp_path_factory.mktemp("exported") / "7")
    export.save(objective, tokenizer, "", path)
    return path
