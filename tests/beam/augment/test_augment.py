"""Augment: variants are marked, stay in their split, have no held-out caption, and depend on the seed only."""

import dataclasses
import io
import pathlib
import random

import numpy as np
import pytest
from PIL import Image

from beam import reader, store
from beam.augment import augment, rewrites, views
from beam.records import ImageText
from tests.beam import stored
from tests.beam.stored import LAYOUT, by_split, read, write
from tests.pictures import encode, shape_pairs

OPTIONS = augment.AugmenterSettings(
    variants=2,
    views=("crop", "jpeg", "colour"),
    rewrites={"swap": 1.0, "delete": 1.0},
    stop_word_removal=0.5,
    templates=("a picture of {}", "{}"),
    seed=3,
)
ROWS = [
    ImageText(f"key-{i}", image, caption, f"x:{i}", "test", class_name=colour, group="g" if i < 2 else "")
    for i, (image, caption, colour) in enumerate(shape_pairs()[:100])
]


def run(source: str, folder: pathlib.Path, options: augment.AugmenterSettings, *flags: str) -> dict:
    stage = augment.Augment(options, LAYOUT, store.Folders(source, str(folder), str(folder / "report")))
    return stored.run(stage, folder / "report", *flags)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> str:
    return write(tmp_path_factory.mktemp("source"), ROWS)


@pytest.fixture(scope="module")
def augmented(source, tmp_path_factory) -> tuple[pathlib.Path, dict]:
    """The source with variants, and the manifest."""
    folder = tmp_path_factory.mktemp("augmented")
    return folder, run(source, folder, OPTIONS)


def test_rows_are_read_as_they_were_written(source):
    found = read(pathlib.Path(source))
    assert {key: dataclasses.replace(row, position="") for key, row in found.items()} == {
        row.key: dataclasses.replace(row, position="") for row in ROWS
    }


def test_shards_of_all_splits_or_of_one_are_listed_and_a_missing_folder_is_an_error(source):
    assert {pathlib.Path(path).parent.name for path in reader.shards(source)} == {
        f"Split-{split}" for split in LAYOUT.splits
    }
    assert {pathlib.Path(path).parent.name for path in reader.shards(f"{source}/Split-eval/")} == {"Split-eval"}
    for folder, pattern in (
        (f"{source}/absent", r"absent/Split-\*/\*"),
        (f"{source}/Split-absent", r"Split-absent/\*"),
    ):
        with pytest.raises(FileNotFoundError, match=f"{pattern}; name the folder of an Examples artifact"):
            reader.shards(folder)


def test_only_the_train_split_gets_variants_and_every_row_is_accounted_for(source, augmented):
    folder, manifest = augmented
    before = {split: read(pathlib.Path(source), split) for split in LAYOUT.splits}
    after = {split: read(folder, split) for split in LAYOUT.splits}
    for split in ("eval", "test"):
        assert set(after[split]) == set(before[split])
    variants = {key: row for key, row in after["train"].items() if row.variant}
    assert set(after["train"]) - set(variants) == set(before["train"])
    assert len(variants) > 100
    assert all(row.group and after["train"][key.rsplit("/", 1)[0]] for key, row in variants.items())
    assert manifest["read"] == len(ROWS) + 2 * len(before["train"])
    assert manifest["read"] == manifest["written"] + sum(manifest["dropped"].values())
    assert manifest["captions_in_several_splits"] == 0


def test_variants_depend_on_the_seed_and_not_on_the_number_of_workers(source, augmented, tmp_path):
    run(source, tmp_path, OPTIONS, "--direct_num_workers=4", "--direct_running_mode=multi_threading")
    assert stored.checksums(augmented[0]) == stored.checksums(tmp_path)
    other = dataclasses.replace(OPTIONS, seed=4)
    assert list(augment.variants_of(ROWS[7], OPTIONS)) == list(augment.variants_of(ROWS[7], OPTIONS))
    assert list(augment.variants_of(ROWS[7], OPTIONS)) != list(augment.variants_of(ROWS[7], other))


def test_a_variant_with_a_held_out_caption_is_dropped(tmp_path):
    rows = by_split(ROWS)
    trained = dataclasses.replace(rows["train"][0], caption="the red boat")
    held_out = dataclasses.replace(rows["test"][0], caption="Red boat")
    options = augment.AugmenterSettings(stop_word_removal=1.0)
    manifest = run(write(tmp_path / "a", [trained, held_out]), tmp_path / "b", options)
    assert manifest["dropped"] == {"held_out_caption": 1}
    free = dataclasses.replace(held_out, caption="blue boat")  # control
    manifest = run(write(tmp_path / "c", [trained, free]), tmp_path / "d", options)
    assert manifest["dropped"] == {}
    assert manifest["written"] == 3


