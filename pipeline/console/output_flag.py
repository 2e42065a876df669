"""The flag --output, which several commands have: absl knows a name once in a process."""

from absl import flags

OUTPUT = flags.DEFINE_string("output", None, "The file to write: of answers about --folder, or of what was compiled.")
