"""Reads many mutated files of one format, in a process of its own: python -m tests.beam.sources.mutated_files --help.

It ends with an error if a file crashes or hangs a reader, or if a line or row is neither read nor rejected.
"""

import argparse
import collections
import csv
import faulthandler
import gzip
import io
import json
import pathlib
import random
import re
import struct
import zlib
from collections.abc import Callable, Iterator

import google_crc32c
import pyarrow
import tensorflow as tf
from pyarrow import parquet

from beam.filters.captions import CaptionCheck
from beam.records import ImageText, Rejected
from beam.sources.delimited.source import CsvSource
from beam.sources.jsonl import JsonlSource
from beam.sources.parquet.source import ParquetSource
from beam.sources.rows.columns import to_pair
from beam.sources.rows.raw import RawRow
from beam.sources.rows.source import RowSource, _decode, _raw_rows, _splits
from beam.sources.tfrecord.source import TfrecordSource
from beam.stages import _removed, _without_captions
from tests import memory

SECONDS = 20  # for one file
_LINE_END = re.compile(r"\r\n|\r|\n")
_TOKENS = [b'"', b'""', b",", b"\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"{", b"}", b"[", b"]", b"null", b"9" * 30]
_TOKENS += [b"\\u0000", b"\\ud800", b'","', b'"\n', b"\t", b"\x80\x80\x80\x80\x08"]


def _rows() -> list[dict]:
    rng = random.Random(1)
    captions = ["a red boat", "two\nlines, and a comma", 'a "quoted" word', "ผ้า", "", "x" * 300]
    return [
        {"image": f"pics/{n}.jpg", "caption": rng.choice(captions), "key": n, "captions": [f"one {n}", "two"]}
        for n in range(40)
    ]


def _jsonl() -> list[bytes]:
    plain = "".join(json.dumps(row) + "\n" for row in _rows()).encode()
    return [plain, gzip.compress(plain), json.dumps(_rows(), indent=1).encode()]


def _csv() -> list[bytes]:
    whole = []
    for ends in ("\r\n", "\n", "\r"):
        stream = io.StringIO(newline="")
        writer = csv.DictWriter(stream, ["image", "caption", "key"], extrasaction="ignore", lineterminator=ends)
        writer.writeheader()
        writer.writerows(_rows())
        whole.append(stream.getvalue().encode())
    return [*whole, gzip.compress(whole[0])]


def _parquet() -> list[bytes]:
    rng, rows = random.Random(0), _rows()
    columns = {
        "image": [{"bytes": rng.randbytes(50), "path": None} for _ in rows],
        "caption": [row["caption"] for row in rows],
        "captions": [row["captions"] for row in rows],
        "key": [row["key"] for row in rows],
    }
    whole = []
    for compression in ("snappy", "gzip", "zstd", "none"):
        for version, dictionary in (("1.0", True), ("2.0", False), ("1.0", False), ("2.0", True)):
            stream = io.BytesIO()
            options = {"compression": compression, "use_dictionary": dictionary, "data_page_version": version}
            parquet.write_table(pyarrow.table(columns), stream, row_group_size=15, **options)
            whole.append(stream.getvalue())
    return whole


def _tfrecord() -> list[bytes]:
    whole = b""
    for row in _rows():
        values = {"image": [b"picture"], "caption": [row["caption"].encode()], "captions": [b"one", b"two"]}
        feature = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=v)) for name, v in values.items()}
        feature["key"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[row["key"]]))
        whole += framed(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return [whole, gzip.compress(whole)]


def framed(content: bytes, length: int | None = None) -> bytes:
    """A TFRecord, whose length may be wrong but whose checksums are right."""

    def masked(part: bytes) -> bytes:
        crc = google_crc32c.value(part)
        return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)

    size = struct.pack("<Q", len(content) if length is None else length)
    return size + masked(size) + content + masked(content)


def _mutated(whole: bytes, rng: random.Random) -> bytes:
    """Changes, cuts, repeats, inserts or removes a few bytes or runs of bytes; often inside the compression."""
    if whole[:2] == b"\x1f\x8b" and rng.random() < 0.5:
        return gzip.compress(_mutated(zlib.decompress(whole, 31), rng))
    broken = bytearray(whole)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        start, length = rng.randrange(len(broken) + 1), rng.choice([1, 1, 2, 4, 64])
        kind = rng.randrange(6)
        if kind == 0 and start < len(broken):
            broken[start] ^= 1 << rng.randrange(8)
        elif kind == 1:
            broken[start : start + length] = rng.randbytes(length)
        elif kind == 2:
            del broken[start : start + length]
        elif kind == 3:
            broken[start:start] = broken[start : start + length]
        elif kind == 4:
            broken[start:start] = rng.choice(_TOKENS)
        else:
            del broken[start if rng.random() < 0.1 else max(len(broken) - length, 0) :]
    return bytes(broken)


