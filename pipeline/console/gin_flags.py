"""The flags that every command which reads gin has in common."""

from absl import flags

GIN_FILE = flags.DEFINE_multi_string("gin_file", None, "A gin file; may be given several times, later ones win.")
GIN_BINDINGS = flags.DEFINE_multi_string("gin_bindings", [], "One more binding, such as 'Training.steps = 10'.")
OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "Where everything that is made goes (the pipeline's is output).")
