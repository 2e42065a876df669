"""Every source gives the same rows for the same pairs, and a broken row costs that row and says where it lay."""

import base64
import csv
import http.server
import io
import json
import pathlib
import pickle
import tarfile
import threading

import apache_beam
import pyarrow
import pytest
import tensorflow as tf
from pyarrow import parquet

from beam import sources
from beam.records import ImageText, Rejected
from beam.sources import (
    CsvSource,
    JsonlSource,
    ParquetSource,
    TfdsSource,
    TfrecordSource,
    UrlListSource,
    WebDatasetSource,
)
from tests.pictures import shape_pairs

PAIRS = shape_pairs()[:6]


def rows_of(source: sources.Source, folder: pathlib.Path) -> tuple[list[ImageText], list[Rejected]]:
    """All rows, after the source has travelled as text, as it does to a component."""
    file = folder / "found.pickle"
    with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
        outcomes = pipeline | sources.from_json(sources.to_json(source)).read()
        outcomes | apache_beam.combiners.ToList() | apache_beam.Map(lambda rows: file.write_bytes(pickle.dumps(rows)))
    found = pickle.loads(file.read_bytes())
    kept = sorted((row for row in found if isinstance(row, ImageText)), key=lambda row: row.position)
    return kept, sorted((row for row in found if isinstance(row, Rejected)), key=lambda row: row.position)


def content(rows: list[ImageText]) -> set[tuple]:
    return {(row.key, row.image, row.caption, row.more_captions, row.language, row.class_name) for row in rows}


@pytest.fixture
def expected(tmp_path) -> set[tuple]:
    """What the JSON Lines source makes of the pairs."""
    lines = [
        {"image_base64": base64.b64encode(image).decode(), "caption": caption, "language": "en", "class_name": colour}
        for image, caption, colour in PAIRS
    ]
    (tmp_path / "pairs.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    kept, rejected = rows_of(JsonlSource(str(tmp_path / "pairs.jsonl")), tmp_path)
    assert len(kept) == len(PAIRS)
    assert not rejected
    return content(kept)


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_csv_and_tsv(tmp_path, expected, delimiter):
    path = tmp_path / ("pairs.tsv" if delimiter == "\t" else "pairs.csv")
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["picture", "caption", "language", "class_name", "image_base64"])
        for number, (image, caption, colour) in enumerate(PAIRS):
            (tmp_path / f"{number}.png").write_bytes(image)
            inline = base64.b64encode(image).decode() if number % 2 else ""
            writer.writerow(["" if inline else f"{number}.png", caption, "en", colour, inline])
        writer.writerow(["missing.png", "a caption", "en", "", ""])
        writer.writerow(["0.png", 'two\nlines, "quoted"', "en", "", "", "one too many"])
    kept, rejected = rows_of(CsvSource(str(path), columns={"image": "picture"}), tmp_path)
    assert content(kept) == expected
    assert [row.reason for row in rejected] == ["invalid_csv", "image_missing"]
    assert {row.position for row in rejected} == {f"{path}:8", f"{path}:10"}


def test_csv_that_is_no_utf8_costs_the_row(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"image,caption\n0.png,caf\xe9\n0.png,a cup\n")
    (tmp_path / "0.png").write_bytes(PAIRS[0][0])
    kept, rejected = rows_of(CsvSource(str(tmp_path / "a.csv")), tmp_path)
    assert [row.caption for row in kept] == ["a cup"]
    assert [(row.reason, row.position) for row in rejected] == [("invalid_utf8", f"{tmp_path}/a.csv:2")]


