"""Compressed files give the same rows as plain ones; truncated or damaged ones give the rows before the damage."""

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
    """The same source with its file compressed, and then changed."""
    path = pathlib.Path(source.path)
    target = path.with_name(f"{path.name}.{kind}")
    target.write_bytes(change(COMPRESS[kind](path.read_bytes())))
    return dataclasses.replace(source, path=str(target))


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("write", [write_jsonl, write_csv, write_webdataset])
def test_compressed_file_gives_the_rows_of_the_plain_one_and_half_of_it_is_reported(tmp_path, write, kind):
    plain = write(tmp_path)
    expected, _ = read(plain)
    whole, rejected = read(compressed(plain, kind))
    assert [(row.image, row.caption) for row in whole] == [(row.image, row.caption) for row in expected]
    assert not rejected

    some, rejected = read(compressed(plain, kind, lambda content: content[: len(content) // 2]))
    reasons = [row.reason for row in rejected]  # the sample at the cut may lack its caption
    assert reasons.count("damaged_file") == 1
    assert len(reasons) <= 2
    assert len(some) < len(expected)
    assert {row.caption for row in some} <= {row.caption for row in expected}


@pytest.mark.parametrize("kind", COMPRESS)
def test_flipped_byte_drops_the_rows_after_it(tmp_path, kind):
    def flipped(content: bytes) -> bytes:
        middle = len(content) // 2
        return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]

    for write in (write_csv, write_webdataset):
        _, rejected = read(compressed(write(tmp_path), kind, flipped))
        assert "damaged_file" in {row.reason for row in rejected}


def test_unsupported_compression_is_reported(tmp_path):
    plain = write_jsonl(tmp_path)
    (tmp_path / "a.jsonl.zst").write_bytes(b"\x28\xb5\x2f\xfd and so on")
    _, (rejected,) = read(dataclasses.replace(plain, path=str(tmp_path / "a.jsonl.zst")))
    assert "zstd is not supported; decompress the file" in rejected.detail
