"""Mutated tar files: no crash, no hang, bounded memory, and a sample that vanishes leaves a reject or a count."""

import bz2
import collections
import gzip
import json
import lzma
import pathlib
import random
import struct
import subprocess
import sys
import tarfile
import tempfile

import apache_beam
import pytest

from beam import build
from beam.build import ImageTextGenSettings
from beam.records import ImageText, Rejected, Skipped
from beam.sources import WebDatasetSource
from tests import memory
from tests.beam.sources.outcomes import (
    BLOCK,
    PICTURE,
    all_of,
    header,
    member,
    pair,
    pax,
    tar,
    watchdog,
)  # fmt: skip

COMPRESS = [lambda whole: whole, gzip.compress, bz2.compress, lzma.compress]
SAMPLES = 6
TYPES = b"01234567xgLKSVDX\0"


def mutated(rng: random.Random) -> bytes:
    """A tar file of six samples with changes of its structure, its headers or its bytes."""
    parts = [bytearray(part) for number in range(SAMPLES) for part in _sample(number, rng)]
    for _ in range(rng.choice([1, 1, 2, 5])):
        _change(parts, rng)
    whole = tar(*map(bytes, parts))
    if rng.random() < 0.3:
        whole = _broken(whole, rng)
    whole = rng.choice(COMPRESS)(whole)
    return _broken(whole, rng) if rng.random() < 0.3 else whole


def _sample(number: int, rng: random.Random) -> list[bytes]:
    key = rng.choice(["{}", "folder/{}", "long/" * 40 + "{}"]).format(number)
    text = f"caption {number}".encode()
    if rng.random() < 0.5:
        members = [member(f"{key}.png"[-90:], PICTURE), member(f"{key}.txt"[-90:], text)]
    else:
        members = [
            pax({"path": f"{key}{end}"}) + member("x", content) for end, content in ((".png", PICTURE), (".txt", text))
        ]
    return [*members, *([member(f"{key}.json"[-90:], b"{}")] if rng.random() < 0.3 else [])]


def _change(parts: list[bytearray], rng: random.Random) -> None:
    """Changes one part; most changes keep the checksums right, so that the reader goes on."""
    at = rng.randrange(len(parts))
    kind = rng.randrange(9)
    if kind == 0:
        _set(parts[at], 156, bytes([rng.choice(TYPES)]))
    elif kind == 1:
        size = rng.choice([0, 1, 511, 513, 2**33, 2**60, 8**11 - 1, -1, -(2**60), rng.randrange(5000)])
        _set(parts[at], 124, _number(size))
    elif kind == 2:
        _set(
            parts[at], 0, rng.choice([b"\0", b"._", b".", b"a.b.c", b"\xff\xfe", b"../", b"x" * 100, rng.randbytes(9)])
        )
    elif kind == 3:
        _set(parts[at], rng.randrange(BLOCK), rng.randbytes(rng.choice([1, 4, 12])))
    elif kind == 4:
        parts.insert(at, bytearray(bytes(BLOCK * rng.randrange(1, 4))))
    elif kind == 5:
        parts.insert(at, bytearray(rng.choice(parts)))
    elif kind == 6:
        other = rng.randrange(len(parts))
        parts[at], parts[other] = parts[other], parts[at]
    elif kind == 7:
        fields = {rng.choice(["path", "size", "GNU.sparse.map", "GNU.sparse.major", "linkpath", "hdrcharset", "x"]):
                  rng.choice(["", "-1", "1", "9" * 30, "a/b.png", "\udcff", "0,1,2"])}  # fmt: skip
        parts.insert(at, bytearray(pax(fields, rng.choice([b"x", b"g"]))))
    else:
        name = header("l", rng.choice([0, 5, 2**40]), rng.choice([b"L", b"K", b"S"]))
        parts.insert(at, bytearray(name + rng.randbytes(BLOCK)))


