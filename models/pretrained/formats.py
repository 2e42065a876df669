"""Finds the format of a path, and reads, checks and writes checkpoints of every format."""

import os

import tensorflow as tf

from models import files, settings
from models.pretrained import (
    big_vision,
    hugging_face,
    hugging_face_config,
    hugging_face_vit,
    open_clip,
    restoration,
    saved_model,
    timm_vit,
    vision_transformer,
)
from models.pretrained.checkpoint import Checkpoint
from models.pretrained.errors import PretrainedError, require_absent
from models.pretrained.flax_file import FlaxFile
from models.pretrained.image_tower import PretrainedImageTower
from models.pretrained.trained_model import TrainedModel
from models.settings.pretrained import TOWERS

_WRITERS = {"saved_model": saved_model.write, "hugging_face": hugging_face.write, "big_vision": big_vision.write}
FOLDER_FORMATS = ("saved_model", "hugging_face")
_SIGLIPS = (settings.SiglipSettings, settings.SiglitSettings)  # a Checkpoint holds all of their variables
# The file that marks a folder of each format; it appears only when the folder is whole.
_SAVED_MODEL, _HUGGING_FACE = files.MODEL_FILES


def load(config: settings.PretrainedSettings) -> Checkpoint | PretrainedImageTower:
    """Reads what training starts from: in a folder of pushed models, the newest. Raises as `read_parts`."""
    return read_parts(files.newest_version(config.path))


def load_fitting(
    chosen: settings.PretrainedSettings, config: settings.ObjectiveSettings, vocabulary: str
) -> restoration.Loaded:
    """Reads the checkpoint that an objective starts from, and checks that it fits the towers and the vocabulary.

    Prints a line for each value that the reader of the checkpoint assumed, and for each setting that prepares pictures
    or texts differently from the checkpoint's.

    Args:
      chosen: settings that name the checkpoint and the parts to take from it.
      config: settings of the objective.
      vocabulary: path of the SentencePiece model that the run uses.

    Raises:
      PretrainedError: the checkpoint cannot be read, or `restoration.restore` would refuse it.
    """
    checkpoint = _load_trained(chosen, config) or _load_towers(chosen, config)
    restoration.require_same_vocabulary(checkpoint, vocabulary, chosen.parts)
    restoration.require_fit(checkpoint, config, chosen.parts)
    notes = [note.text for note in getattr(checkpoint, "notes", ()) if note.part in chosen.parts]
    for line in (*notes, *restoration.differing_inputs(checkpoint, config, chosen.parts)):
        print(f"note: {line}", flush=True)
    return checkpoint


def _load_trained(chosen: settings.PretrainedSettings, config: settings.ObjectiveSettings) -> TrainedModel | None:
    """Reads our own model of the same objective, or the towers of one of another; None if `_load_towers` reads it."""
    path = files.newest_version(chosen.path)
    if not tf.io.gfile.exists(os.path.join(path, _SAVED_MODEL)):
        return None
    found = saved_model.objective_settings(path)
    if type(found) is type(config):
        return None if type(config) in _SIGLIPS else saved_model.read_trained(path)
    if isinstance(found, settings.SiglipSettings):
        return None
    both = isinstance(found, settings.TwoTowersSettings) and isinstance(config, settings.TwoTowersSettings)
    if both and set(chosen.parts) <= {*TOWERS}:
        return saved_model.read_trained(path)
    theirs, ours = (type(one).__name__.removesuffix("Settings") for one in (found, config))
    raise PretrainedError(
        f"{path} is a model of {theirs}, but Training.objective is {ours}; name a model of the same objective"
        + (f", or take its towers alone: Pretrained.parts = {TOWERS}" if both else "")
    )


def _load_towers(chosen: settings.PretrainedSettings, config: settings.ObjectiveSettings) -> restoration.Loaded:
    if not isinstance(config, settings.TwoTowersSettings):
        raise PretrainedError(
            f"Training.pretrained is {chosen.path}, but {type(config).__name__.removesuffix('Settings')} has no image "
            "tower and text tower to fill; set Training.pretrained = None"
        )
    return load(chosen)


def read(
    path: str, vocabulary: str | None = None, size: int | None = None, antialias: bool | None = None
) -> Checkpoint:
    """Reads a whole SigLIP model, with both towers; arguments as of `read_parts`.

    Raises:
      PretrainedError: as `read_parts`, or the checkpoint is an image tower alone.
    """
    found = read_parts(path, vocabulary, size, antialias)
    if isinstance(found, PretrainedImageTower):
        raise PretrainedError(
            f"{path} holds an image tower alone, but a model needs both towers; train from it with "
            "Pretrained.parts = ('image_tower',), or name another checkpoint"
        )
    return found


