"""Asks a pushed model: `python -m pipeline.zero_shot --model_dir DIR --image FILE --labels "cat,dog,pizza"`."""

import json
import re
import sys

from absl import app, flags

from pipeline import progress, versions

_MODEL_DIR = flags.DEFINE_string(
    "model_dir", None, "A SavedModel, or a folder of numbered versions (the newest counts)."
)
_IMAGE = flags.DEFINE_multi_string("image", [], "A picture; may be given several times.")
_LABELS = flags.DEFINE_string("labels", None, "Comma-separated texts.")
_JSON = flags.DEFINE_boolean("json", False, "Print one JSON object instead of text.")


def main(argv: list[str]) -> None:
    """Prints, for each picture, the probability that each label belongs to it."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}; flags start with --")
    try:
        answers = ask(
            versions.newest(_MODEL_DIR.value), _IMAGE.value, [label.strip() for label in _LABELS.value.split(",")]
        )
    except ValueError as error:
        sys.exit(f"error: {error}")
    if _JSON.value:
        print(json.dumps(answers))
        return
    for image, probabilities in answers.items():
        print(image)
        for label, probability in sorted(probabilities.items(), key=lambda item: -item[1]):
            print(f"  {probability:.4f}  {label}")


def ask(saved_model: str, images: list[str], labels: list[str]) -> dict[str, dict[str, float]]:
    """{picture: {label: probability}}.

    Raises:
      ValueError: a picture is missing or cannot be decoded, or a label is empty.
    """
    if not images:
        raise ValueError("no picture is named; add --image FILE")
    if len({*images}) < len(images) or len({*labels}) < len(labels):
        raise ValueError("a picture or a label is named twice; name each once")
    if not all(labels):
        raise ValueError(f"--labels has an empty label: {labels}; separate texts by single commas")
    contents = []
    for image in images:
        try:
            with open(image, "rb") as file:
                contents.append(file.read())
        except OSError as error:
            raise ValueError(f"--image={image} cannot be read: {error.strerror}") from error

    progress.quiet_terminal()
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  (registers the tokenizer's ops)

    model = tf.saved_model.load(saved_model)
    try:
        answer = model.signatures["serving_default"](image_bytes=tf.constant(contents), labels=tf.constant(labels))
    except tf.errors.InvalidArgumentError as error:
        rows = re.search(r"not pictures.*?\[([\d ]+)\]", error.message)
        broken = [images[int(row)] for row in rows.group(1).split()] if rows else images
        raise ValueError(
            f"--image={' '.join(broken)}: not a picture in JPEG, PNG, GIF or BMP; convert it first"
        ) from error
    return {
        image: dict(zip(labels, row, strict=True))
        for image, row in zip(images, answer["probability"].numpy().tolist(), strict=True)
    }


def console() -> None:
    """Entry of the console script."""
    flags.mark_flags_as_required(["model_dir", "labels"])
    app.run(main)


if __name__ == "__main__":
    console()
