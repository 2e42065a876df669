"""40 shapes, indexed with an untrained model."""

import pytest

from beam.filters.pictures import PictureSettings
from pipeline.demo import collection, index
from pipeline.demo.model import LoadedModel
from tests.pictures import shape_pairs

RULES = PictureSettings(min_side=1, max_bytes=1_000_000, max_pixels=10_000)
SHAPES = shape_pairs()[:40]


@pytest.fixture(scope="session")
def model(exported) -> LoadedModel:
    return LoadedModel(exported)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> str:
    """The shapes in two folders, one shape twice, and two files that are not pictures."""
    path = tmp_path_factory.mktemp("pictures")
    (path / "deep").mkdir()
    for number, (picture, _, _) in enumerate(SHAPES):
        (path / ("deep" if number % 2 else ".") / f"{number:02}.PNG").write_bytes(picture)
    (path / "twice.png").write_bytes(SHAPES[0][0])
    (path / "broken.jpg").write_bytes(b"no picture")
    (path / "notes.txt").write_text("no picture")
    return str(path)


@pytest.fixture(scope="session")
def built(model, folder) -> tuple[index.Index, list[str]]:
    return index.build(collection.ImageFolder(folder), model, RULES)
