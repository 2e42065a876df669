import pytest

from components.vocabulary_trainer.executor import train
from tests.pictures import shape_pairs


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("vocabulary") / "vocabulary.model"
    path.write_bytes(train([caption for _, caption, _ in shape_pairs()], 320))
    return str(path)
