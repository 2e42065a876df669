"""Preprocessing comes from the checkpoint; what it leaves out is stated, and what we cannot do is refused."""

import dataclasses
import itertools
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from models import pretrained, settings
from models.pretrained import __main__, formats
from tests.models.pretrained.test_hugging_face import edit
from tests.models.pretrained.tiny import CONFIG, FIXTURE, checkpoint

OLD, NEW = "preprocessor_config.json", "processor_config.json"


def nest(folder: pathlib.Path) -> None:
    """Turns the layout of transformers 4 into that of transformers 5."""
    fields = json.loads((folder / OLD).read_text())
    (folder / OLD).unlink()
    (folder / NEW).write_text(json.dumps({"image_processor": fields, "processor_class": "SiglipProcessor"}))


@pytest.mark.parametrize(("resample", "interpolation"), [(2, "bilinear"), (3, "bicubic"), ("bilinear", "bilinear")])
@pytest.mark.parametrize("layout", [OLD, NEW])
def test_interpolation_comes_from_either_layout(folder, tmp_path, layout, resample, interpolation):
    edit(folder / OLD, resample=resample)
    if layout == NEW:
        nest(folder)
    loaded = pretrained.read(str(folder))
    assert loaded.config.image_tower.interpolation == interpolation
    assert not loaded.notes
    pretrained.write(loaded, str(tmp_path / "again"), "hugging_face")
    again = pretrained.read(str(tmp_path / "again"))
    assert (again.config, again.notes) == (loaded.config, ())


def test_two_processors_that_differ_are_refused_with_both_values(folder):
    fields = json.loads((folder / OLD).read_text())
    (folder / NEW).write_text(json.dumps({"image_processor": fields}))
    assert pretrained.read(str(folder)).config.image_tower.interpolation == "bicubic"
    edit(folder / OLD, resample=2)
    message = rf"{OLD}: resample is 2 \(bilinear\).*transformers 4.*{NEW}: image_processor: resample is 3 \(bicubic\)"
    with pytest.raises(pretrained.PretrainedError, match=message):
        pretrained.read(str(folder))


def test_processor_config_without_image_processor_is_ignored_beside_the_old_file(folder):
    (folder / NEW).write_text(json.dumps({"processor_class": "SiglipProcessor"}))
    assert pretrained.read(str(folder)).config.image_tower.interpolation == "bicubic"
    (folder / OLD).rename(folder / NEW)  # flat, as transformers 4 reads it
    assert pretrained.read(str(folder)).config.image_tower.interpolation == "bicubic"


@pytest.mark.parametrize("other", [None, {"processor_class": "SiglipProcessor"}])
def test_absent_processor_is_stated(folder, capsys, other):
    (folder / OLD).unlink()
    if other:
        (folder / NEW).write_text(json.dumps(other))
    loaded = pretrained.read(str(folder))
    assert loaded.config.image_tower.interpolation == "bilinear"
    (note,) = loaded.notes
    assert (
        f"has no {OLD}, and no image_processor in {NEW}; assumed: pictures are resized to a square, bilinear"
        in note.text
    )
    assert f"# {note.text}\n" in __main__.describe(loaded)
    start = settings.PretrainedSettings(str(folder))
    formats.load_fitting(start, loaded.config, str(FIXTURE / "spiece.model"))
    assert f"note: {note.text}\n" in capsys.readouterr().out
    text_only = dataclasses.replace(start, parts=("text_tower",))
    formats.load_fitting(text_only, loaded.config, str(FIXTURE / "spiece.model"))
    assert "resized" not in capsys.readouterr().out


