"""Builds a data set without TFX: `python -m beam.build --gin_file=gin/data/jsonl.gin --output_dir=output/data`.

The gin is the pipeline's; of it, what hangs on Pipeline.ingest and Pipeline.beam_args is used.
"""

import glob
import json
import os
import sys
import time
from typing import Any

from absl import app, flags

from models import configuration
from pipeline import gin_flags, progress


def main(argv: list[str]) -> None:
    """Builds, and says what came of it."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}; flags start with --")
    try:
        run(gin_flags.GIN_FILE.value, gin_flags.GIN_BINDINGS.value, gin_flags.OUTPUT_DIR.value)
    except ValueError as error:
        sys.exit(f"error: {error}")


def run(gin_files: list[str], gin_bindings: list[str], output_dir: str) -> dict[str, Any]:
    """Builds the data set that the gin describes; returns the manifest.

    Raises:
      ValueError: the gin cannot be used, an input is missing, the folder holds a data set, or no row was kept.
    """
    start = time.monotonic()
    progress.quiet_terminal()
    print("Loading TensorFlow and Beam", flush=True)
    import apache_beam

    from beam import build, store, writer
    from pipeline import inputs
    from pipeline.settings import PipelineSettings

    (settings,) = configuration.load(gin_files, gin_bindings, [PipelineSettings])
    ingest = inputs.pin_ingest(settings.ingest)
    ingest.source.fingerprint()
    progress.require_writable(output_dir)
    _require_no_data_set(output_dir, store.MANIFEST_FILE)

    print(f"Building {output_dir} from {ingest.source.name}", flush=True)
    arguments = apache_beam.options.pipeline_options.PipelineOptions(list(settings.beam_args))
    with apache_beam.Pipeline(options=arguments) as pipeline:
        pipeline | build.Build(ingest.source, ingest.options(), output_dir, output_dir)
    with open(os.path.join(output_dir, store.MANIFEST_FILE)) as file:
        manifest: dict[str, Any] = json.load(file)
    writer.write_text(os.path.join(output_dir, "config.gin"), configuration.to_gin(ingest))
    if not manifest["read"]:
        raise ValueError(f"the files of source {ingest.source.name} hold no row; name others")
    if not manifest["written"]:
        raise ValueError(f"no row was kept: {_counts(manifest)}; see {output_dir}/{manifest['reject_files'][0]}")
    print(f"Built {output_dir} in {time.monotonic() - start:.0f} s: {_counts(manifest)}")
    print(f"Look at it: python -m beam.inspect {output_dir}")
    return manifest


def _counts(manifest: dict[str, Any]) -> str:
    splits = ", ".join(f"{split} {rows:,}" for split, rows in sorted(manifest["splits"].items()))
    dropped = ", ".join(f"{reason} {rows:,}" for reason, rows in manifest["dropped"].items()) or "none"
    return f"{manifest['read']:,} rows read, {manifest['written']:,} kept ({splits}); dropped: {dropped}"


def _require_no_data_set(folder: str, manifest: str) -> None:
    """The manifest is written last: with none, or where no row was kept, what lies here is of no use, and goes."""
    path = os.path.join(folder, manifest)
    if os.path.exists(path):
        with open(path) as file:
            written = json.load(file)["written"]
        if written:
            raise ValueError(f"--output_dir={folder} holds a data set already; name another folder, or remove it")
        os.remove(path)
    for name in ("data_tfrecord-*", ".unfinished-*"):
        for path in glob.glob(os.path.join(glob.escape(folder), "Split-*", name)):
            os.remove(path)


def console() -> None:
    """Entry of the console script."""
    flags.mark_flags_as_required(["gin_file", "output_dir"])
    app.run(main)


if __name__ == "__main__":
    console()
