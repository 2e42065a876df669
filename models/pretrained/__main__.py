"""Checkpoints: `python -m models.pretrained convert --from=PATH --to=PATH` converts, `inspect --from=PATH` shows."""

import logging
import os
import sys
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
if __name__ == "__main__":
    warnings.simplefilter("ignore")

from absl import app, flags
from absl import logging as absl_logging

from models import files, settings
from models.pretrained import formats
from models.pretrained.checkpoint import Checkpoint
from models.pretrained.image_tower import PretrainedImageTower
from models.settings import configuration

_FROM = flags.DEFINE_string(
    "from",
    None,
    "An .npz of big_vision, a folder of Hugging Face, timm or open_clip, a SavedModel of ours, or a folder of pushed "
    "models (their newest).",
)
_TO = flags.DEFINE_string("to", None, "A file ending in .npz, or a folder; for convert only.")
_FORMAT = flags.DEFINE_enum("format", None, formats.FOLDER_FORMATS, "Format of the folder --to.")
_VOCABULARY = flags.DEFINE_string("vocabulary", None, "A SentencePiece model; needed if --from has none.")
_SIZE = flags.DEFINE_integer(
    "size",
    None,
    "Side of the pictures in pixels, for an .npz whose size is not a multiple of its patch.",
    lower_bound=1,
)
_ANTIALIAS = flags.DEFINE_boolean(
    "antialias", None, "Whether pictures are resized with antialiasing, for an .npz; big_vision's default is false."
)
_NEXT = {
    "saved_model": 'ask it: python -m pipeline.zero_shot --model_dir={to} --image=FILE --labels="cat,dog"',
    "hugging_face": 'load it: transformers.AutoModel.from_pretrained("{to}")',
    "big_vision": "look at it: python -m models.pretrained inspect --from={to}",
}


def main(argv: list[str]) -> None:
    """Runs `convert` or `inspect`."""
    if argv[1:] not in (["convert"], ["inspect"]):
        raise app.UsageError("name what to do, convert or inspect, and then flags that start with --")
    converts = argv[1] == "convert"
    if not _FROM.value or converts != bool(_TO.value):
        raise app.UsageError("convert needs --from and --to, inspect --from alone")
    try:
        if converts:
            formats.require_target(_TO.value, _FORMAT.value)
        start = time.monotonic()
        path = files.newest_version(_FROM.value)
        given = (path, _VOCABULARY.value, _SIZE.value, _ANTIALIAS.value)
        if not converts:
            print(describe(formats.read_parts(*given)))
            return
        checkpoint = formats.read(*given)
        _progress(f"read {checkpoint.parameters:,} parameters of {path} in {time.monotonic() - start:.0f} s")
        written = formats.write(checkpoint, _TO.value, _FORMAT.value)
        for line in (*(note.text for note in checkpoint.notes), *formats.lost(checkpoint, written)):
            _progress(f"note: {line}")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    print(
        f"wrote {_TO.value} ({written}, {checkpoint.parameters:,} parameters) from {path}; "
        f"{_NEXT[written].format(to=_TO.value)}"
    )


def describe(checkpoint: Checkpoint | PretrainedImageTower) -> str:
    """Returns gin that makes the checkpoint's towers, for any objective, under comments: its sizes, and the notes."""
    towers: list[settings.TransformerSettings] = [checkpoint.config.image_tower]
    holds = "an image tower alone: Pretrained.parts = ('image_tower',)"
    if isinstance(checkpoint, Checkpoint):
        towers.append(checkpoint.config.text_tower)
        vocabulary = "its vocabulary" if checkpoint.vocabulary is not None else "no vocabulary"
        holds = f"{checkpoint.vocabulary_size:,} pieces, {vocabulary}"
    return (
        f"# {checkpoint.source}: {checkpoint.parameters:,} parameters in {len(checkpoint.weights)} variables, {holds}\n"
        + "".join(f"# {note.text}\n" for note in checkpoint.notes)
        + "\n".join(configuration.to_gin(tower) for tower in towers)
    )


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    absl_logging.set_verbosity(absl_logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    app.run(main)
