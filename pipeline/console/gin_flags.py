"""The flags of all commands that read gin."""

import os

from absl import flags

from pipeline.console import command_line

GIN_FILE = flags.DEFINE_multi_string("gin_file", None, "A gin file; repeatable, a later file overrides an earlier one.")
GIN_BINDINGS = flags.DEFINE_multi_string(
    "gin_bindings", [], "A binding that overrides the files, such as 'Training.steps = 1'."
)
OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "The folder to write to; the default of the pipeline is output.")


def output_dir(default: str = "output") -> str:
    """The absolute path that --output_dir names; ValueError for an address, such as gs://BUCKET/FOLDER."""
    folder: str = OUTPUT_DIR.value or default
    command_line.require_local(folder)
    return os.path.abspath(folder)
