"""The flags of all commands that read gin."""

from absl import flags

GIN_FILE = flags.DEFINE_multi_string("gin_file", None, "A gin file; repeatable, a later file overrides an earlier one.")
GIN_BINDINGS = flags.DEFINE_multi_string(
    "gin_bindings", [], "A binding that overrides the files, such as 'Training.steps = 1'."
)
OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "The folder to write to; the default of the pipeline is output.")