NULL = "NULL"  # stands for null in JSON; None removes the field
PROCESSORS = [
    ({"image_mean": [0.48, 0.46, 0.41]}, r"image_mean is \[0.48, 0.46, 0.41\], but must be \[0.5, 0.5, 0.5\]"),
    ({"image_std": [0.3] * 3}, r"image_std is \[0.3, 0.3, 0.3\]"),
    ({"image_mean": NULL}, "image_mean is None"),
    ({"rescale_factor": 1 / 127.5}, "rescale_factor is .*, but must be 1/255"),
    ({"rescale_factor": NULL}, "rescale_factor is None, but must be 1/255"),
    ({"do_resize": False}, "do_resize is False, but must be True"),
    ({"do_rescale": False}, "do_rescale is False, but must be True"),
    ({"do_normalize": NULL}, "do_normalize is None, but must be True"),
    ({"do_center_crop": True}, "do_center_crop is True, but must be False, since our pictures get no such step"),
    ({"do_pad": True}, "do_pad is True, but must be False"),
    ({"size": 35}, r"size is 35, but must be {'height': 35, 'width': 35}, the image_size"),
    ({"size": {"shortest_edge": 35}}, r"size is {'shortest_edge': 35}, but must be {'height': 35"),
    ({"size": {"height": 35, "width": 40}}, r"size is {'height': 35, 'width': 40}"),
    ({"size": None}, r"size is {'height': 224, 'width': 224}, but must be {'height': 35"),  # absent: the default
    ({"resample": 1}, r"resample is 1, but must be 2 \(bilinear\) or 3 \(bicubic\)"),
    ({"resample": True}, "resample is True, but must be 2"),
    ({"resample": "lanczos"}, "resample is 'lanczos', but must be 2"),
    ({"resample": NULL}, "resample is None, but must be 2"),
    (
        {"image_processor_type": "CLIPImageProcessor"},
        "image_processor_type is 'CLIPImageProcessor', but must be one of",
    ),
    (
        {"image_processor_type": "Siglip2ImageProcessor"},
        ".*must be SiglipImageProcessor, since NaFlex variants are not supported",
    ),
    ({"image_processor_type": "Siglip2ImageProcessorFast"}, ".*since NaFlex variants are not supported"),
    ({"auto_map": {"AutoImageProcessor": "x.Y"}}, "auto_map is .*names code that prepares pictures and that is never"),
]


@pytest.mark.parametrize(("fields", "message"), PROCESSORS, ids=[str(fields) for fields, _ in PROCESSORS])
def test_processor_that_our_tower_cannot_follow_is_refused_in_both_layouts(folder, fields, message, record_property):
    edit(folder / OLD, **{name: None if value is NULL else value for name, value in fields.items()})
    if NULL in fields.values():
        content = json.loads((folder / OLD).read_text()) | dict.fromkeys(fields)
        (folder / OLD).write_text(json.dumps(content))
    with pytest.raises(pretrained.PretrainedError, match=f"{OLD}: {message}"):
        pretrained.read(str(folder))
    nest(folder)
    with pytest.raises(pretrained.PretrainedError, match=f"{NEW}: image_processor: {message}"):
        pretrained.read(str(folder))
    record_property("rules", len(PROCESSORS))


@pytest.mark.parametrize(
    "fields",
    [
        {"size": [35, 35]},
        {"size": 35, "default_to_square": True},
        {"size": {"height": 35, "width": 35, "shortest_edge": None}},
        {"image_mean": 0.5, "image_std": 0.5},
        {"image_processor_type": "SiglipImageProcessorFast", "do_center_crop": False, "crop_size": 12},
        {"image_processor_type": "SiglipImageProcessorPil", "do_convert_rgb": False},
        {
            "image_mean": None,
            "image_std": None,
            "rescale_factor": None,
            "do_rescale": None,
            "image_processor_type": None,
        },
    ],
    ids=str,
)
def test_processor_that_transformers_follows_alike_is_read(folder, fields):
    expected = pretrained.read(str(folder)).config
    edit(folder / OLD, **fields)
    assert pretrained.read(str(folder)).config == expected
    nest(folder)
    assert pretrained.read(str(folder)).config == expected


def test_nested_fields_in_the_old_file_are_refused(folder):
    fields = json.loads((folder / OLD).read_text())
    (folder / OLD).write_text(json.dumps({"image_processor": fields}))
    with pytest.raises(pretrained.PretrainedError, match="which transformers 4 reads and transformers 5 ignores"):
        pretrained.read(str(folder))
    (folder / OLD).rename(folder / NEW)
    edit(folder / NEW, image_processor=[1])
    with pytest.raises(pretrained.PretrainedError, match=rf"{NEW}: image_processor is \[1\], but must be an object"):
        pretrained.read(str(folder))


