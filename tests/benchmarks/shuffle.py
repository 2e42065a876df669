"""Bytes per row that each part and stage of the data plane moves between workers on several machines."""

import collections
import contextlib
import pathlib
import re
import tempfile
from collections.abc import Iterator
from unittest import mock

import apache_beam
from apache_beam.runners.portability.fn_api_runner import execution

from beam import build, reader, spool, store
from beam.augment import augment
from beam.dedupe.deduplicate import Deduplicate
from beam.dedupe.settings import DeduperSettings
from beam.sources.webdataset.source import WebDatasetSource
from tests.benchmarks.build import write_tar

_ROWS = 1000


@contextlib.contextmanager
def shuffled_bytes() -> Iterator[dict[str, int]]:
    """Yields {transform that groups: bytes of its encoded input elements}, counted in Beam's in-process runner."""
    found: dict[str, int] = collections.Counter()
    get_buffer, append = execution.BundleContextManager.get_buffer, execution.GroupingBuffer.append

    def named(self, buffer_id, transform_id):
        buffer = get_buffer(self, buffer_id, transform_id)
        if isinstance(buffer, execution.GroupingBuffer):
            buffer.transform = _plain(execution.split_buffer_id(buffer_id)[1])
        return buffer

    def counted(self, elements):
        found[self.transform] += len(elements)
        return append(self, elements)

    execution.BundleContextManager.get_buffer, execution.GroupingBuffer.append = named, counted
    try:
        yield found
    finally:
        execution.BundleContextManager.get_buffer, execution.GroupingBuffer.append = get_buffer, append


def _plain(transform: str) -> str:
    return re.sub(r"^ref_AppliedPTransform_|_\d+$", "", transform).replace("/", "-")


def measure(tar: str, folder: pathlib.Path, one_machine: bool = False) -> dict[str, dict[str, int]]:
    """{part of the data plane: {transform: bytes}} for a WebDataset; the Deduper compares pixels and hashes.

    On one machine, pictures stay on its disk, and only their places move.
    """
    settings = build.ImageTextGenSettings(WebDatasetSource(tar), shards=1, salt="bench", compression="")
    layout = settings.layout
    built, deduplicated, augmented = (str(folder / name) for name in ("built", "deduplicated", "augmented"))
    parts = {
        "ImageTextGen": build.Build(settings, built, f"{built}/report"),
        "Deduper": Deduplicate(
            DeduperSettings(exact=("pixels",), image_distance=4, caption_similarity=0.8),
            layout,
            store.Folders(built, deduplicated, f"{deduplicated}/report"),
        ),
        "Augmenter": augment.Augment(
            augment.AugmenterSettings(stop_word_removal=0.5, views=("jpeg",)),
            layout,
            store.Folders(deduplicated, augmented, f"{augmented}/report"),
        ),
    }
    measured = {}
    for name, part in parts.items():
        engine = mock.patch.object(spool.Spool, "suits", return_value=one_machine)
        with engine, shuffled_bytes() as found, apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
            pipeline | part
        measured[name] = dict(found)
    return measured


def run() -> str:
    """The table of docs/benchmarks.md."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_tar(folder / "a.tar", _ROWS, 256, different=_ROWS)
        measured = measure(str(folder / "a.tar"), folder)
        sizes = [len(row.image) for path in reader.shards(str(folder / "built")) for row in reader.read_shard(path)]
    lines = [f"shuffled, {_ROWS:,} rows with pictures of {sum(sizes) / len(sizes):,.0f} bytes; bytes per row:"]
    for part, found in measured.items():
        written = sum(size for stage, size in found.items() if "WriteShards-GroupByKey" in stage)
        rest = sum(found.values()) - written
        lines.append(f"  {part}: {written / _ROWS:,.0f} to the shards, {rest / _ROWS:,.0f} for everything else")
        most = sorted(found.items(), key=lambda item: -item[1])[:6]
        lines += [f"    {size / _ROWS:>9,.0f}  {stage}" for stage, size in most]
    return "\n".join(lines)


if __name__ == "__main__":
    print(run())
