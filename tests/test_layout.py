"""Rules of the tree that no linter knows."""

import pathlib
import re

import pytest
import setuptools

import gin

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("beam", "components", "models", "pipeline")


def test_gin_config_is_not_shadowed_by_our_folder_of_gin_files():
    assert not list((ROOT / "gin").rglob("*.py"))
    assert "site-packages" in str(gin.__file__)


def test_setup_lists_every_package(monkeypatch):
    listed = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: listed.update(arguments))
    exec(compile((ROOT / "setup.py").read_text(), "setup.py", "exec"), {})
    found = {
        str(path.parent.relative_to(ROOT)).replace("/", ".")
        for package in PACKAGES
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert set(listed["packages"]) == found


@pytest.mark.parametrize("package", [*PACKAGES, "tests"])
def test_files_stay_short_enough_to_read(package):
    long = {p: n for p in (ROOT / package).rglob("*.py") if (n := len(p.read_text().splitlines())) > 260}
    assert not long


def test_gin_files_stay_short():
    assert not [path for path in (ROOT / "gin").rglob("*.gin") if len(path.read_text().splitlines()) > 40]


MAP = (ROOT / "docs" / "pipeline.md").read_text()


def test_map_of_rooms_is_the_tree():
    rooms = set(re.findall(r"^([a-z_/]+)/ ", re.search(r"```text\n(.*?)```", MAP, re.DOTALL)[1], re.MULTILINE))
    packages = {
        str(path.parent.relative_to(ROOT))
        for top in PACKAGES
        for path in (*(ROOT / top).glob("__init__.py"), *(ROOT / top).glob("*/__init__.py"))
    }
    assert packages - rooms == set(), "docs/pipeline.md names no such room"
    assert {room for room in rooms if not (ROOT / room).is_dir()} == set(), "docs/pipeline.md names rooms that are gone"


def test_how_to_read_the_code_names_what_is_there():
    steps = re.findall(r"^\d+\. \[.*?\]\(\.\./(.*?)\), `(\w+)`:", MAP, re.MULTILINE)
    assert len(steps) > 15
    missing = [
        (file, name)
        for file, name in steps
        if not re.search(rf"^(class|def) {name}\b", (ROOT / file).read_text(), re.MULTILINE)
    ]
    assert not missing
