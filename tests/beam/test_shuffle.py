"""Each part of the data plane shuffles pictures once, to write shards; on one machine it shuffles none."""

import apache_beam
import pytest

from beam import reader, spool, stages
from tests.benchmarks import shuffle
from tests.benchmarks.build import write_tar


@pytest.mark.slow  # seven pipelines
def test_a_picture_is_shuffled_once_in_each_part(tmp_path, monkeypatch):
    write_tar(tmp_path / "a.tar", 40, 256)
    measured = shuffle.measure(str(tmp_path / "a.tar"), tmp_path)
    folders = {"ImageTextGen": "built", "Deduper": "built", "Augmenter": "augmented"}
    for part, folder in folders.items():
        paths = reader.shards(str(tmp_path / folder))
        bytes_of_pictures = sum(len(row.image) for path in paths for row in reader.read_shard(path))
        shuffled = sum(measured[part].values())
        assert bytes_of_pictures < shuffled < 1.5 * bytes_of_pictures, part

    on_one_machine = shuffle.measure(str(tmp_path / "a.tar"), tmp_path / "local", one_machine=True)
    for part, measured_there in on_one_machine.items():
        assert 0 < sum(measured_there.values()) < 0.6 * 40 * 29_000, part

    monkeypatch.setattr(spool.Spool, "suits", lambda pipeline: False)
    with shuffle.shuffled_bytes() as found, apache_beam.Pipeline(runner="FnApiRunner") as pipeline:  # control
        read = pipeline | reader.ReadShards(str(tmp_path / "built"))
        read | stages.KeepFirst(lambda row: row.key, "duplicate_key")
    assert sum(found.values()) > 40 * 20_000
