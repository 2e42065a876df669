"""Compressed files give the rows of plain ones; a cut or damaged one gives what is whole, and says so."""

import bz2
import dataclasses
import gzip
import lzma
import pathlib

import pytest

from beam import sources
from tests.beam.sources.test_sources import read, write_csv, write_jsonl, write_webdataset

COMPRESS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def compressed(source: sources.Source, kind: str, change=lambda content: content) -> sources.Source:
    """The same source, of a file that is compressed, and then changed."""
    path = pathlib.Path(source.path)
    target = path.with_name(f"{path.name}.{kind}")
    target.write_bytes(change(COMPRESS[kind](path.read_bytes())))
    return dataclasses.replace(source, path=str(target))


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("write", [write_jsonl, write_csv, write_webdataset])
def test_rows_are_those_of_the_plain_file_and_half_a_file_says_so(tmp_path, write, kind):
    plain = write(tmp_path)
    expected, _ = read(plain)
    whole, rejected = read(compressed(plain, kind))
    assert [(row.image, row.caption) for row in whole] == [(row.image, row.caption) for row in expected]
    assert not rejected

    some, rejected = read(compressed(plain, kind, lambda content: content[: len(content) // 2]))
    reasons = [row.reason for row in rejected]  # a sample that the cut went through lacks its caption, say
    assert reasons.count("damaged_file") == 1
    assert len(reasons) <= 2
    assert len(some) < len(expected)
    assert {row.caption for row in some} <= {row.caption for row in expected}


@pytest.mark.parametrize("kind", COMPRESS)
def test_a_flipped_byte_costs_the_rows_from_there_on_and_no_run(tmp_path, kind):
    def flipped(content: bytes) -> bytes:
        middle = len(content) // 2
        return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]

    for write in (write_csv, write_webdataset):
        _, rejected = read(compressed(write(tmp_path), kind, flipped))
        assert "damaged_file" in {row.reason for row in rejected}


def test_what_is_not_decompressed_is_named(tmp_path):
    plain = write_jsonl(tmp_path)
    (tmp_path / "a.jsonl.zst").write_bytes(b"\x28\xb5\x2f\xfd and so on")
    _, (rejected,) = read(dataclasses.replace(plain, path=str(tmp_path / "a.jsonl.zst")))
    assert "zstd is not read; decompress it" in rejected.detail