def test_a_variant_equal_to_its_row_is_dropped(tmp_path):
    row = dataclasses.replace(ROWS[5], caption="boat")
    source = write(tmp_path / "a", [row])
    manifest = run(source, tmp_path / "b", augment.AugmenterSettings(rewrites={"swap": 1.0}))
    assert manifest["dropped"] == {"same_as_original": 1}


@pytest.mark.parametrize("name", sorted(views.VIEWS))
def test_every_view_is_another_picture_and_the_same_for_the_same_seed(name):
    noise = [Image.effect_noise((40, 30), 80) for _ in range(3)]
    image = encode(Image.merge("RGB", noise), "PNG")
    made = views.view(image, name, random.Random(1), 95)
    assert made == views.view(image, name, random.Random(1), 95)
    with Image.open(io.BytesIO(made)) as opened:
        opened.load()
        assert opened.mode == "RGB"
        assert opened.size == (40, 30) or name == "crop"
        assert opened.size != (40, 30) or np.any(np.asarray(opened) != np.asarray(Image.open(io.BytesIO(image))))
    assert name in ("flip", "grey") or made != views.view(image, name, random.Random(2), 95)


@pytest.mark.parametrize(
    ("was", "quality", "becomes"),
    [("JPEG", 95, "JPEG"), ("WEBP", 95, "JPEG"), ("PNG", 95, "PNG"), ("JPEG", 0, "PNG")],
)
def test_a_view_of_a_lossy_picture_is_a_jpeg_and_any_other_view_a_png(was, quality, becomes):
    image = encode(Image.effect_noise((40, 30), 80).convert("RGB"), was)
    made = {better: views.view(image, "flip", random.Random(0), better) for better in (quality, 40)}
    assert Image.open(io.BytesIO(made[quality])).format == becomes
    assert (len(made[40]) < 0.7 * len(made[quality])) == (was != "PNG")


def test_transparent_pixels_become_white():
    made = views.view(encode(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG"), "flip", random.Random(0), 95)
    assert Image.open(io.BytesIO(made)).getpixel((3, 3)) == (255, 255, 255)


def test_rewrites():
    words = ["a", "dog", "and", "the", "cat"]
    draw = random.Random(0)
    assert rewrites.remove_stop_words(words, draw) == ["dog", "cat"]
    assert rewrites.remove_stop_words(["The", "a"], draw) == ["The", "a"]
    for _ in range(20):
        assert sorted(rewrites.swap(words, draw)) == sorted(words)
        assert rewrites.swap(words, draw) != words
        assert len(rewrites.delete(words, draw)) == 4
    assert rewrites.swap(["one"], draw) == rewrites.delete(["one"], draw) == ["one"]


def test_synonyms_come_from_wordnet_and_a_missing_wordnet_is_reported(monkeypatch):
    monkeypatch.setattr(rewrites, "synonyms", lambda word: {"dog": ["hound"]}.get(word, []))
    assert rewrites.synonym(["a", "dog"], random.Random(0)) == ["a", "hound"]
    assert rewrites.synonym(["a", "cat"], random.Random(0)) == ["a", "cat"]
    monkeypatch.undo()
    monkeypatch.setitem(__import__("sys").modules, "nltk", None)
    with pytest.raises(LookupError, match=r"pip install nltk.*Augmenter\.rewrites"):
        rewrites.synonym(["dog"], random.Random(0))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "nothing to do"),
        ({"views": ("twist",)}, r"Augmenter\.views is \('twist',\), but must be some of crop"),
        ({"rewrites": {"swap": 0.0}}, r"Augmenter\.rewrites"),
        ({"rewrites": {"translate": 1.0}}, r"Augmenter\.rewrites"),
        ({"stop_word_removal": 2.0}, r"Augmenter\.stop_word_removal is 2\.0"),
        ({"templates": ("a picture",)}, r"Augmenter\.templates"),
        ({"views": ("crop",), "variants": 0}, r"Augmenter\.variants is 0"),
        ({"views": ("crop",), "splits": ("Train",)}, r"splits is \('Train',\), but must be some of train, eval, test"),
        ({"views": ("crop",), "splits": ()}, r"Augmenter\.splits is \(\), but must be some of train, eval, test"),
    ],
)
def test_bad_options_name_value_and_rule(fields, message):
    with pytest.raises(ValueError, match=message):
        augment.AugmenterSettings(**fields)
