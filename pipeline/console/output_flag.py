"""The flag --output of several commands; absl allows each flag name to be defined only once in a process."""

from absl import flags

OUTPUT = flags.DEFINE_string("output", None, "The file to write, such as answers or the compiled pipeline.")