def test_every_pair_of_processor_files_is_read_alike_or_refused(folder, record_property):
    """All pairs of resample values in the two files: equal ones are read, all others are refused."""
    fields, tried = json.loads((folder / OLD).read_text()), 0
    for old, new in itertools.product([None, 0, 2, 3, "bilinear", "bicubic", "box"], repeat=2):
        for name, value in ((OLD, old), (NEW, new)):
            content = {**fields, "resample": value}
            if value is None:
                (folder / name).unlink(missing_ok=True)
            else:
                (folder / name).write_text(json.dumps({"image_processor": content} if name == NEW else content))
        known = {2: "bilinear", 3: "bicubic", "bilinear": "bilinear", "bicubic": "bicubic", 0: "", "box": ""}
        wanted = {known[value] for value in (old, new) if value is not None} or {"bilinear"}
        tried += 1
        if len(wanted) == 1 and wanted != {""}:
            assert pretrained.read(str(folder)).config.image_tower.interpolation == wanted.pop()
        else:
            with pytest.raises(pretrained.PretrainedError, match="resample is"):
                pretrained.read(str(folder))
    print(f"{tried} pairs of processor files")
    record_property("pairs", tried)


def test_npz_follows_big_vision_and_says_so(tmp_path):
    pretrained.write(checkpoint(), str(tmp_path / "a.npz"))
    loaded = pretrained.read(str(tmp_path / "a.npz"))
    image, text = loaded.config.image_tower, loaded.config.text_tower
    assert (image.resize, image.interpolation, image.antialias) == ("squash", "bilinear", False)
    assert (text.punctuation, text.pad_id) == ("canonicalize", 1)
    shown = __main__.describe(loaded)
    assert "assumed: bilinear without antialiasing, as resize() of big_vision's pp/ops_image.py" in shown
    assert "lower-cased, padded with 1, TextTower.punctuation = 'canonicalize'" in shown
    switched = pretrained.read(str(tmp_path / "a.npz"), antialias=True)
    assert switched.config.image_tower == dataclasses.replace(image, antialias=True)
    assert "without antialiasing" not in __main__.describe(switched)
    with pytest.raises(pretrained.PretrainedError, match=r"--antialias=True is for an \.npz of big_vision"):
        pretrained.read(str(FIXTURE), antialias=True)


def test_settings_that_a_format_cannot_hold_are_named():
    assert formats.lost(checkpoint(), "saved_model") == []
    assert formats.lost(checkpoint(), "hugging_face") == []
    assert [line.split(",")[0] for line in formats.lost(checkpoint(), "big_vision")] == [
        "image_tower's antialias is True",
        "text_tower's punctuation is 'remove'",
    ]
    image = dataclasses.replace(CONFIG.image_tower, antialias=False)
    text = dataclasses.replace(CONFIG.text_tower, punctuation="canonicalize")
    other = checkpoint(settings.SiglipSettings(image, text))
    assert formats.lost(other, "big_vision") == []
    assert [line.split(",")[0] for line in formats.lost(other, "hugging_face")] == [
        "image_tower's antialias is False",
        "text_tower's punctuation is 'canonicalize'",
    ]


@pytest.mark.parametrize("source", [pytest.param("hugging_face", marks=pytest.mark.slow), "big_vision"])
def test_served_model_follows_the_rules_of_its_checkpoint(tmp_path, source):
    loaded = pretrained.read(str(FIXTURE))
    if source == "big_vision":
        pretrained.write(loaded, str(tmp_path / "a.npz"))
        loaded = pretrained.read(str(tmp_path / "a.npz"), str(FIXTURE / "spiece.model"), size=35)
    pretrained.write(loaded, str(tmp_path / "served"), "saved_model")
    signatures = tf.saved_model.load(str(tmp_path / "served")).signatures
    labels = tf.constant(["golden_retriever", "goldenretriever", "golden retriever"])
    given, joined, apart = signatures["embed_text"](text=labels)["text_embedding"].numpy()
    assert np.array_equal(given, joined) == (source == "hugging_face")
    assert np.array_equal(given, apart) == (source == "big_vision")
    again = pretrained.read(str(tmp_path / "served"))
    assert (again.config, again.notes) == (loaded.config, ())
