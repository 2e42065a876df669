"""Fixtures that the tests of several packages share."""

import fcntl
import os
import pathlib
import tempfile
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import pytest
import tf_keras as keras
from PIL import Image

from components.vocabulary_trainer.executor import train
from models import objectives
from models.inputs.tokenizer import Tokenizer
from models.serving import export
from models.settings import configuration
from tests import quick_beam
from tests.models.objectives.toy_objectives import OneTowerSettings
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
def made_once(tmp_path_factory) -> Callable[[str, Callable[[pathlib.Path], object]], pathlib.Path]:
    """A function of a name and a function that fills a folder; one process of pytest-xdist makes it for all."""
    own = tmp_path_factory.getbasetemp()
    root = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(name: str, fill: Callable[[pathlib.Path], object]) -> pathlib.Path:
        folder = root / f"shared-{name}"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                unfinished = tmp_path_factory.mktemp(name)
                fill(unfinished)
                unfinished.rename(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def vocabulary(made_once) -> str:
    """Path of a SentencePiece model, trained on the captions of the drawn shapes."""

    def fill(folder: pathlib.Path) -> None:
        (folder / "vocabulary.model").write_bytes(train([caption for _, caption, _ in shape_pairs()], 320))

    return str(made_once("vocabulary", fill) / "vocabulary.model")


@pytest.fixture(scope="session")
def exported(vocabulary, made_once) -> str:
    """Path of an untrained model's SavedModel, in a folder of versions."""

    def fill(folder: pathlib.Path) -> None:
        objective, tokenizer = tiny_objective(vocabulary)
        export.save(objective, tokenizer, "", str(folder / "7"))

    return str(made_once("exported", fill) / "7")


@pytest.fixture(scope="session")
def exported_one_tower(vocabulary, made_once) -> str:
    """The same of an objective with further signatures, such as embed_pair."""

    def fill(folder: pathlib.Path) -> None:
        keras.utils.set_random_seed(0)
        config = OneTowerSettings()
        tokenizer = Tokenizer(vocabulary, config)
        objective = objectives.create(config, tokenizer.vocabulary_size)
        export.save(objective, tokenizer, configuration.to_gin(config), str(folder / "1"))

    return str(made_once("one_tower", fill) / "1")
