"""All sources give the same pairs for the same rows, and drop only broken rows, each with a reason."""

import base64
import csv
import io
import json
import pathlib
import tarfile

import apache_beam
import numpy as np
import pyarrow
import pytest
import tensorflow as tf
from pyarrow import parquet

from beam import sources
from beam.build import ImageTextGenSettings
from beam.records import ImageText, Rejected
from beam.sources.delimited.source import CsvSource
from beam.sources.jsonl import JsonlSource
from beam.sources.parquet.source import ParquetSource
from beam.sources.tfds import TfdsSource
from beam.sources.tfrecord.source import TfrecordSource
from beam.sources.webdataset.source import WebDatasetSource
from models.settings import configuration
from tests.pictures import shape_pairs

PAIRS = [(image, caption, f"generated: {caption}") for image, caption, _ in shape_pairs()[:12]]


def read(source: sources.Source) -> tuple[list[ImageText], list[Rejected]]:
    """Reads a source, after a round trip through gin text; returns pairs and rejects, sorted by position."""
    _FOUND.clear()
    with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
        pipeline | _round_trip(source).read() | apache_beam.Map(_keep)
    found = sorted(_FOUND, key=lambda row: (len(row.position), row.position))
    rejected = [row for row in found if isinstance(row, Rejected)]
    return [row for row in found if isinstance(row, ImageText)], rejected


def _round_trip(source: sources.Source) -> sources.Source:
    """The source after a round trip through the gin text that carries it to components."""
    text = configuration.to_gin(ImageTextGenSettings(source))
    return configuration.parse(text, ImageTextGenSettings).source


_FOUND: list = []


def _keep(row: object) -> None:
    _FOUND.append(row)


def inline(image: bytes) -> str:
    return base64.b64encode(image).decode()


def write_jsonl(folder: pathlib.Path) -> sources.Source:
    rows = [{"image_base64": inline(image), "alt": alt, "blip": text} for image, alt, text in PAIRS]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return JsonlSource(str(folder / "a.jsonl"), captions=("alt", "blip"), language="en")


def write_csv(folder: pathlib.Path) -> sources.Source:
    with (folder / "a.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_base64", "alt", "blip"])
        writer.writerows((inline(image), alt, text) for image, alt, text in PAIRS)
    return CsvSource(str(folder / "a.csv"), captions=("alt", "blip"), language="en")


def write_tsv_of_paths(folder: pathlib.Path) -> sources.Source:
    (folder / "pictures").mkdir()
    lines = []
    for number, (image, alt, text) in enumerate(PAIRS):
        path = folder / "pictures" / f"{number}.png"
        path.write_bytes(image)
        where = f"pictures/{number}.png" if number % 2 else f"{'file://' if number % 4 else ''}{path}"
        lines.append(f"{alt}\t{text}\t{where}\n")
    (folder / "a.tsv").write_text("".join(lines))
    header = ("alt", "blip", "where")
    return CsvSource(
        str(folder / "a.tsv"), {"image": "where"}, ("alt", "blip"), "en", delimiter="\t", quote="", header=header
    )


def write_parquet(folder: pathlib.Path) -> sources.Source:
    """Writes img2dataset's layout, in several row groups."""
    images, alts, texts = zip(*PAIRS, strict=True)
    columns = {"url": ["http://x"] * 12, "alt": alts, "blip": texts, "jpg": images, "status": ["success"] * 12}
    parquet.write_table(pyarrow.table(columns), folder / "a.parquet", row_group_size=5)
    return ParquetSource(str(folder / "a.parquet"), {"image": "jpg"}, ("alt", "blip"), "en")


def write_hugging_face(folder: pathlib.Path) -> sources.Source:
    images = [{"bytes": image, "path": None} for image, _, _ in PAIRS]
    captions = [[alt, text] for _, alt, text in PAIRS]
    parquet.write_table(pyarrow.table({"image": images, "captions": captions}), folder / "a.parquet")
    return ParquetSource(str(folder / "*.parquet"), language="en")


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def write_webdataset(folder: pathlib.Path) -> sources.Source:
    with tarfile.open(folder / "a.tar", "w") as tar:
        for number, (image, alt, text) in enumerate(PAIRS):
            add(tar, f"some.folder/{number:04d}.png", image)
            add(tar, f"some.folder/{number:04d}.txt", alt.encode())
            add(tar, f"some.folder/{number:04d}.json", json.dumps({"caption": text, "language": "en"}).encode())
    return WebDatasetSource(str(folder / "a.tar"))


