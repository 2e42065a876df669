"""Sets as their authors distribute them become rows, with the right classes, languages and groups."""

import hashlib
import json
import pathlib

import pytest

from beam.records import ImageText, Rejected
from beam.sources import JsonlSource
from beam.sources.rows.columns import to_pair
from pipeline.evaluation import evaluation, imagenet_names, layouts
from tests.pipeline.conftest import ROOT


def rows(folder: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in (folder / layouts.ROWS_FILE).read_text().splitlines()]


def write(folder: pathlib.Path, contents: dict[str, object]) -> None:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).write_text(text)


def test_xm3600_has_a_row_for_each_language_and_all_its_captions(tmp_path):
    lines = [
        {"image/key": key, "image/locale": "en", "en": {"caption": ["one", "two"], "caption/tokenized": ["x"]},
         "quz": {"caption": [f"huk {key}"]}}
        for key in ("a", "b")
    ]  # fmt: skip
    write(tmp_path, {"captions.jsonl": "\n".join(map(json.dumps, lines)), "images/a.jpg": "", "images/b.jpg": ""})
    assert "4 rows" in layouts.write("xm3600", str(tmp_path))
    got = rows(tmp_path)
    assert [(row["key"], row["group"], row["language"], row["captions"]) for row in got] == [
        ("a-en", "a", "en", ["one", "two"]), ("a-quz", "a", "quz", ["huk a"]),
        ("b-en", "b", "en", ["one", "two"]), ("b-quz", "b", "quz", ["huk b"]),
    ]  # fmt: skip


def test_a_damaged_folder_is_an_error_that_names_file_and_line(tmp_path):
    line = json.dumps({"image/key": "a", "en": {"caption": ["one"]}})
    write(tmp_path, {"captions.jsonl": f"{line}\n\n{line}", "images/a.jpg": ""})
    with pytest.raises(ValueError, match=r"captions.jsonl, line 2: not JSON .*; download it again"):
        layouts.write("xm3600", str(tmp_path))
    (tmp_path / "folder" / "captions.jsonl").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"has no captions.jsonl; name a folder with this layout"):
        layouts.write("xm3600", str(tmp_path / "folder"))


def test_flickr30k_takes_karpathy_s_test_split(tmp_path):
    images = [
        {"filename": f"{split}.jpg", "split": split, "sentences": [{"raw": f"{split} {i}"} for i in range(5)]}
        for split in ("train", "val", "test")
    ]
    write(tmp_path, {"dataset_flickr30k.json": {"images": images}, "flickr30k-images/test.jpg": ""})
    layouts.write("flickr30k", str(tmp_path))
    (row,) = rows(tmp_path)
    assert (row["image"], row["captions"]) == ("flickr30k-images/test.jpg", [f"test {i}" for i in range(5)])


@pytest.fixture
def objectnet(tmp_path) -> pathlib.Path:
    """Three labels: one covers two classes of ImageNet, one a single class, one none. Ids are no class numbers."""
    write(
        tmp_path,
        {
            "mappings/folder_to_objectnet_label.json": {"chair": "Chair", "mug": "Mug", "air_freshener": "Freshener"},
            "mappings/objectnet_to_imagenet_1k.json": {
                "Chair": "folding chair; rocking chair, rocker",
                "Mug": "coffee mug",
            },
            "mappings/imagenet_to_label_2012_v2": "rocking chair, rocker\ncoffee mug \ntench\nfolding chair\n",
            "mappings/pytorch_to_imagenet_2012_id.json": {"0": 2, "1": 1, "2": 3, "3": 0},
            **{f"images/{name}/1.png": "" for name in ("chair", "mug", "air_freshener")},
        },
    )
    return tmp_path


@pytest.mark.parametrize("first", [0, 1])
def test_objectnet_s_labels_have_all_their_classes_of_imagenet(objectnet, first):
    """The names of the classes, in the order of their numbers: tench, mug, folding chair, rocking chair."""
    ids = {"0": 2 + first, "1": 1 + first, "2": 3 + first, "3": first}
    write(objectnet, {"mappings/pytorch_to_imagenet_2012_id.json": ids})
    layouts.write("objectnet", str(objectnet))
    names = ("tench", "coffee mug", "folding chair", "rocking chair")
    source = JsonlSource(str(objectnet / layouts.ROWS_FILE), class_names=names)
    pairs = [
        to_pair(
            one._replace(content=source.decode(one.content)), {}, ("caption",), "und", "t", classes=source._classes()
        )
        for part in source.splits(source.path)
        for one in source.raw_rows(part)
    ]
    assert all(isinstance(pair, ImageText) for pair in pairs), [one for one in pairs if isinstance(one, Rejected)]
    assert [pair.classes for pair in pairs] == [("folding chair", "rocking chair"), ("coffee mug",)]
    assert [pair.category for pair in pairs] == ["Chair", "Mug"]


