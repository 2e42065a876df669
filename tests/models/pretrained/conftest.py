import pathlib
import shutil

import pytest

from tests.models.pretrained.tiny import FIXTURE


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
    """A copy of the folder that transformers saved, for a test to change."""
    return pathlib.Path(shutil.copytree(FIXTURE, tmp_path / "model"))
