"""Deduplicate drops rows that are alike, keeps the others, and loses no row."""

import dataclasses
import itertools
import json
import pathlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from beam import dedupe, image_codec, store
from beam.dedupe import fingerprints, report
from beam.records import ImageText
from tests.beam import stored
from tests.beam.dedupe import quality
from tests.beam.stored import LAYOUT, by_split, read, write
from tests.pictures import encode

SETTINGS = dedupe.DeduperSettings(image_distance=6)


def scene(seed: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """Smooth noise, unlike the scene of any other seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def row(key: str, picture: Image.Image, caption: str = "", image_format: str = "PNG", **fields) -> ImageText:
    return ImageText(key, encode(picture, image_format), caption or f"caption of {key}", "x:1", "test", **fields)


def run(rows: list[ImageText], folder: pathlib.Path, settings: dedupe.DeduperSettings = SETTINGS, *flags: str) -> dict:
    source = write(folder / "source", rows)
    folders = store.Folders(source, str(folder / "out"), str(folder / "report"))
    stage = dedupe.Deduplicate(settings, LAYOUT, folders)
    return stored.run(stage, folder / "report", *flags)


def facts(folder: pathlib.Path, name: str) -> dict:
    return json.loads((folder / "report" / name).read_text())


UNLIKE = [row(f"unlike-{i}", scene(i)) for i in range(30)]
ALIKE = [
    row("small", scene(100).resize((48, 40))),
    row("large", scene(100)),
    row("jpeg", scene(100), image_format="JPEG"),
    row("copy", scene(200), "a longer caption"),
    row("original", scene(200), "short"),
]
GROUPS = [
    row("a-en", scene(300), "dog", group="a"),
    row("a-fr", scene(300), "chien", group="a"),
    row("b-en", scene(300), "dog again, and longer", group="b"),
    row("b-fr", scene(300), "chien", group="b"),
]
HELD_OUT = by_split([row(f"held-{i}", scene(400 + i)) for i in range(40)])["test"][0]
TRAINED = by_split([row(f"trained-{i}", scene(400)) for i in range(9)])["train"][0]
COPY = dataclasses.replace(TRAINED, image=HELD_OUT.image, caption="a far longer caption than that of the other row")
CHAIN = [
    row(f"turned-{i:02}", scene(500).rotate(i / 2, Image.Resampling.BICUBIC, fillcolor=(128, 128, 128)))
    for i in range(30)
]


@pytest.fixture(scope="module")
def run_once(tmp_path_factory) -> tuple[pathlib.Path, dict]:
    """Deduplicates all rows above together; returns (folder, manifest)."""
    folder = tmp_path_factory.mktemp("deduplicated")
    return folder, run([*UNLIKE, *ALIKE, *GROUPS, HELD_OUT, COPY, *CHAIN], folder)


def test_best_row_of_a_cluster_is_kept_and_the_others_are_dropped_by_reason(run_once):
    folder, manifest = run_once
    kept = read(folder / "out")
    held_out = {one.key for split in ("eval", "test") for one in by_split(ALIKE)[split]}
    for cluster, best in (({"small", "large", "jpeg"}, {"large", "jpeg"}), ({"copy", "original"}, {"copy"})):
        (survivor,) = cluster & set(kept)
        assert survivor in (cluster & held_out or best)
    assert manifest["dropped"] == {"duplicate": 4, "near_duplicate": 2 + len(CHAIN) - 1}
    assert manifest["read"] == manifest["written"] + sum(manifest["dropped"].values())
    assert facts(folder, report.CLUSTERS_FILE)["sizes"] == {"2": 2, "3": 1, "4": 1, str(len(CHAIN)): 1}


def test_control_unlike_rows_stay_unchanged(run_once):
    kept = read(run_once[0] / "out")
    assert [dataclasses.replace(kept[one.key], position="") for one in UNLIKE] == [
        dataclasses.replace(one, position="") for one in UNLIKE
    ]


def test_held_out_row_is_kept_and_its_copies_in_training_are_dropped(run_once):
    assert HELD_OUT.key in read(run_once[0] / "out", "test")
    assert COPY.key not in read(run_once[0] / "out")


def test_rows_of_a_group_are_kept_or_dropped_together(run_once):
    kept = {key for key in read(run_once[0] / "out") if key[:2] in ("a-", "b-")}
    assert kept in ({"a-en", "a-fr"}, {"b-en", "b-fr"})


def test_chains_collapse_to_one(run_once):
    """Each link is near the next one, but the first is not near the last."""
    hashes = [int.from_bytes(fingerprints.perceptual_hash(image_codec.on_white(link.image)), "big") for link in CHAIN]
    apart = [bin(one ^ other).count("1") for one, other in itertools.pairwise(hashes)]
    assert max(apart) <= SETTINGS.image_distance < bin(hashes[0] ^ hashes[-1]).count("1")
    assert len({one.key for one in CHAIN} & set(read(run_once[0] / "out"))) == 1


def test_samples_show_pairs_of_kept_and_dropped_rows(run_once):
    samples = facts(run_once[0], report.SAMPLES_FILE)
    assert len(samples) == 12
    kept = read(run_once[0] / "out")
    for sample in samples:
        assert sample["kept"]["key"] in kept
        assert sample["dropped"]["key"] not in kept
        assert sample["dropped"]["image"].startswith("data:image/png;base64,")


def test_keep_captions_takes_over_captions_of_dropped_rows(tmp_path, run_once):
    rows = [row(f"{i}", scene(1), caption) for i, caption in enumerate(("one", "one two", "one two three", "one"))]
    run(rows, tmp_path, dataclasses.replace(SETTINGS, keep_captions=1))
    (kept,) = read(tmp_path / "out").values()
    assert len({kept.caption, *kept.more_captions}) == 2
    assert not any(one.more_captions for one in read(run_once[0] / "out").values())  # control: keep_captions is 0


def test_kept_captions_have_the_language_of_their_row_and_are_new(tmp_path):
    large, small = scene(700), scene(700).resize((60, 50))
    stay = [row("a-en", large, "dog", group="a", language="en"), row("a-fr", large, "chien", group="a", language="fr")]
    go = [
        row("b-en", small, "hound", group="b", language="en"),
        row("b-de", small, "Hund", group="b", language="de"),
        row("b-fr", small, "chien", group="b", language="fr", more_captions=("le chien",)),
        row("c-fr", small, "dog", group="c", language="fr"),
    ]
    one_split = [*stay, *go, *UNLIKE[:8]]
    run(one_split, tmp_path, dataclasses.replace(SETTINGS, keep_captions=3))
    kept = {key: one.more_captions for key, one in read(tmp_path / "out").items() if not key.startswith("unlike")}
    assert kept == {"a-en": ("hound",), "a-fr": ("le chien",)}


def test_rows_with_similar_captions_are_dropped(tmp_path):
    text = "two dogs run over a green field after a yellow ball in the evening sun of a long summer day"
    rows = [row("a", scene(1), text), row("b", scene(2), text.upper()), row("c", scene(3), text + " again")]
    near = dedupe.DeduperSettings(exact=(), image_distance=-1, caption_similarity=0.7)
    assert run([*rows, *UNLIKE[4:8]], tmp_path / "near", near)["dropped"] == {"near_duplicate": 2}
    exact = dedupe.DeduperSettings(exact=("caption",), image_distance=-1)
    assert run([*rows, *UNLIKE[4:8]], tmp_path / "exact", exact)["dropped"] == {"near_duplicate": 1}


def test_planted_evaluation_pictures_are_dropped(tmp_path, capsys):
    evaluation = [row(f"set-{i}", scene(1000 + i, (128, 128))) for i in range(24)]
    folder = write(tmp_path / "evaluation", evaluation)
    changes = {name: change for name, change in quality.TRANSFORMS.items() if name != "flip"}
    names = [list(changes)[i % len(changes)] for i in range(21)]
    planted = [
        row(f"planted-{i}", changes[name](scene(1000 + i, (128, 128))), f"planted {i}") for i, name in enumerate(names)
    ]
    settings = dataclasses.replace(SETTINGS, image_distance=8, colour_tolerance=255, evaluation_sets={"coco": folder})
    manifest = run([*UNLIKE, *planted], tmp_path, settings)
    missed = set(read(tmp_path / "out")) - {one.key for one in UNLIKE}
    kinds = sorted(names[int(key.removeprefix("planted-"))] for key in missed)
    with capsys.disabled():
        print(f"\ndecontamination: {len(planted) - len(missed)} of {len(planted)} planted found, missed: {kinds}")
    assert manifest["dropped"] == {"contaminated_coco": len(planted) - len(missed)}
    assert set(kinds) <= {"crop of 3%"}  # only a transform that moves every edge and adds no border may be missed
    assert len(missed) <= 3
    assert set(read(tmp_path / "out")) >= {one.key for one in UNLIKE}
    assert facts(tmp_path, report.CLUSTERS_FILE)["evaluation_sets"] == {"coco": {"rows": 24, "found": 21 - len(missed)}}

    without = dataclasses.replace(settings, borders=False)  # control
    run([*UNLIKE, *planted], tmp_path / "without", without)
    assert len(set(read(tmp_path / "without" / "out"))) - len(UNLIKE) >= len(missed) + 3


def test_reason_names_the_first_of_two_evaluation_sets_with_the_same_picture(tmp_path):
    for name, rows in (("a", [UNLIKE[0], *UNLIKE[10:20]]), ("b", [*UNLIKE[20:], UNLIKE[0]])):
        write(tmp_path / name, rows)
    for turn, names in enumerate(("ab", "ba")):
        sets = {name: str(tmp_path / name) for name in names}
        settings = dataclasses.replace(SETTINGS, evaluation_sets=sets)
        rows = [dataclasses.replace(UNLIKE[0], key="planted"), *UNLIKE[1:10]]
        assert run(rows[:: 1 - 2 * turn], tmp_path / names, settings)["dropped"] == {"contaminated_a": 1}


def test_error_names_an_evaluation_picture_that_cannot_be_decoded(tmp_path):
    folder = write(tmp_path / "evaluation", [UNLIKE[0], dataclasses.replace(UNLIKE[1], image=b"this is no GIF.")])
    settings = dataclasses.replace(SETTINGS, evaluation_sets={"coco": folder})
    with pytest.raises(Exception, match=r"evaluation/Split-\w+/data_tfrecord.*:1: image_undecodable \(15 bytes: "):
        run(UNLIKE[2:20], tmp_path, settings)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"exact": ("words",)}, r"Deduper\.exact is \('words',\), but must be some of bytes"),
        ({"image_distance": 40}, r"Deduper\.image_distance is 40"),
        ({"exact": (), "image_distance": -1}, "compares nothing"),
        ({"evaluation_sets": {"my set": "x"}}, r"Deduper\.evaluation_sets"),
        ({"caption_similarity": 80}, r"Deduper\.caption_similarity is 80"),
    ],
)
def test_error_for_a_bad_setting_has_value_and_rule(fields, message):
    with pytest.raises(ValueError, match=message):
        dedupe.DeduperSettings(**fields)


def test_sixteen_bit_pictures_are_not_clipped():
    """The store keeps them unchanged; clipped to eight bits, all would be white."""
    deep = [np.asarray(scene(seed).convert("L")).astype(np.uint16) * 257 for seed in (1, 2)]
    first, second = (
        fingerprints.fingerprint(row(f"{i}", Image.fromarray(d)), False, SETTINGS) for i, d in enumerate(deep)
    )
    assert first.pixels != second.pixels
    assert (fingerprints.hash_difference(first, second) or 0) > SETTINGS.image_distance
    shallow = fingerprints.fingerprint(row("8", scene(1).convert("L")), False, SETTINGS)
    assert first.pixels == shallow.pixels


def test_flips_makes_mirror_images_alike(tmp_path):
    rows = [
        row("left", scene(600), "a longer caption"),
        row("right", ImageOps.mirror(scene(600)), "short"),
        *UNLIKE[:8],
    ]
    asked = run(rows, tmp_path / "asked", dataclasses.replace(SETTINGS, flips=True))
    assert asked["dropped"] == {"near_duplicate": 1}
    assert "right" not in read(tmp_path / "asked" / "out")
    assert run(rows, tmp_path / "not")["dropped"] == {}  # control


def test_borders_makes_a_framed_picture_alike(tmp_path):
    framed = ImageOps.expand(ImageOps.expand(scene(600), 6, "white"), 3, "black")
    rows = [row("bare", scene(600), "a longer caption"), row("framed", framed, "short"), *UNLIKE[:8]]
    asked = run(rows, tmp_path / "asked")
    assert asked["dropped"] == {"near_duplicate": 1}
    assert run(rows, tmp_path / "not", dataclasses.replace(SETTINGS, borders=False))["dropped"] == {}  # control


def test_run_whose_report_fails_writes_no_manifest(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("the report could not be written")

    monkeypatch.setattr(report, "_write", fail)
    with pytest.raises(Exception, match="the report could not be written"):
        run(UNLIKE[:10], tmp_path)
    assert not (tmp_path / "report" / "manifest.json").exists()
