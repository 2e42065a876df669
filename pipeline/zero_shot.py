"""Classifies pictures: `python -m pipeline.zero_shot --model_dir DIR --image FILE --labels "cat,dog,pizza"`.

`--server HOST:PORT` (gRPC) or `--rest URL` asks TensorFlow Serving in place of `--model_dir`. `--folder DIR --output
answers.jsonl` asks about all pictures below a folder in place of `--image`. `--labels_file` names a file of labels.
"""

import json
import sys

from absl import flags

from components import serving_clients
from pipeline import labels as asked_labels
from pipeline import zero_shot_folder
from pipeline.console import command_line, terminal
from pipeline.console.output_flag import OUTPUT
from pipeline.publishing import versions

_MODEL_DIR = flags.DEFINE_string(
    "model_dir", None, "A SavedModel, or a folder of numbered versions, of which the newest is taken."
)
_SERVER = flags.DEFINE_string("server", None, "HOST:PORT of TensorFlow Serving's gRPC, in place of --model_dir.")
_REST = flags.DEFINE_string(
    "rest", None, "URL of TensorFlow Serving's REST in place of --model_dir, such as http://localhost:8501."
)
_MODEL_NAME = flags.DEFINE_string("model_name", serving_clients.MODEL_NAME, "The name of the model on the server.")
_IMAGE = flags.DEFINE_multi_string("image", [], "A picture file; repeatable.")
_FOLDER = flags.DEFINE_string("folder", None, "A folder: ask about all pictures below it, in place of --image.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Pictures in a request, with --folder.", lower_bound=1)
_LABELS = flags.DEFINE_string("labels", None, "Texts, separated by commas.")
_LABELS_FILE = flags.DEFINE_string(
    "labels_file", None, "A file with one label in each line (UTF-8), in place of --labels; a label may hold commas."
)
_JSON = flags.DEFINE_boolean("json", False, "Print one JSON object instead of text.")


@command_line.errors_as_lines(serving_clients.NoAnswer)
def main(argv: list[str]) -> None:
    """Prints, for each picture, the probability that each label belongs to it."""
    command_line.refuse_arguments(argv)
    terminal.quiet_terminal()
    try:
        labels = asked_labels.read(_LABELS.value, _LABELS_FILE.value)
        client = make_client(_MODEL_DIR.value, _SERVER.value, _REST.value, _MODEL_NAME.value)
        if (_FOLDER.value is None) != (OUTPUT.value is None):
            raise ValueError("--folder and --output belong together; give both, or give --image")
        if _FOLDER.value is not None:
            if _IMAGE.value:
                raise ValueError("--image and --folder exclude each other; give one")
            if _JSON.value:
                raise ValueError("--json is for --image: the file that --output names is JSON Lines; remove --json")
            print(zero_shot_folder.ask(client, _FOLDER.value, labels, OUTPUT.value, _BATCH_SIZE.value))
            return
        answers = ask(client, _IMAGE.value, labels)
    except KeyboardInterrupt:
        sys.exit("Stopped; nothing was written")
    if _JSON.value:
        print(json.dumps(answers))
        return
    for image, probabilities in answers.items():
        print(image)
        for label, probability in probabilities.items():
            print(f"  {probability:.4f}  {label}")


def make_client(
    model_dir: str | None, server: str | None, rest: str | None, model_name: str = serving_clients.MODEL_NAME
) -> serving_clients.Client:
    """Returns the client of the model that the flags name.

    Raises:
      ValueError: no flag or several flags name a model, there is no SavedModel, or an address is malformed.
    """
    if sum(place is not None for place in (model_dir, server, rest)) != 1:
        raise ValueError("name one model to ask: --model_dir=DIR, --server=HOST:PORT or --rest=URL")
    if server is not None:
        if not server.rpartition(":")[0] or not server.rpartition(":")[2].isdigit() or "/" in server:
            raise ValueError(f"--server={server} must be HOST:PORT, such as localhost:8500; --rest takes a URL")
        return serving_clients.GrpcClient(server, model_name)
    if rest is not None:
        if not rest.startswith(("http://", "https://")):
            raise ValueError(f"--rest={rest} must be a URL, such as http://localhost:8501; --server takes HOST:PORT")
        return serving_clients.RestClient(rest, model_name)
    return serving_clients.LocalClient(versions.newest(str(model_dir)))


def ask(client: serving_clients.Client, images: list[str], labels: list[str]) -> dict[str, dict[str, float]]:
    """Asks about picture files; returns {picture: {label: probability}}, the labels with the highest logit first.

    Raises:
      ValueError: a picture is missing or cannot be decoded, or a label is empty.
      serving_clients.NoAnswer: the server did not answer.
    """
    if not images:
        raise ValueError("--image is missing; add --image FILE, or --folder DIR")
    if len({*images}) < len(images):
        raise ValueError(f"--image has a picture twice: {', '.join(images)}; name each once")
    asked_labels.require(labels)
    contents = []
    for image in images:
        try:
            with open(image, "rb") as file:
                contents.append(file.read())
        except OSError as error:
            raise ValueError(f"--image={image} cannot be read: {error.strerror}") from error
    try:
        probabilities = zero_shot_folder.probabilities(client, contents, labels)
    except zero_shot_folder.Unusable as error:
        reasons = "; ".join(f"--image={images[row]}: {reason}" for row, reason in error.reasons.items())
        raise ValueError(f"{reasons}; convert it first") from error
    except serving_clients.Refused as error:
        broken = [images[row] for row in error.rows] or images
        raise ValueError(f"--image={' '.join(broken)}: {zero_shot_folder.NO_PICTURE}; convert it first") from error
    return dict(zip(images, probabilities, strict=True))


console = command_line.script(main)

if __name__ == "__main__":
    console()
