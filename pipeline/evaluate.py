"""Evaluates a SavedModel: `python -m pipeline.evaluate --model_dir DIR --gin_file=gin/evaluation/coco.gin`.

The model may be one of a run, or a converted checkpoint (`python -m models.pretrained convert --format=saved_model`).
The gin files set Pipeline.evaluation_sets; Gate.slice_by adds metrics by slice. `--examples` adds the eval split of a
run.
"""

from absl import flags

from pipeline.console import command_line, gin_flags, terminal
from pipeline.publishing import versions

_MODEL_DIR = flags.DEFINE_string(
    "model_dir", None, "A SavedModel, or a folder of numbered versions, of which the newest is taken."
)
_EXAMPLES = flags.DEFINE_string(
    "examples",
    "",
    "The Examples of a run: output/NAME/artifacts/Deduper/processed/N, or ImageTextGen/examples/N if the run has no "
    "Deduper. It adds the set eval.",
)
_OUTPUT_DIR = "output/evaluation"


@command_line.errors_as_lines(FileNotFoundError)
def main(argv: list[str]) -> None:
    """Evaluates the model, prints a table, and writes evaluation.json and evaluation.html."""
    command_line.refuse_arguments(argv)
    folder = gin_flags.OUTPUT_DIR.value or _OUTPUT_DIR
    command_line.require_local(folder)
    model = versions.newest(_MODEL_DIR.value)
    terminal.quiet_terminal()
    print("Loading TensorFlow and Beam", flush=True)
    with terminal.native_log_hidden():
        from pipeline.evaluation import evaluation

    evaluation.run(model, gin_flags.GIN_FILE.value or [], gin_flags.GIN_BINDINGS.value, folder, _EXAMPLES.value)


console = command_line.script(main, "model_dir")

if __name__ == "__main__":
    console()