def _number(size: int) -> bytes:
    return tarfile.itn(size, 12, tarfile.GNU_FORMAT)


def _set(block: bytearray, start: int, value: bytes) -> None:
    """Writes into the first header of a part, and makes its checksum right again."""
    value = value[: max(BLOCK - start, 0)]
    block[start : start + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(struct.unpack_from("512B", block))


def _broken(whole: bytes, rng: random.Random) -> bytes:
    content = bytearray(whole)
    for _ in range(rng.choice([1, 1, 3])):
        if not content:
            break
        start = rng.randrange(len(content))
        choice = rng.randrange(4)
        if choice == 0:
            content[start] ^= 1 << rng.randrange(8)
        elif choice == 1:
            content[start : start + rng.choice([1, 64, 512])] = rng.randbytes(rng.choice([1, 64, 512]))
        elif choice == 2:
            del content[start : start + rng.choice([1, 64, 512, len(content)])]
        else:
            content[start:start] = content[start : start + rng.choice([1, 64, 512, 4096])]
    return bytes(content)


def run(seed: int, count: int, folder: pathlib.Path) -> dict[str, int]:
    """Reads `count` mutated files; returns counts of outcomes."""
    rng, counts = random.Random(seed), collections.Counter[str]()
    path = folder / "a.tar"
    for number in range(count):
        path.write_bytes(mutated(rng))
        with watchdog():
            found = all_of(WebDatasetSource(), path)
        _require_counted(found, number)
        for one in found:
            name = "kept" if isinstance(one, ImageText) else f"{type(one).__name__.lower()}_{one.reason}"
            counts[name] += one.count if isinstance(one, Skipped) else 1
        counts["files"] += 1
    return dict(counts)


def _require_counted(found: list, number: int) -> None:
    assert all(isinstance(one, ImageText | Rejected | Skipped) for one in found), number
    kept = {one.caption for one in found if isinstance(one, ImageText)} & {f"caption {n}" for n in range(SAMPLES)}
    changed = [
        one for one in found if not isinstance(one, ImageText) or one.caption not in kept or one.image != PICTURE
    ]
    assert len(kept) == SAMPLES or changed, f"file {number}: {SAMPLES - len(kept)} samples vanished"
    for one in found:
        one.position.encode()
        if isinstance(one, Rejected):
            assert one.detail
            assert len(one.detail) < 2000


def test_mutated_tar_files_are_rows_or_rejects(tmp_path):
    counts = run(1, 300, tmp_path)
    print(counts)
    assert counts["kept"] > 300
    assert len(counts) > 7


@pytest.mark.slow
def test_5000_mutated_tar_files_take_bounded_memory():
    done = subprocess.run([sys.executable, "-m", __name__], capture_output=True, text=True, timeout=3000, check=True)
    print(done.stdout)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["files"] == 5000
    assert found["megabytes"] < 1000


def test_rows_of_mutated_files_add_up_in_the_manifest(tmp_path):
    rng = random.Random(9)
    for number in range(60):
        (tmp_path / f"{number}.tar").write_bytes(mutated(rng))
    hidden = tar(member("._0.png", b"x"), *(pair(f"good {number}") for number in range(20)))
    (tmp_path / "good.tar").write_bytes(hidden)
    settings = ImageTextGenSettings(WebDatasetSource(str(tmp_path / "*.tar")), unique_captions=False)
    with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
        pipeline | build.Build(settings, str(tmp_path / "out"), str(tmp_path / "out"))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    dropped, skipped = (sum(manifest[name].values()) for name in ("dropped", "skipped"))
    assert manifest["read"] == manifest["written"] + dropped + skipped
    assert manifest["skipped"]["hidden_member"] >= 1
    rejects = [line for path in (tmp_path / "out").glob("rejects-*") for line in path.read_text().splitlines()]
    assert len(rejects) == dropped


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({**run(2, 5000, pathlib.Path(folder)), "megabytes": memory.peak_bytes() >> 20}))
