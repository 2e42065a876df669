"""Compressed files: no file takes unbounded memory, and no byte of one is lost without a reject."""

import bz2
import gzip
import lzma
import random
import subprocess
import sys

import pytest

from beam.sources import JsonlSource, WebDatasetSource
from beam.sources.files import compressed
from beam.sources.limits import Limits
from tests.beam.sources.outcomes import (
    all_of,
    captions,
    gzip_of_zeros,
    header,
    of_tar,
    padded,
    pair,
    pax,
    reasons,
    tar,
    watchdog,
)  # fmt: skip

COMPRESS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
MANY = 64 << 20


def read(path, limits=Limits()) -> bytes:
    with watchdog(), compressed.opened(str(path), limits) as file:
        return file.read()


@pytest.mark.parametrize("kind", COMPRESS)
def test_file_of_several_streams_and_padding_is_read(tmp_path, kind):
    compress = COMPRESS[kind]
    (tmp_path / "a").write_bytes(compress(b"one,") + compress(b"") + bytes(64) + compress(b"two") + bytes(70_000))
    assert read(tmp_path / "a") == b"one,two"


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("after", [b"garbage", b"\0\0x", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0"])
def test_bytes_after_the_compressed_data_are_a_reject(tmp_path, kind, after):
    content = COMPRESS[kind](tar(pair("a"))) + after
    found = of_tar(tmp_path, content)
    assert captions(found) == ["a"]
    assert reasons(found) == ["damaged_file"]


@pytest.mark.parametrize("kind", COMPRESS)
def test_file_cut_at_any_byte_is_reported(tmp_path, kind):
    whole = COMPRESS[kind](tar(pair("a"), pair("b")))
    for end in range(8, len(whole), 41):
        found = of_tar(tmp_path, whole[:end])
        assert reasons(found)[-1] == "damaged_file", end


@pytest.mark.parametrize("kind", COMPRESS)
def test_any_mix_of_sizes_is_decompressed(tmp_path, kind):
    rng = random.Random(1)
    parts = [
        rng.choice([rng.randbytes, bytes])(rng.choice([0, 1, 511, 65_535, 65_536, 65_537, 300_000])) for _ in range(20)
    ]
    (tmp_path / "a").write_bytes(b"".join(COMPRESS[kind](part) for part in parts))
    assert read(tmp_path / "a", Limits(expansion=10_000)) == b"".join(parts)


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("source", [JsonlSource, WebDatasetSource])
def test_bomb_is_a_reject_that_names_the_limit(tmp_path, kind, source):
    content = gzip_of_zeros(MANY) if kind == "gz" else COMPRESS[kind](bytes(MANY))
    (tmp_path / "a").write_bytes(content)
    limits = Limits(line_bytes=1 << 20, expansion=50)
    with watchdog():
        found = all_of(source(limits=limits, captions=("caption",)), tmp_path / "a")
    damaged = [row for row in found if row.reason == "damaged_file"]
    assert len(damaged) == 1
    assert "Limits.expansion allows 50 for each after the first 1048576" in damaged[0].detail


def test_compressible_file_within_the_limit_is_read(tmp_path):
    (tmp_path / "a").write_bytes(gzip.compress(b"the same line\n" * 1_000_000))
    assert len(read(tmp_path / "a", Limits(line_bytes=1, expansion=1000))) == 14_000_000


def test_xz_that_needs_much_memory_is_a_reject(tmp_path):
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    (tmp_path / "a.tar").write_bytes(lzma.compress(tar(pair("a")), filters=filters))
    (damaged,) = all_of(WebDatasetSource(), tmp_path / "a.tar")
    assert (damaged.reason, "Limits.dictionary_bytes" in damaged.detail) == ("damaged_file", True)
    (tmp_path / "a.tar").write_bytes(lzma.compress(tar(pair("a")), preset=9))
    assert captions(all_of(WebDatasetSource(), tmp_path / "a.tar")) == ["a"]


def test_folder_or_fifo_in_place_of_a_file_is_refused(tmp_path):
    with pytest.raises(EOFError, match="is a folder, but must be a regular file"):
        read(tmp_path)
    with pytest.raises(EOFError, match="is a device, but must be a regular file"):
        read("/dev/zero")


BOMBS = {
    "pax": lambda: gzip_of_zeros(3400 << 20, header("pax", 3400 << 20, b"x")),
    "global": lambda: gzip_of_zeros(3400 << 20, header("pax", 3400 << 20, b"g")),
    "longname": lambda: gzip_of_zeros(3400 << 20, header("././@LongLink", 3400 << 20, b"L")),
    "longlink": lambda: gzip_of_zeros(3400 << 20, header("././@LongLink", 3400 << 20, b"K")),
    "member": lambda: gzip_of_zeros(3700 << 20, header("0.png", 3700 << 20)),
    "members": lambda: gzip.compress(
        tar(*(header(f"v.{n}.png", 60 << 20) + bytes(60 << 20) for n in range(8)), pair("b")), 1
    ),
    "sample": lambda: gzip.compress(
        tar(*(header(f"a.{end}", 60 << 20) + bytes(60 << 20) for end in ENDS), pair("b")), 1
    ),
    "json": lambda: gzip.compress(
        tar(header("a.json", 100 << 20) + padded(b"[" + b"{}," * ((100 << 20) // 3)), pair("b"))
    ),
    "many headers": lambda: gzip.compress(tar(pax({"mtime": "1"}) * 50_000, pair("a"), pair("b"))),
    "fields": lambda: gzip.compress(tar(pax({f"k{n}": "" for n in range(60_000)}), pair("b"))),
    "field": lambda: gzip.compress(tar(header("p", 1 << 19, b"x") + b"1" * (1 << 19), pair("a"), pair("b"))),
    "sparse map": lambda: gzip.compress(header("a.png", 0, b"S")[:482] + b"\1" * ((200 << 20) + 30)),
    "zeros": lambda: gzip_of_zeros(600 << 20, pair("b")),
}  # fmt: skip
ENDS = ("png", "jpg", "gif", "bmp", "tif", "webp")


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_take_bounded_memory(tmp_path, name):
    """A child reads the file, because the largest memory of a process never falls again."""
    (tmp_path / "a.tar.gz").write_bytes(BOMBS[name]())
    code = (
        "import sys; from tests.beam.sources import outcomes as o; from beam.sources import WebDatasetSource\n"
        "from tests import memory\n"
        "before = memory.peak_bytes()\n"
        "found = o.all_of(WebDatasetSource(), sys.argv[1])\n"
        "print(o.captions(found), o.reasons(found), before >> 20, memory.peak_bytes() >> 20)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.tar.gz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    print(name, (tmp_path / "a.tar.gz").stat().st_size, done.stdout)
    assert int(done.stdout.split()[-1]) < 1000
    assert "damaged_file" in done.stdout or "['b']" in done.stdout