def test_parquet_as_img2dataset_writes_it(tmp_path, expected):
    images, captions, colours = zip(*PAIRS, strict=True)
    table = pyarrow.table(
        {
            "jpg": [*images, None],
            "TEXT": [*captions, "not fetched"],
            "status": ["success"] * len(PAIRS) + ["failed_to_download"],
            "class_name": [*colours, ""],
            "language": ["en"] * (len(PAIRS) + 1),
        }
    )
    parquet.write_table(table, tmp_path / "00000.parquet", row_group_size=2)
    kept, rejected = rows_of(ParquetSource(str(tmp_path / "*.parquet"), columns={"caption": "TEXT"}), tmp_path)
    assert content(kept) == expected
    assert [(row.reason, row.position) for row in rejected] == [("image_missing", f"{tmp_path}/00000.parquet:7")]


def test_parquet_that_is_cut_short_is_one_reject(tmp_path):
    parquet.write_table(pyarrow.table({"caption": ["a"] * 100}), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[: len(whole) // 2])
    kept, rejected = rows_of(ParquetSource(str(tmp_path / "a.parquet")), tmp_path)
    assert not kept
    assert [row.reason for row in rejected] == ["invalid_parquet"]


def write_tar(path: pathlib.Path) -> None:
    with tarfile.open(path, "w") as tar:
        for number, (image, caption, colour) in enumerate(PAIRS):
            members = {
                "png": image,
                "txt": caption.encode(),
                "json": json.dumps({"class_name": colour, "language": "en", "caption": "another"}).encode(),
            }
            for extension, data in members.items():
                info = tarfile.TarInfo(f"part/{number:04}.{extension}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def test_webdataset(tmp_path, expected):
    write_tar(tmp_path / "00000.tar")
    kept, rejected = rows_of(WebDatasetSource(str(tmp_path / "*.tar")), tmp_path)
    assert content(kept) == expected
    assert not rejected
    assert [row.position for row in kept] == [f"{tmp_path}/00000.tar:{number}" for number in range(1, 7)]


def test_a_tar_that_is_cut_short_keeps_the_samples_before(tmp_path):
    write_tar(tmp_path / "a.tar")
    whole = (tmp_path / "a.tar").read_bytes()
    sample = whole.index(b"part/0001.png")
    for cut, lost in ((sample, 5), (sample + 700, 5), (sample * 2 + 1200, 4)):
        (tmp_path / "a.tar").write_bytes(whole[:cut])
        kept, rejected = rows_of(WebDatasetSource(str(tmp_path / "a.tar")), tmp_path)
        assert len(kept) == 6 - lost
        assert "invalid_tar" in [row.reason for row in rejected]
        assert rejected[0].position == f"{tmp_path}/a.tar:{len(kept) + 1}"


def write_tfrecord(path: pathlib.Path) -> None:
    with tf.io.TFRecordWriter(str(path)) as file:
        for image, caption, colour in PAIRS:
            texts = {"TEXT": caption, "class_name": colour, "language": "en"}
            feature = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
                for name, value in texts.items()
            }
            feature["image/encoded"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))
            feature["height"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[48]))
            file.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