def write_tfrecord(folder: pathlib.Path) -> sources.Source:
    with tf.io.TFRecordWriter(str(folder / "a.tfrecord"), "GZIP") as writer:
        for image, alt, text in PAIRS:
            values = {"image/encoded": [image], "image/captions": [alt.encode(), text.encode()]}
            feature = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=v)) for k, v in values.items()}
            feature["image/height"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[48]))
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString(deterministic=True))
    return TfrecordSource(str(folder / "a.tfrecord"), {"image": "image/encoded"}, ("image/captions",), "en")


WRITERS = (write_jsonl, write_csv, write_tsv_of_paths, write_parquet, write_hugging_face, write_webdataset,
           write_tfrecord)  # fmt: skip


@pytest.mark.parametrize("write", WRITERS)
def test_all_sources_give_the_same_pairs(tmp_path, write):
    source = write(tmp_path)
    pairs, rejected = read(source)
    assert not rejected
    assert [(pair.image, pair.caption, pair.more_captions) for pair in pairs] == [(i, a, (t,)) for i, a, t in PAIRS]
    assert {(pair.language, pair.source) for pair in pairs} == {("en", source.name)}
    assert len({pair.key for pair in pairs}) == 12
    assert all("a." in pair.position for pair in pairs)


def test_only_the_broken_rows_of_a_csv_are_dropped(tmp_path):
    image = inline(PAIRS[0][0])
    lines = [
        b"\xef\xbb\xbfimage_base64,caption,key", f'{image},"two\nlines, a comma",k1'.encode(), b"",
        f"{image},,k2".encode(), b"one field", f"{image},\xff\xfe".encode("latin-1") + b",k3", b"?,caption,k4",
        f'{image},"a ""quoted"" word",k5'.encode(), b",x\x00y,k6", f"{image},last,k7".encode(),
    ]  # fmt: skip
    (tmp_path / "a.csv").write_bytes(b"\r\n".join(lines))
    pairs, rejected = read(CsvSource(str(tmp_path / "a.csv")))
    assert {pair.key: pair.caption for pair in pairs} == {
        "k1": "two\nlines, a comma", "k5": 'a "quoted" word', "k7": "last"
    }  # fmt: skip
    reasons = [(row.position.rpartition(":")[2], row.reason) for row in rejected]
    assert reasons[:4] == [
        ("5", "caption_missing"),
        ("6", "invalid_csv"),
        ("7", "invalid_utf8"),
        ("8", "invalid_base64"),
    ]
    assert len(rejected) == 5
    assert {pair.key: pair.position.rpartition(":")[2] for pair in pairs} == {"k1": "2", "k5": "9", "k7": "11"}


def test_picture_larger_than_the_default_limit_of_csv_is_read(tmp_path):
    image = np.random.default_rng(0).bytes(200_000)
    (tmp_path / "a.csv").write_text(f"image_base64,caption\n{inline(image)},large\n")
    ((pair,), rejected) = read(CsvSource(str(tmp_path / "a.csv")))
    assert pair.image == image
    assert not rejected


def test_rejects_keep_the_message_of_img2dataset(tmp_path):
    columns = {"jpg": [b"x", None], "caption": ["a", "b"], "status": ["success", "failed_to_download"],
               "error_message": [None, "HTTP Error 404"]}  # fmt: skip
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    pairs, (rejected,) = read(ParquetSource(str(tmp_path / "a.parquet"), {"image": "jpg"}))
    assert [pair.caption for pair in pairs] == ["a"]
    assert (rejected.reason, rejected.detail) == ("image_missing", "img2dataset: HTTP Error 404")
    assert rejected.position.endswith("a.parquet:2")


