"""Writes and reads folders of Examples for tests."""

import hashlib
import json
import pathlib

import apache_beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam import reader, stages, store, writer
from beam.records import ImageText
from beam.sources.jsonl import JsonlSource

LAYOUT = writer.Layout({"train": 8, "eval": 1, "test": 1}, shards=2, salt="test")


def write(folder: pathlib.Path, rows: list[ImageText]) -> str:
    """Writes rows by the last step of every stage, beam.store.Store."""
    with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
        store_rows(pipeline | apache_beam.Create(rows), folder)
    return str(folder)


def store_rows(rows: apache_beam.PCollection, folder: pathlib.Path) -> None:
    """Writes a PCollection[ImageText | Rejected], within a pipeline."""
    kept = rows | stages.Separate()
    by_reference = kept.rows | apache_beam.Map(ImageText.by_reference)
    no_caption = rows.pipeline | "NoCaption" >> apache_beam.Create([])
    flow = store.Flow(kept.rows, kept.rows, by_reference, kept.rejected, removed=no_caption)
    flow | store.Store(LAYOUT, str(folder), str(folder / "report"))


def run(stage: apache_beam.PTransform, report_folder: pathlib.Path, *flags: str) -> dict:
    """Runs a stage that reads Examples and writes others; returns its manifest."""
    with apache_beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner", *flags])) as pipeline:
        pipeline | stage
    return json.loads((report_folder / store.MANIFEST_FILE).read_text())


def read(folder: pathlib.Path, split: str = "*") -> dict[str, ImageText]:
    """{key: row} of one split or of all."""
    paths = [path for path in reader.shards(str(folder)) if split == "*" or f"Split-{split}/" in path]
    return {row.key: row for path in paths for row in reader.read_shard(path)}


def write_jsonl(path: pathlib.Path, rows: list) -> JsonlSource:
    """Writes one line for each row; bytes are written as they are."""
    path.write_bytes(b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows))
    return JsonlSource(str(path))


def checksums(folder: pathlib.Path, pattern: str = "*.gz") -> dict[str, str]:
    """{path in the folder: SHA-256} of all files below it that match."""
    files = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def by_split(rows: list[ImageText]) -> dict[str, list[ImageText]]:
    """{split: its rows}."""
    return {split: [row for row in rows if LAYOUT.split_of(row.split_key) == split] for split in LAYOUT.splits}
