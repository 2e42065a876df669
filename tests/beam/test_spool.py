"""On one machine, pictures wait on its disk: memory stays small, and the shards stay the same."""

import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from beam import spool
from beam.records import ImageText
from tests.beam import stored
from tests.pipeline.conftest import ROOT

_PICTURES, _SIZE = 100, 500_000  # 50 MB


def rows(size: int, count: int = _PICTURES) -> Iterator[ImageText]:
    for number in range(count):
        yield ImageText(f"k{number}", bytes([number % 251]) * size, f"c{number}", "f:1", "test")


def grown(folder: pathlib.Path, on_disk: bool) -> int:
    """Growth of a process's peak memory, in bytes, when it writes 50 MB of large pictures after small ones."""
    code = f"""
import pathlib, sys
import apache_beam
from beam import spool
from tests import memory
from tests.beam import stored, test_spool

spool.Spool.suits = staticmethod(lambda pipeline: {on_disk})
for size in (100, {_SIZE}):
    with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
        one = pipeline | apache_beam.Create([size])
        stored.store_rows(one | "Rows" >> apache_beam.FlatMap(test_spool.rows), pathlib.Path(sys.argv[1], str(size)))
    print(memory.peak_bytes())
"""
    words = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    before, after = map(int, done.stdout.split()[-2:])
    return after - before


@pytest.mark.slow  # 50 MB of pictures in two processes
def test_memory_does_not_grow_with_the_pictures(tmp_path):
    assert grown(tmp_path / "disk", on_disk=True) < 0.2 * _PICTURES * _SIZE
    assert grown(tmp_path / "memory", on_disk=False) > 1.0 * _PICTURES * _SIZE  # control


def test_the_spool_changes_no_bytes_and_leaves_no_file(tmp_path, monkeypatch):
    pairs, spooled = list(rows(1000, count=30)), []
    write = spool._Write.process

    def counted(self, pictured):
        for out in write(self, pictured):
            spooled.append(pathlib.Path(out[-1].path))
            yield out

    monkeypatch.setattr(spool._Write, "process", counted)
    stored.write(tmp_path / "disk", pairs)
    assert len(spooled) == 30
    assert {path.parent.parent for path in spooled} == {tmp_path / "disk"}
    monkeypatch.setattr(spool.Spool, "suits", lambda pipeline: False)
    stored.write(tmp_path / "memory", pairs)
    assert len(spooled) == 30
    assert stored.checksums(tmp_path / "disk", "*") == stored.checksums(tmp_path / "memory", "*")
    assert not list((tmp_path / "disk").glob(f"{spool.FOLDER}*"))


def test_pictures_of_remote_shards_are_spooled_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(spool.tempfile, "tempdir", str(tmp_path))
    assert spool.Spool("gs://bucket/examples")._folder.startswith(str(tmp_path))


def test_a_cut_spool_is_reported_and_not_stored(tmp_path):
    file = tmp_path / "pictures"
    file.write_bytes(b"abcdef")
    places = [spool.Spooled(str(file), 3, 3), spool.Spooled(str(file), 0, 2)]
    assert list(spool.load([*places, b"as it is"])) == [b"def", b"ab", b"as it is"]
    with pytest.raises(EOFError, match=re.escape(f"{file} ends within a picture, at byte 4; run the command again")):
        list(spool.load([spool.Spooled(str(file), 4, 3)]))


def test_a_full_disk_is_reported_with_the_folder_and_the_fix(tmp_path):
    (tmp_path / "file").write_text("no folder")
    folder = str(tmp_path / "file" / "pictures")
    write = spool._Write(folder)
    write.start_bundle()
    with pytest.raises(
        spool.NoRoom, match=re.escape(f"Not a directory: {folder}, where pictures wait until the filters")
    ):
        list(write.process(("key", b"a picture")))


def test_a_run_that_fails_leaves_no_pictures(tmp_path):
    code = """
import pathlib, sys
from beam import writer
from tests.beam import stored, test_spool

rows = list(test_spool.rows(1000, count=30))
stored.write(pathlib.Path(sys.argv[1], "passes"), rows)
print("passed")
writer.compression_of = writer.tf.io.TFRecordWriter = None
stored.write(pathlib.Path(sys.argv[1], "fails"), rows)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["passed"], done.stderr
    assert done.returncode != 0
    for how in ("passes", "fails"):
        assert not list((tmp_path / how).glob(f"{spool.FOLDER}*"))
        assert (tmp_path / how / "report" / "manifest.json").exists() == (how == "passes")