def test_tfrecord_with_a_feature_map(tmp_path, expected):
    write_tfrecord(tmp_path / "a.tfrecord")
    columns = {"caption": "TEXT", "image_bytes": "image/encoded"}
    kept, rejected = rows_of(TfrecordSource(str(tmp_path / "a.tfrecord"), columns), tmp_path)
    assert content(kept) == expected
    assert not rejected
    damaged = bytearray((tmp_path / "a.tfrecord").read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    (tmp_path / "a.tfrecord").write_bytes(damaged)
    kept, rejected = rows_of(TfrecordSource(str(tmp_path / "a.tfrecord"), columns), tmp_path)
    assert 0 < len(kept) < 6
    assert [row.reason for row in rejected] == ["invalid_tfrecord"]


def test_tfds_classes_through_templates_and_captions_as_they_are(tmp_path):
    import tensorflow_datasets as tfds

    colours = sorted({colour for _, _, colour in PAIRS})
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(encoding_format="png"),
            "label": tfds.features.ClassLabel(names=colours),
            "captions": tfds.features.Sequence({"text": tfds.features.Text()}),
        }
    )

    def rows():
        for image, caption, colour in PAIRS:
            pixels = tf.io.decode_image(image, channels=3).numpy()
            yield {"image": pixels, "label": colour, "captions": {"text": [caption, "another"]}}

    spec = {
        "image": tf.TensorSpec([None, None, 3], tf.uint8),
        "label": tf.TensorSpec([], tf.string),
        "captions": {"text": tf.TensorSpec([None], tf.string)},
    }
    data = tf.data.Dataset.from_generator(rows, output_signature=spec)
    data = data.map(lambda row: {**row, "label": tf.argmax(tf.equal(colours, row["label"]))})
    tfds.dataset_builders.store_as_tfds_dataset(
        "shapes", "1.0.0", features=features, split_datasets={"train": data}, data_dir=str(tmp_path)
    )
    folder = f"{tmp_path}/shapes/1.0.0"
    templates = ("a photo of a {} thing.", "{}")
    kept, rejected = rows_of(TfdsSource(folder, templates=templates), tmp_path)
    assert not rejected
    assert {row.class_name for row in kept} == set(colours)
    assert all(row.caption in [text.replace("{}", row.class_name) for text in templates] for row in kept)
    kept, _ = rows_of(TfdsSource(folder, caption="captions/text"), tmp_path)
    assert {(row.caption, row.more_captions) for row in kept} == {(caption, ("another",)) for _, caption, _ in PAIRS}
    assert tf.io.decode_image(kept[0].image).shape == (48, 48, 3)
    by_name = TfdsSource("shapes", data_dir=str(tmp_path))
    assert by_name.fingerprint() == TfdsSource(folder).fingerprint()
    with pytest.raises(ValueError, match=r"TfdsSource\.builder is 'nothing_like_it'"):
        TfdsSource("nothing_like_it", data_dir=str(tmp_path)).fingerprint()


class _Pictures(http.server.BaseHTTPRequestHandler):
    failures_left = 2

    def do_GET(self) -> None:
        name = self.path.strip("/")
        code, headers = 200, {}
        if name == "flaky" and _Pictures.failures_left:
            _Pictures.failures_left -= 1
            code = 503
        elif name == "gone":
            code = 404
        elif name == "private":
            headers["X-Robots-Tag"] = "otherbot: all, noai"
        assert self.headers["User-Agent"] == "tests/1.0 (+nobody)"
        self.send_response(code)
        for header, value in headers.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(PAIRS[0][0] if name != "huge" else b"x" * 50_000)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_lists_of_addresses(tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pictures)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}"
    names = ("good", "flaky", "gone", "private", "huge")
    lines = [*(f"caption of {name}\t{root}/{name}" for name in names), "no address", "a caption\tfile:///etc/passwd"]
    (tmp_path / "list.tsv").write_text("\n".join(lines) + "\n")
    source = UrlListSource(
        str(tmp_path / "list.tsv"), agent="tests/1.0 (+nobody)", pause=0.01, timeout=5, max_bytes=20_000
    )
    kept, rejected = rows_of(source, tmp_path)
    server.shutdown()
    assert {row.caption for row in kept} == {"caption of good", "caption of flaky"}
    reasons = {row.position.rsplit(":", 1)[1]: row.reason for row in rejected}
    assert reasons == {
        "3": "image_missing",
        "4": "robots",
        "5": "image_missing",
        "6": "invalid_line",
        "7": "invalid_address",
    }
    assert "404" in rejected[0].detail
    with pytest.raises(ValueError, match="must tell servers who asks"):
        UrlListSource(str(tmp_path / "list.tsv"))


@pytest.mark.parametrize("source", [CsvSource, ParquetSource, WebDatasetSource, TfrecordSource])
def test_a_missing_file_says_what_to_set(source):
    with pytest.raises(ValueError, match=rf"{source.__name__}\.path is 'none', but no such file exists"):
        source("none").fingerprint()