def test_only_the_parquet_row_with_invalid_utf8_is_dropped(tmp_path):
    captions = pyarrow.array([b"fine", b"\xff", b"also fine"], pyarrow.binary()).view(pyarrow.string())
    parquet.write_table(pyarrow.table({"image": [b"1", b"2", b"3"], "caption": captions}), tmp_path / "a.parquet")
    pairs, (rejected,) = read(ParquetSource(str(tmp_path / "a.parquet")))
    assert [pair.caption for pair in pairs] == ["fine", "also fine"]
    assert (rejected.reason, rejected.position[-2:]) == ("invalid_utf8", ":2")


@pytest.mark.parametrize("write", [write_parquet, write_webdataset, write_tfrecord])
def test_truncated_file_gives_the_rows_before_the_cut_and_is_reported(tmp_path, write):
    source = write(tmp_path)
    whole = pathlib.Path(source.path).read_bytes()
    pathlib.Path(source.path).write_bytes(whole[: len(whole) * 2 // 3])
    pairs, rejected = read(source)
    assert len(pairs) == (0 if write is write_parquet else pytest.approx(8, abs=3))  # Parquet has its index at the end
    (damaged,) = [row for row in rejected if row.reason == "damaged_file"]
    assert damaged.position.startswith(source.path)
    assert [pair.caption for pair in pairs] == [alt for _, alt, _ in PAIRS[: len(pairs)]]


def test_names_of_tar_members_separate_samples_and_none_is_lost(tmp_path):
    image = PAIRS[0][0]
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        add(tar, "whole.PNG", image)
        add(tar, "whole.txt", b"in capitals")
        add(tar, "no_caption.png", image)
        add(tar, "no_picture.txt", b"a caption")
        add(tar, "README", b"no extension")
        add(tar, "bad_json.png", image)
        add(tar, "bad_json.json", b"{")
        add(tar, "twice.png", image)
        add(tar, "twice.txt", b"first")
        add(tar, "twice.txt", b"second")
        add(tar, "last.json", b'{"captions": ["one", "two"]}')
        add(tar, "last.png", image)
    pairs, rejected = read(WebDatasetSource(str(tmp_path / "a.tar.gz")))
    assert {(pair.caption, pair.more_captions) for pair in pairs} == {
        ("in capitals", ()), ("first", ()), ("one", ("two",))
    }  # fmt: skip
    assert {row.position.rpartition(":")[2]: row.reason for row in rejected} == {
        "no_caption": "caption_missing", "no_picture": "image_missing", "README": "invalid_member",
        "bad_json": "invalid_json", "twice": "image_missing",
    }  # fmt: skip


def test_reject_of_a_url_names_the_source_that_fetches(tmp_path):
    (tmp_path / "a.csv").write_text("image,caption\nhttps://example.com/x.jpg,a\n")
    _, (rejected,) = read(CsvSource(str(tmp_path / "a.csv")))
    assert "this source does not fetch; use UrlListSource" in rejected.detail


@pytest.mark.parametrize(("make", "message"), [
    (lambda: CsvSource("x", {"picture": "jpg"}), r"CsvSource.columns has \['picture'\], but fields are image, "),
    (lambda: CsvSource("x", captions=()), "CsvSource.captions is empty"),
    (lambda: CsvSource("x", delimiter="||"), r"CsvSource.delimiter is '\|\|', but must be one character"),
    (lambda: ParquetSource("no.parquet").fingerprint(), "ParquetSource.path is 'no.parquet', but no such file"),
    (lambda: TfdsSource(templates=("a photo",)), "TfdsSource.templates has 'a photo', but each must hold {}"),
    (lambda: TfdsSource("nowhere").fingerprint(), "TfdsSource.path is 'nowhere', but there is no such data set"),
    (lambda: TfdsSource(builder="no_such_set").fingerprint(), "TfdsSource.builder is 'no_such_set', but there is no"),
    (lambda: TfdsSource(builder="coco_captions", data_dir="no").fingerprint(), "not prepared; run: tfds build coco"),
])  # fmt: skip
def test_errors_for_wrong_settings_say_the_rule(make, message):
    with pytest.raises(ValueError, match=message):
        make()