def read_parts(
    path: str, vocabulary: str | None = None, size: int | None = None, antialias: bool | None = None
) -> Checkpoint | PretrainedImageTower:
    """Reads a checkpoint of any format: a SigLIP model, or an image tower alone, such as a supervised ViT.

    Args:
      path: an .npz file of big_vision, a folder with config.json, or a SavedModel of ours.
      vocabulary: path of a SentencePiece model, if the checkpoint has none or another is to replace its own.
      size: side of the pictures in pixels, for an .npz whose size is not a multiple of its patch (So400m/14 at 384).
      antialias: whether an .npz resizes pictures with antialiasing; None takes big_vision's default, which is False.

    Raises:
      PretrainedError: the format is unknown, the checkpoint is damaged, or it holds another model; the message says
        which, why, and what to do.
    """
    given = _vocabulary(vocabulary)
    if os.path.isfile(path) and path.endswith(".npz"):
        file = FlaxFile(path)
        if vision_transformer.is_vision_transformer(file):
            _require_no_vocabulary(vocabulary, path, "holds an image tower alone")
            return vision_transformer.read(file, size, antialias)
        return big_vision.read(file, given, size, antialias)
    if size is not None:
        raise PretrainedError(
            f"--size={size} is for an .npz of big_vision; {path} has its own size, so leave --size out"
        )
    if antialias is not None:
        raise PretrainedError(
            f"--antialias={antialias} is for an .npz of big_vision; {path} has its own resize, so leave --antialias out"
        )
    if os.path.isfile(os.path.join(path, _HUGGING_FACE)):
        is_timm = timm_vit.is_timm(path)
        if is_timm or hugging_face_config.model_type(path) == "vit":
            _require_no_vocabulary(vocabulary, path, "holds an image tower alone")
            return timm_vit.read(path) if is_timm else hugging_face_vit.read(path)
        return hugging_face.read(path, given)
    if os.path.isfile(os.path.join(path, open_clip.CONFIG)):
        return open_clip.read(path, given)
    if tf.io.gfile.exists(os.path.join(path, _SAVED_MODEL)):
        _require_no_vocabulary(vocabulary, path, "has its own")
        return saved_model.read(path)
    what = "is not a checkpoint" if os.path.exists(path) else "does not exist"
    raise PretrainedError(
        f"{path} {what}; name an .npz of big_vision, a folder with config.json and model.safetensors, "
        "or a SavedModel of this project"
    )


def require_target(path: str, folder_format: str | None = None) -> str:
    """Returns the format to write to `path`: "big_vision" if it ends in .npz, else `folder_format`.

    Raises:
      PretrainedError: format and path do not go together, or `path` exists.
    """
    require_absent(path)
    if path.endswith(".npz"):
        if folder_format:
            raise PretrainedError(f"--format={folder_format} is for folders, but --to={path} is a file; change either")
        return "big_vision"
    if folder_format not in FOLDER_FORMATS:
        raise PretrainedError(
            f"--to={path} is a folder, which needs --format=saved_model (to serve) or --format=hugging_face; "
            "or name a file ending in .npz"
        )
    return folder_format


def write(checkpoint: Checkpoint, path: str, folder_format: str | None = None) -> str:
    """Writes a checkpoint, whole or not at all; returns its format. Raises as `require_target` and the writer."""
    chosen = require_target(path, folder_format)
    _WRITERS[chosen](checkpoint, path)
    return chosen


def lost(checkpoint: Checkpoint, target: str) -> list[str]:
    """Returns a line for each setting of the input that a file of format `target` cannot hold."""
    if target == "saved_model":
        return []
    there = (
        hugging_face.as_read(checkpoint)
        if target == "hugging_face"
        else big_vision.as_read(checkpoint.config, checkpoint.vocabulary_size)
    )
    return [
        f"{tower}'s {field} is {getattr(getattr(checkpoint.config, tower), field)!r}, which the format {target} cannot "
        f"hold; whoever reads it prepares its input with {getattr(getattr(there, tower), field)!r}"
        for tower, names in restoration.INPUTS.items()
        for field in names
        if getattr(getattr(checkpoint.config, tower), field) != getattr(getattr(there, tower), field)
    ]


def _require_no_vocabulary(vocabulary: str | None, path: str, why: str) -> None:
    if vocabulary:
        raise PretrainedError(f"--vocabulary={vocabulary}: {path} {why}, so leave --vocabulary out")


def _vocabulary(path: str | None) -> bytes | None:
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise PretrainedError(f"--vocabulary={path} cannot be read: {error.strerror}") from error
