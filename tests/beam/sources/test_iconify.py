"""IconifySource: names become captions, aliases follow their icons, and a bad icon is a reject alone."""

import gzip
import io
import json
import pickle
import re
import tracemalloc

import apache_beam
import numpy as np
import pytest
from apache_beam.testing.util import assert_that, equal_to
from PIL import Image

from beam import build
from beam.sources.iconify import icon_set
from beam.sources.iconify.source import IconifySource
from beam.sources.limits import Limits
from models.settings import configuration
from tests.beam import stored
from tests.beam.sources.icon_sets import HALF, RED, read, write
from tests.beam.sources.outcomes import all_of


def colours(image: bytes) -> list[str]:
    """The colours in the middle of the picture's left, top, right and lower quarter: r, b or - for transparent."""
    with Image.open(io.BytesIO(image)) as picture:
        pixels: np.ndarray = np.asarray(picture.convert("RGBA"))
    height, width = pixels.shape[:2]
    places = [
        (height // 2, width // 8),
        (height // 8, width // 2 - 1),
        (height // 2, -width // 8),
        (-1, width // 2 - 1),
    ]
    return [("r" if pixel[0] else "b") if pixel[3] else "-" for pixel in (pixels[place] for place in places)]


def test_an_icon_and_its_aliases_are_one_picture_with_several_captions(tmp_path):
    content = {
        "icons": {"bear-face": {"body": RED}, "dog_face": {"body": HALF}},
        "aliases": {"bear": {"parent": "bear-face"}, "teddy": {"parent": "bear"}},
    }
    rows, rejected = read(tmp_path, content)
    assert not rejected
    bear = rows["toy-bear-face"]
    assert (bear.caption, bear.more_captions) == ("bear face", ("bear", "teddy"))
    assert (bear.class_name, bear.category, bear.source) == ("bear face", "toy", "iconify")
    assert rows["toy-dog_face"].captions == ("dog face",)
    assert colours(bear.image) == ["r", "r", "r", "r"]
    assert colours(rows["toy-dog_face"].image)[::2] == ["r", "b"]


@pytest.mark.parametrize(("change", "expected"), [
    ({"hFlip": True}, "b-r-"), ({"vFlip": True}, "r-b-"), ({"rotate": 1}, "-r-b"), ({"rotate": 2}, "b-r-"),
    ({"rotate": 3}, "-b-r"), ({"rotate": 1, "hFlip": True}, "-b-r"), ({"rotate": 5}, "-r-b"),
])  # fmt: skip
def test_an_alias_that_mirrors_or_turns_is_a_picture_of_its_own(tmp_path, change, expected):
    content = {"icons": {"left": {"body": HALF}}, "aliases": {"other": {"parent": "left", **change}}}
    rows, _ = read(tmp_path, content)
    assert rows["toy-left"].captions == ("left",)
    assert rows["toy-other"].captions == ("other",)
    seen = "".join(
        one if wanted != "-" else "-" for one, wanted in zip(colours(rows["toy-other"].image), expected, strict=True)
    )
    assert seen == expected


def test_an_alias_of_a_mirrored_alias_is_another_name_of_it_and_two_mirrors_cancel(tmp_path):
    mirrored = {"parent": "left", "hFlip": True}
    aliases = {"right": mirrored, "east": {"parent": "right"}, "west": {"parent": "right", "hFlip": True}}
    rows, _ = read(tmp_path, {"icons": {"left": {"body": HALF}}, "aliases": aliases})
    assert {row.captions for row in rows.values()} == {("left", "west"), ("right", "east")}


def test_the_longer_side_has_the_size_and_a_box_cuts_a_part_out(tmp_path):
    icons = {"wide": {"body": HALF, "height": 8}, "right": {"body": HALF, "left": 8, "width": 8, "height": 8}}
    rows, _ = read(tmp_path, {"icons": icons, "aliases": {"tall": {"parent": "wide", "rotate": 1}}}, size=32)
    sizes = {key: Image.open(io.BytesIO(row.image)).size for key, row in rows.items()}
    assert sizes == {"toy-wide": (32, 16), "toy-right": (32, 32), "toy-tall": (16, 32)}
    assert colours(rows["toy-right"].image) == ["b"] * 4


def test_skin_tones_are_written_out_where_an_icon_has_all_five(tmp_path):
    tones = ["light", "medium-light", "medium", "medium-dark", "dark"]
    names = [*(f"man-{tone}" for tone in tones), "police-car-light", "lamp-dark"]
    rows, _ = read(tmp_path, {"icons": {name: {"body": RED} for name in names}})
    captions = [row.caption for row in rows.values()]
    assert captions[:5] == [f"man {tone.replace('-', ' ')} skin tone" for tone in tones]
    assert captions[5:] == ["police car light", "lamp dark"]


ICON = {"body": RED}


@pytest.mark.parametrize(("content", "place", "reason", "detail"), [
    ({"icons": {"a": {}}}, "a", "icon_without_body", "body is None, but must be the SVG"),
    ({"icons": {"a": {"body": 7}}}, "a", "icon_without_body", "body is 7"),
    ({"icons": {"a": {"body": " "}}}, "a", "icon_without_body", "body is ' '"),
    ({"icons": {"a": [RED]}}, "a", "invalid_icon", "but must be an object"),
    ({"icons": {"a": {**ICON, "width": 1_000_000}}}, "a", "invalid_icon", "width is 1000000, .* above 0, up to 10000"),
    ({"icons": {"a": {**ICON, "width": 10**400}}}, "a", "invalid_icon", "up to 10000"),
    ({"icons": {"a": {**ICON, "height": 0}}}, "a", "invalid_icon", "height is 0"),
    ({"icons": {"a": {**ICON, "width": float("nan")}}}, "a", "invalid_icon", "width is nan"),
    ({"icons": {"a": {**ICON, "left": float("-inf")}}}, "a", "invalid_icon", "left is -inf, .* from -10000 to 10000"),
    ({"icons": {"a": {**ICON, "top": "1"}}}, "a", "invalid_icon", "top is '1'"),
    ({"icons": {"a": {**ICON, "rotate": 0.5}}}, "a", "invalid_icon", "rotate is 0.5, .* number of quarter turns"),
    ({"icons": {"a": {**ICON, "hFlip": "yes"}}}, "a", "invalid_icon", "hFlip is 'yes', but must be true or false"),
    ({"icons": {"a": {**ICON, "hidden": True}}}, "a", "icon_hidden", "the icon set hides it"),
    ({"width": True, "icons": {"a": ICON}}, "a", "invalid_icon", "width is True"),
    ({"icons": {"b": ICON}, "aliases": {"a": {"parent": "no"}}}, "a", "alias_without_icon", "no icon 'no'"),
    ({"icons": {"b": ICON}, "aliases": {"a": {}}}, "a", "invalid_icon", "parent is None"),
    ({"icons": {"b": ICON}, "aliases": {"a": "b"}}, "a", "invalid_icon", "parent is None"),
    ({"icons": {"b": ICON}, "aliases": {"a": {"parent": "a"}}}, "a", "alias_cycle", "lead back to it"),
    ({"icons": {"b": ICON}, "aliases": {"a": {"parent": "b", "width": -1}}}, "a", "invalid_icon", "width is -1"),
    ({"icons": {"b": {}}, "aliases": {"a": {"parent": "b"}}}, "a", "icon_without_body", "body is None"),
    ({"icons": {"a\ud800": ICON}}, "a\ud800", "invalid_utf8", "key is"),
    ({"icons": {"k" * 5000: ICON}}, None, "field_too_large", "Limits.field_bytes"),
    ({"icons": {"a": ICON}, "aliases": {f"n{i}": {"parent": "a"} for i in range(1000)}}, "a", "too_many_captions",
     "Limits.captions"),
])  # fmt: skip
def test_a_bad_icon_is_one_reject_and_the_others_stay(tmp_path, content, place, reason, detail):
    icons = {"good": {**ICON, "left": 0, "top": 0, "width": 16, "height": 16}, **content["icons"]}
    rows, rejected = read(tmp_path, {**content, "icons": icons})
    assert "toy-good" in rows
    (one,) = [one for where, one in rejected.items() if place in (None, where)]
    assert one.reason == reason
    assert re.search(detail, one.detail)
    assert len(one.detail) < 600


@pytest.mark.parametrize(("content", "reason", "detail"), [
    ({}, "invalid_icon_set", "icons is None, but must be an object"),
    ({"icons": []}, "invalid_icon_set", r"icons is \[\]"),
    ({"icons": {}, "aliases": 3}, "invalid_icon_set", "aliases is 3"),
    ({"icons": {}, "prefix": ""}, "invalid_icon_set", "prefix is '', but must be a text"),
    ("{", "invalid_json", "the file"),
    ("[]", "invalid_json", "must be a JSON object, not list"),
    ('{"prefix": "p", "icons": {"a": {"body": "x"}, "a": {"body": "y"}}}', "invalid_json", "'a' occurs twice"),
    ('{"icons": {' + ",".join(f'"{i}":[]' for i in range(2000)) + "}}", "too_many_values", "Limits.values"),
    (" " * 200_000 + "{}", "file_too_large", "Limits.json_bytes"),
])  # fmt: skip
def test_a_file_that_is_no_icon_set_is_one_reject(tmp_path, content, reason, detail):
    rows, rejected = read(tmp_path, content, limits=Limits(values=1000, json_bytes=100_000))
    assert not rows
    ((place, one),) = rejected.items()
    assert (place, one.reason) == ("after the start", reason)
    assert re.search(detail, one.detail)


def test_hidden_icons_hide_their_aliases_unless_an_alias_says_otherwise(tmp_path):
    icons = {"old": {**ICON, "hidden": True}, "new": ICON}
    aliases = {"older": {"parent": "old"}, "shown": {"parent": "old", "hidden": False},
               "secret": {"parent": "new", "hidden": True}}  # fmt: skip
    rows, rejected = read(tmp_path, {"icons": icons, "aliases": aliases})
    assert {row.captions for row in rows.values()} == {("new",), ("shown",)}
    assert {place: one.reason for place, one in rejected.items()} == dict.fromkeys(
        ["old", "older", "secret"], "icon_hidden"
    )


def test_each_alias_of_cycles_and_long_chains_is_followed_once_in_little_memory(tmp_path, monkeypatch):
    """Followed anew for each alias, the chain would take 50 million steps."""
    overlaid, followed = icon_set._overlaid, []
    monkeypatch.setattr(icon_set, "_overlaid", lambda *given: followed.append(1) or overlaid(*given))
    chain = {f"c{i}": {"parent": f"c{i + 1}"} for i in range(10_000)}
    broken = {f"d{i}": {"parent": f"d{i + 1}"} for i in range(10_000)}
    cycle = {"x": {"parent": "y"}, "y": {"parent": "z"}, "z": {"parent": "y"}}
    tracemalloc.start()
    rows, rejected = read(
        tmp_path, {"icons": {"c10000": ICON}, "aliases": {**chain, **broken, **cycle}}, limits=Limits(captions=99_999)
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    (row,) = rows.values()
    assert len(row.captions) == len(followed) == 10_001
    reasons = {place: one.reason for place, one in rejected.items()}
    assert reasons == {**dict.fromkeys(broken, "alias_without_icon"), **dict.fromkeys("xyz", "alias_cycle")}
    assert peak < 100_000_000


def test_only_the_named_artists_are_read_and_an_unknown_one_is_refused(tmp_path):
    for artist in ("one", "two", "three"):
        source = write(tmp_path, {"icons": {"dog": ICON}}, artist)
    assert [path.split("/")[-2] for path in source.inputs()] == ["one", "three", "two"]
    some = IconifySource(source.path, artists=("two", "one"))
    assert [path.split("/")[-2] for path in some.inputs()] == ["one", "two"]
    assert some.fingerprint() != source.fingerprint()
    with pytest.raises(
        ValueError, match=r"IconifySource.artists is \('tow',\), .* folders of .*: one, three, two; cor.* tow"
    ):
        IconifySource(source.path, artists=("tow",)).fingerprint()
    with pytest.raises(ValueError, match=r"IconifySource.size is 8, but must be in \[16, 4096\]"):
        IconifySource(size=8)


def test_the_build_keeps_the_names_that_artists_share_and_counts_every_name(tmp_path):
    """Three artists draw the same forty concepts; every row of a concept has its class, and none is lost."""
    icons = {f"thing-{i}": {"body": f'<path fill="#{i:02x}8000" d="M0 0h{i % 15 + 1}v16H0z"/>'} for i in range(40)}
    for number, artist in enumerate(("one", "two", "three")):
        hidden = {"gone": {"body": RED, "hidden": True}, "broken": {"body": "<g>"}}
        source = write(tmp_path, {"icons": {**icons, **hidden}, "width": 16 + number, "height": 16 + number}, artist)
    settings = build.ImageTextGenSettings(source, unique_captions=False, shards=2, shard_bytes=0)
    stage = build.Build(settings, str(tmp_path / "examples"), str(tmp_path / "report"))
    manifest = stored.run(stage, tmp_path / "report")
    assert (manifest["read"], manifest["written"]) == (126, 120)
    assert manifest["dropped"] == {"icon_hidden": 3, "invalid_svg": 3}
    rows = stored.read(tmp_path / "examples")
    by_class: dict[str, set[str]] = {}
    for row in rows.values():
        by_class.setdefault(row.class_name, set()).add(row.category)
    assert by_class == {f"thing {i}": {"one", "two", "three"} for i in range(40)}


def test_the_source_travels_to_workers_and_gin_makes_it(tmp_path):
    source = write(tmp_path, {"icons": {"dog": ICON}})
    assert pickle.loads(pickle.dumps(source)) == source
    text = configuration.to_gin(source)
    assert configuration.parse(text, IconifySource) == source
    with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
        languages = pipeline | source.read() | apache_beam.Map(lambda row: row.language)
        assert_that(languages, equal_to(["en"]))


def test_a_compressed_icon_set_is_read(tmp_path):
    path = tmp_path / "icons.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"prefix": "p", "icons": {"dog": ICON}}).encode()))
    (row,) = all_of(IconifySource(str(path)), path)
    assert row.caption == "dog"
