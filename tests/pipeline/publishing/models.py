"""Models for tests of publishing: few small files, which name their model."""

import os
import pathlib

from pipeline.publishing import versions

SIZE = 12  # files of a model


def make_model(folder: pathlib.Path, name: str) -> pathlib.Path:
    """A model whose every file holds its name, and whose file names differ from those of other models."""
    model = folder / name
    (model / "variables").mkdir(parents=True)
    for number in range(SIZE):
        (model / "variables" / f"{name}-{number}").write_text(name)
    (model / "saved_model.pb").write_text(name)
    return model


def require_whole(folder: pathlib.Path) -> list[int]:
    """Fails unless each visible version holds all files of one model and no other; returns the numbers."""
    for version in versions.read(str(folder)):
        path = pathlib.Path(version.path)
        name = (path / "saved_model.pb").read_text()
        found = [file for file in path.rglob("*") if file.is_file() and file.name != versions.ORIGIN_FILE]
        assert {file.read_text() for file in found} == {name}
        assert len(found) == SIZE + 1
        assert versions.ORIGIN_FILE in os.listdir(path / "assets.extra")
    return [version.number for version in versions.read(str(folder))]
