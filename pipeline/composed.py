"""Measures composed retrieval: `python -m pipeline.composed --model_dir DIR --examples DIR`."""

from absl import flags

from pipeline.console import command_line, terminal
from pipeline.publishing import versions

_MODEL_DIR = flags.DEFINE_string(
    "model_dir", None, "A SavedModel, or a folder of numbered versions, of which the newest is taken."
)
_EXAMPLES = flags.DEFINE_string(
    "examples",
    None,
    "The folder of a stored split, such as .../Split-test, or of a whole Examples artifact, whose eval and test splits "
    "are read.",
)


@command_line.errors_as_lines(FileNotFoundError)
def main(argv: list[str]) -> None:
    """Prints how often a picture of held-out names is found by another picture and the words that tell both apart."""
    command_line.refuse_arguments(argv)
    saved_model = versions.newest(_MODEL_DIR.value)
    terminal.quiet_terminal()
    from beam.exported_model import ExportedModel  # loads TensorFlow
    from components.metrics import composed

    rows = composed.held_out_rows(_EXAMPLES.value)
    model = ExportedModel(saved_model, required=("embed_image", "embed_text"))
    has_pairs = composed.EMBED_PAIR in model.signatures
    found = composed.measure(model, rows, has_pairs)
    if found is None:
        raise ValueError(
            f"--examples={_EXAMPLES.value} has {len(rows)} pictures, but no two names that differ in one skin tone or "
            "gender; name a folder of OpenMoji's rows, such as .../Split-test"
        )
    print(f"{len(found.queries)} queries over {len(rows)} pictures of {_EXAMPLES.value}")
    print("\n".join(composed.table(found)))
    if not has_pairs:
        print(f"The model has no signature {composed.EMBED_PAIR}, so that there is no query of {composed.PAIR}.")


console = command_line.script(main, "model_dir", "examples")

if __name__ == "__main__":
    console()
