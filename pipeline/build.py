"""Builds a data set without TFX: `python -m pipeline.build --gin_file=gin/data/jsonl.gin --output_dir=output/data`.

The command reads the pipeline's gin and uses Pipeline.image_text_gen, Pipeline.deduper, Pipeline.augmenter and
Pipeline.beam_args. If gin switches on the Deduper or the Augmenter, each part of the data plane writes a folder of its
own: built, deduplicated, augmented.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from models import files
from models.settings import configuration
from pipeline.console import command_line, gin_flags, output_folder, terminal

if TYPE_CHECKING:
    import apache_beam

    from pipeline.settings.run import PipelineSettings

_GIN_FILE = "config.gin"


@command_line.errors_as_lines()
def main(argv: list[str]) -> None:
    """Builds the data set and prints what it holds."""
    command_line.refuse_arguments(argv)
    run(gin_flags.GIN_FILE.value, gin_flags.GIN_BINDINGS.value, gin_flags.OUTPUT_DIR.value)


def run(gin_files: list[str], gin_bindings: list[str], output_dir: str) -> dict[str, Any]:
    """Builds the data set that the gin describes; returns the manifest.

    Raises:
      ValueError: the gin is invalid, an input is missing, the folder holds a data set already, or no row was kept.
    """
    start = time.monotonic()
    terminal.quiet_terminal()
    print("Loading TensorFlow and Beam", flush=True)
    from pipeline.console import beam_flags
    from pipeline.settings.run import PipelineSettings

    if not files.is_local(output_dir):
        raise ValueError(
            f"--output_dir={output_dir} is not a folder of this machine; name one and copy the data set from there, or "
            "run the pipeline, whose ImageTextGen writes to buckets"
        )
    (settings,) = configuration.load(gin_files, gin_bindings, [PipelineSettings])
    beam_flags.print_unknown(settings.beam_args)
    parts = _parts(settings)
    folders = [output_dir] if len(parts) == 1 else [os.path.join(output_dir, name) for name in parts]
    with output_folder.alone(output_dir):
        _require_no_data_set(folders[-1])
        manifest = _run_parts(parts, folders, settings)
    print(f"Built {folders[-1]} in {time.monotonic() - start:.0f} s: {_counts(manifest)}")
    print(f"Look at it: python -m pipeline.inspect {folders[-1]}")
    return manifest


def _run_parts(parts: dict[str, Part], folders: list[str], settings: PipelineSettings) -> dict[str, Any]:
    """Runs the parts that no earlier run has finished; returns the manifest of the last part."""
    manifest: dict[str, Any] = {}
    for number, (name, folder) in enumerate(zip(parts, folders, strict=True), start=1):
        gin, make_stage = parts[name]
        print(f"[{number}/{len(parts)}] {folder}", flush=True)
        manifest = _finished(folder, gin) or _run_part(make_stage(folders[number - 2], folder), settings, folder, gin)
        if not manifest["read"]:
            raise ValueError(f"the files of source {settings.image_text_gen.source.name} have no row; name others")
        if not manifest["written"]:
            raise ValueError(f"no row was kept: {_counts(manifest)}; see {folder}/{manifest['reject_files'][0]}")
        print(f"      {_counts(manifest)}", flush=True)
    return manifest


Part = tuple[str, Callable[[str, str], "apache_beam.PTransform"]]
"""The resolved gin of a part, and a function of the folder to read and the folder to write, which returns its stage."""


def _parts(settings: PipelineSettings) -> dict[str, Part]:
    """Returns the parts that gin switches on, in order; raises ValueError if an input is missing."""
    from beam import build, dedupe, reader, store
    from beam.augment import augment
    from pipeline import pins

    generated = pins.pin_image_text_gen(settings.image_text_gen)
    layout = generated.layout
    gin = f"# Of input {generated.source.fingerprint()}\n{configuration.to_gin(generated)}"
    parts: dict[str, Part] = {"built": (gin, lambda _, to: build.Build(generated, to, to))}
    if settings.deduper:
        deduper = pins.pin_deduper(settings.deduper)
        gin += "\n" + configuration.to_gin(deduper)
        gin += "".join(f"# Of {reader.shard_state(path)}\n" for path in deduper.evaluation_shards())
        parts["deduplicated"] = (
            gin,
            lambda source, to: dedupe.Deduplicate(deduper, layout, store.Folders(source, to, to)),
        )
    if augmenter := settings.augmenter:
        gin += "\n" + configuration.to_gin(augmenter)
        parts["augmented"] = (
            gin,
            lambda source, to: augment.Augment(augmenter, layout, store.Folders(source, to, to)),
        )
    return parts


def _run_part(stage: apache_beam.PTransform, settings: PipelineSettings, folder: str, gin: str) -> dict[str, Any]:
    """Runs one part and returns its manifest."""
    import apache_beam

    _require_no_data_set(folder)
    files.write_text(os.path.join(folder, _GIN_FILE), gin)
    arguments = apache_beam.options.pipeline_options.PipelineOptions(list(settings.beam_args))
    with apache_beam.Pipeline(options=arguments) as pipeline:
        pipeline | stage
    return _manifest(folder)


def _manifest(folder: str) -> dict[str, Any]:
    """Reads the manifest, which a part writes last; raises FileNotFoundError if the part has not finished."""
    from beam import store

    with open(os.path.join(folder, store.MANIFEST_FILE)) as file:
        manifest: dict[str, Any] = json.load(file)
    return manifest


def _finished(folder: str, gin: str) -> dict[str, Any] | None:
    """Returns the manifest of a part that an earlier run of the same gin has finished, or None."""
    try:
        manifest = _manifest(folder)
        with open(os.path.join(folder, _GIN_FILE)) as config:
            return manifest if config.read() == gin and manifest["written"] else None
    except FileNotFoundError:
        return None


def _counts(manifest: dict[str, Any]) -> str:
    splits = ", ".join(f"{split} {rows:,}" for split, rows in sorted(manifest["splits"].items()))
    dropped = _reasons(manifest["dropped"]) or "none"
    skipped = _reasons(manifest.get("skipped", {}))
    counts = f"{manifest['read']:,} rows read, {manifest['written']:,} kept ({splits}); dropped: {dropped}"
    return f"{counts}; skipped: {skipped}" if skipped else counts


def _reasons(counts: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items())


def _require_no_data_set(folder: str) -> None:
    """Removes the files of an unfinished part, or of one that kept no row; raises ValueError for a finished part.

    A part writes its manifest last, so a folder without one is unfinished.
    """
    from beam import spool, store

    path = os.path.join(folder, store.MANIFEST_FILE)
    if os.path.exists(path):
        if _manifest(folder)["written"]:
            raise ValueError(f"--output_dir={folder} holds a data set already; name another folder, or remove it")
        os.remove(path)
    for name in ("data_tfrecord-*", f"{files.UNFINISHED}*"):
        for path in glob.glob(os.path.join(glob.escape(folder), "Split-*", name)):
            os.remove(path)
    for path in glob.glob(os.path.join(glob.escape(folder), f"{spool.FOLDER}*")):
        shutil.rmtree(path)


console = command_line.script(main, "gin_file", "output_dir")

if __name__ == "__main__":
    console()
