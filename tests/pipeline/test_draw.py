"""The picture of the DAG in README is the picture of the pipeline that runs."""

import itertools
import pathlib
import xml.etree.ElementTree as ElementTree

import pytest

from pipeline import draw
from pipeline.drawing import layout
from pipeline.drawing.graph import Box, Graph, Group

ROOT = pathlib.Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn() -> str:
    return draw.draw([str(ROOT / "gin" / "quickstart.gin")], [])


def test_committed_picture_is_what_the_command_draws(drawn):
    assert (ROOT / "docs" / "pipeline.svg").read_text() == drawn, "the DAG has changed: run `make draw`"


def test_picture_names_every_component_and_every_group(drawn):
    tree = ElementTree.fromstring(drawn)
    names = [text.text for text in tree.iter(f"{SVG}text") if text.get("class") == "name"]
    assert {"ImageTextGen", "Trainer", "Evaluator", "Pusher", "RunReport"} <= set(names)
    assert len(names) == len(set(names))
    kinds = [frame.get("class") for frame in tree.iter(f"{SVG}rect")]
    assert all(f"box {group.name.lower()}" in kinds for group in Group)
    assert "box gate tfx" in kinds


def test_no_two_boxes_overlap_and_all_lie_within_the_picture(drawn):
    tree = ElementTree.fromstring(drawn)
    width, height = int(tree.get("width")), int(tree.get("height"))
    frames = [frame for frame in tree.iter(f"{SVG}rect") if frame.get("class").startswith("box")]
    sides = [tuple(int(frame.get(key)) for key in ("x", "y", "width", "height")) for frame in frames]
    for left, top, wide, high in sides:
        assert left >= 0
        assert top >= 0
        assert left + wide <= width
        assert top + high <= height
    for (x, y, wide, high), (other_x, other_y, other_wide, other_high) in itertools.combinations(sides, 2):
        beside = x + wide < other_x or other_x + other_wide < x
        assert beside or y + high < other_y or other_y + other_high < y


def graph(*arrows: tuple[str, str]) -> Graph:
    names = sorted(set(itertools.chain(*arrows)))
    return Graph(tuple(Box(name, "", Group.DATA, True) for name in names), tuple(sorted(arrows)), {})


def test_rows_follow_the_longest_path():
    placed = layout.place(graph(("a", "b"), ("b", "c"), ("a", "c")), 100, 10, 20)
    assert placed.home == {"a": 0, "b": 1, "c": 2}


def test_order_avoids_needless_crossings():
    placed = layout.place(graph(("a", "z"), ("b", "y"), ("c", "x")), 100, 10, 20)
    first, second = ([name for name, _ in row] for row in placed.rows)
    partner = {"a": "z", "b": "y", "c": "x"}
    assert second == [partner[name] for name in first]


def test_neighbours_of_a_row_keep_their_room():
    placed = layout.place(graph(*(("a", name) for name in "bcde")), 100, 10, 20)
    centres = [placed.centres[node] for node in placed.rows[1]]
    assert all(right - left >= 120 - 1e-6 for left, right in itertools.pairwise(centres))
    assert placed.centres["a", 0] == pytest.approx(sum(centres) / 4)