def _mutated_record(whole: bytes, rng: random.Random) -> bytes:
    """Half of the records are mutated before they get checksums, which would find everything else."""
    if rng.random() < 0.5 or whole[:2] == b"\x1f\x8b":
        return _mutated(whole, rng)
    records, place = [], 0
    while place < len(whole):
        length = int.from_bytes(whole[place : place + 8], "little")
        records.append(whole[place + 12 : place + 12 + length])
        place += 16 + length
    length = rng.choice([None, None, 1 << 40, 1 << 63, (1 << 64) - 1, rng.randrange(500)])
    number = rng.randrange(len(records))
    return b"".join(framed(_mutated(one, rng), length) if n == number else framed(one) for n, one in enumerate(records))


FORMATS: dict[str, tuple[type[RowSource], Callable[[], list[bytes]]]] = {
    "jsonl": (JsonlSource, _jsonl),
    "csv": (CsvSource, _csv),
    "parquet": (ParquetSource, _parquet),
    "tfrecord": (TfrecordSource, _tfrecord),
}


def outcomes(source: RowSource, path: str = "") -> Iterator[tuple[RawRow | Rejected, ImageText | Rejected, list[str]]]:
    """(raw row, what becomes of it, the reasons of its removed captions), as the build does it."""
    for split in _splits(path or source.path, source):
        for raw in _raw_rows(split, source):
            row = to_pair(_decode(raw, source), source.columns, source.captions, "und", source.name, source.limits)
            if isinstance(row, ImageText):
                judged = CaptionCheck()(row)
                yield raw, _without_captions(judged), _removed(judged)
            else:
                yield raw, row, []


def require_all_lines(whole: bytes, raw: list[RawRow | Rejected], is_csv: bool) -> None:
    """Raises AssertionError if a line that is not blank is in no row and no reject."""
    if any(isinstance(one, Rejected) and ":after " in one.position for one in raw):
        return  # one reject of the rest
    text = whole.decode("utf-8-sig", "surrogateescape")
    lines: list = _LINE_END.split(text) if is_csv else whole.split(b"\n")
    wanted = {n for n, line in enumerate(lines, 1) if (line if is_csv else line.strip())}
    found = set()
    for one in raw:
        first = int(one.position.rpartition(":")[2])
        more = 0
        if is_csv and isinstance(one, RawRow):
            more = sum(len(_LINE_END.findall(value)) for value in one.content[1])
        found.update(range(first, first + more + 1))
    if is_csv:
        wanted -= set(range(1, min(found, default=len(lines) + 1)))  # the header
    assert wanted <= found, sorted(wanted - found)
    assert len(raw) <= len(found)


def run(kind: str, count: int, first: int, folder: pathlib.Path) -> dict[str, int]:
    """Reads `count` mutated files; returns counts by reason, of rows and of files."""
    make, seeds = FORMATS[kind]
    path = folder / f"mutated.{kind}"
    (folder / "pics").mkdir(exist_ok=True)
    for number in range(0, 40, 2):
        (folder / "pics" / f"{number}.jpg").write_bytes(b"a picture")
    source = make(str(path))
    counts: collections.Counter[str] = collections.Counter()
    for number in range(first, first + count):
        rng = random.Random(number)
        (folder / "number").write_text(str(number))
        whole = (_mutated_record if kind == "tfrecord" else _mutated)(rng.choice(_CACHE.setdefault(kind, seeds())), rng)
        path.write_bytes(whole)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        found = list(outcomes(source))
        faulthandler.cancel_dump_traceback_later()
        reasons = [one.reason if isinstance(one, Rejected) else "written" for _, one, _ in found]
        counts.update(reasons)
        counts["read"] += len(found)
        counts["files"] += 1
        counts["captions removed"] += sum(len(removed) for _, _, removed in found)
        if kind in ("csv", "jsonl") and whole[:2] != b"\x1f\x8b":
            require_all_lines(whole, [raw for raw, _, _ in found], kind == "csv")
    return dict(counts)


_CACHE: dict[str, list[bytes]] = {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("format", choices=FORMATS)
    parser.add_argument("folder", type=pathlib.Path, help="an empty folder")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first file")
    flags = parser.parse_args()
    counts = run(flags.format, flags.count, flags.first, flags.folder)
    print(json.dumps({"format": flags.format, "peak_megabytes": memory.peak_bytes() // 2**20, **counts}))


if __name__ == "__main__":
    main()