@pytest.mark.parametrize("name", sorted(layouts.LAYOUTS))
def test_a_missing_file_is_named_with_the_layout(tmp_path, name):
    layout = layouts.LAYOUTS[name].folder
    for folder in (tmp_path / "missing", tmp_path):
        with pytest.raises(ValueError, match=r" has no \S+; name a folder with this layout") as error:
            layouts.write(name, str(folder))
        assert layout in str(error.value)
        assert not (folder / layouts.ROWS_FILE).exists()


@pytest.mark.parametrize("name", sorted(layouts.LAYOUTS))
def test_an_evaluation_of_a_set_that_is_not_prepared_says_what_to_download(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"rows.jsonl does not exist. Download {name} into ") as error:
        evaluation.run("model", [str(ROOT / "gin" / "evaluation" / f"{name}.gin")], [], str(tmp_path / "out"))
    assert layouts.LAYOUTS[name].folder in str(error.value)
    assert f"`python -m pipeline.evaluation_files {name} --folder=data/{name}`" in str(error.value)


@pytest.mark.parametrize("name", ["imagenet", "imagenet_a", "objectnet"])
def test_missing_class_names_of_imagenet_are_told_with_their_command(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"data/objectnet/rows.jsonl": ""})
    with pytest.raises(ValueError, match=r"data/imagenet/classes.json does not exist. `python -m pipeline") as error:
        evaluation.run("model", [str(ROOT / "gin" / "evaluation" / f"{name}.gin")], [], str(tmp_path / "out"))
    assert "`python -m pipeline.evaluation_files imagenet --folder=data/imagenet` fetches" in str(error.value)


def test_a_caption_may_have_any_line_end_within_it(tmp_path):
    record = {"image/key": "a", "en": {"caption": ["one\u2028two\x85three"]}}
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"")
    (tmp_path / "captions.jsonl").write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    layouts.write("xm3600", str(tmp_path))
    (line,) = (tmp_path / layouts.ROWS_FILE).read_text(encoding="utf-8").strip("\n").split("\n")
    assert json.loads(line)["captions"] == record["en"]["caption"]


def test_other_content_is_refused_and_nothing_is_written(objectnet):
    write(objectnet, {"mappings/objectnet_to_imagenet_1k.json": {"Mug": "beer mug"}})
    with pytest.raises(ValueError, match="the label 'Mug' covers 'beer mug', but imagenet_to_label_2012_v2 and"):
        layouts.write("objectnet", str(objectnet))
    write(objectnet, {"captions.jsonl": json.dumps({"key": "a"})})
    with pytest.raises(ValueError, match=r"is not xm3600 as its authors distribute it \(KeyError: 'image/key'\)"):
        layouts.write("xm3600", str(objectnet))
    assert not (objectnet / layouts.ROWS_FILE).exists()


def test_names_of_imagenet_are_parsed_and_not_run_and_others_are_refused(tmp_path, monkeypatch):
    source = tmp_path / "class_names.py"
    source.write_text("CLIP_IMAGENET_CLASS_NAMES = ['tench', 'missile', 'missile']\nraise RuntimeError\n")
    with pytest.raises(ValueError, match=r"has 3 names with SHA-256 .*, but must have those of"):
        imagenet_names.write(str(tmp_path / "out"), source.as_uri())
    own = hashlib.sha256(b"tench\nmissile\nmissile").hexdigest()
    monkeypatch.setattr(imagenet_names, "SHA256", own)
    assert "3 names, 2 different ones" in imagenet_names.write(str(tmp_path / "out"), source.as_uri())
    assert json.loads((tmp_path / "out" / "classes.json").read_text()) == ["tench", "missile", "missile"]
    source.write_text("NAMES = []")
    with pytest.raises(ValueError, match=r"cannot be read .it has no list CLIP_IMAGENET_CLASS_NAMES.; download"):
        imagenet_names.write(str(tmp_path / "out"), source.as_uri())
