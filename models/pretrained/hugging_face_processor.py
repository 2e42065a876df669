"""Reads and makes the fields of Hugging Face's image processor, which say how pictures become pixels.

transformers 4 writes them to preprocessor_config.json. The SiglipProcessor of transformers 5 writes them to
processor_config.json, under "image_processor". Where a folder has both files, transformers 4 reads the first, and
transformers 5 reads the second.
"""

import dataclasses
import os
from typing import Any

from models.pretrained.checkpoint import Checkpoint, Note
from models.pretrained.errors import PretrainedError
from models.pretrained.json_files import read_json

FILE, _NESTED_FILE, _NESTED = "preprocessor_config.json", "processor_config.json", "image_processor"
_TYPE, _NAFLEX = "SiglipImageProcessor", "Siglip2ImageProcessor"
_RESAMPLE = {"bilinear": 2, "bicubic": 3}  # Pillow's numbers
_MEAN, _RESCALE = 0.5, 1 / 255
# Fields that our image tower cannot vary, with transformers' defaults.
_DEFAULTS: dict[str, Any] = {
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "size": {"height": 224, "width": 224},
    "resample": _RESAMPLE["bicubic"],
    "rescale_factor": _RESCALE,
    "image_mean": [_MEAN] * 3,
    "image_std": [_MEAN] * 3,
}


@dataclasses.dataclass(frozen=True)
class Processor:
    """The image processor of a kind of model.

    Attributes:
      type: its class; a folder that names none has this one.
      defaults: its values for absent fields, where they differ from those of SigLIP's processor.
      hint: the end of the note for a folder without the file.
    """

    type: str
    defaults: dict[str, Any]
    hint: str = ""

    @property
    def types(self) -> tuple[str, ...]:
        """Names of the class in the versions of transformers."""
        old = self.type.replace("ImageProcessor", "FeatureExtractor")
        return self.type, f"{self.type}Fast", f"{self.type}Pil", old


_HINT = "; most SigLIP 1 models of Hugging Face need ImageTower.interpolation = 'bicubic'"
SIGLIP = Processor(_TYPE, {}, _HINT)
VIT = Processor("ViTImageProcessor", {"resample": _RESAMPLE["bilinear"], "default_to_square": True})
_HARMLESS = ("do_convert_rgb",)  # our decoder always gives three channels


def read(folder: str, size: int, processor: Processor = SIGLIP) -> tuple[str, tuple[Note, ...]]:
    """Reads how pictures are resized.

    Args:
      folder: the checkpoint.
      size: side of the pictures that the image tower takes (pixels).
      processor: the processor that the kind of model has.

    Returns:
      The interpolation, and notes on what the reader assumed.

    Raises:
      PretrainedError: a file asks for another size, scale or step than our image tower has, or two files differ.
    """
    found = {where: _interpolation(where, fields, size, processor) for where, fields in _sections(folder).items()}
    if not found:
        note = (
            f"{folder} has no {FILE}, and no {_NESTED} in {_NESTED_FILE}; assumed: pictures are resized to a square, "
            f"bilinear with antialiasing{processor.hint}"
        )
        return "bilinear", (Note("image_tower", note),)
    (where, interpolation), *others = found.items()
    for other, theirs in others:
        if theirs != interpolation:
            raise PretrainedError(
                f"{where}: resample is {_RESAMPLE[interpolation]} ({interpolation}), which transformers 4 reads, but "
                f"{other}: resample is {_RESAMPLE[theirs]} ({theirs}), which transformers 5 reads; make them equal, or "
                "remove one file"
            )
    return interpolation, ()


def fields(checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns the fields of preprocessor_config.json, which transformers 4 and 5 read.

    It returns {} unless `resize` is "squash", the only one that SigLIP's processor can express.
    """
    tower = checkpoint.config.image_tower
    if tower.resize != "squash":
        return {}
    return {
        **_DEFAULTS,
        "image_processor_type": _TYPE,
        "processor_class": "SiglipProcessor",
        "size": {"height": tower.size, "width": tower.size},
        "resample": _RESAMPLE[tower.interpolation],
        "do_convert_rgb": True,
    }


def _sections(folder: str) -> dict[str, dict[str, Any]]:
    """Returns {file, or file and section: the fields of the image processor}, the file of transformers 4 first."""
    found: dict[str, dict[str, Any]] = {}
    if os.path.isfile(os.path.join(folder, FILE)):
        found[f"{folder}/{FILE}"] = read_json(folder, FILE)
        if _NESTED in found[f"{folder}/{FILE}"]:
            raise PretrainedError(
                f"{folder}/{FILE}: it has a section {_NESTED}, which transformers 4 reads and transformers 5 ignores; "
                "move its fields to the top of the file"
            )
    if not os.path.isfile(os.path.join(folder, _NESTED_FILE)):
        return found
    content = read_json(folder, _NESTED_FILE)
    if _NESTED in content:
        nested = content[_NESTED]
        if not isinstance(nested, dict):
            raise PretrainedError(
                f"{folder}/{_NESTED_FILE}: {_NESTED} is {repr(nested)[:200]}, but must be an object; get the file again"
            )
        found[f"{folder}/{_NESTED_FILE}: {_NESTED}"] = nested
    elif _DEFAULTS.keys() & content.keys() and not found:  # only transformers 4 reads it
        found[f"{folder}/{_NESTED_FILE}"] = content
    return found


def _interpolation(where: str, given: dict[str, Any], size: int, processor: Processor) -> str:
    """Returns the interpolation of one image processor; PretrainedError if our image tower cannot do what it does."""

    def refuse(field: str, rule: str, fix: str = "correct the file, or name another model's folder") -> PretrainedError:
        shown = repr(values.get(field))[:200]
        return PretrainedError(f"{where}: {field} is {shown}, but must be {rule}; {fix}")

    values = {**_DEFAULTS, **processor.defaults, **given}
    kind_field = "image_processor_type" if "image_processor_type" in values else "feature_extractor_type"
    kind = values.get(kind_field, processor.type)
    if str(kind).startswith(_NAFLEX):
        raise refuse(kind_field, f"{_TYPE}, since NaFlex variants are not supported")
    if kind not in processor.types:
        raise refuse(
            kind_field, f"one of {', '.join(processor.types)}, since other processors have other defaults and steps"
        )
    if values.get("auto_map"):
        raise refuse("auto_map", "absent, since it names code that prepares pictures and that is never run")
    for field in ("do_resize", "do_rescale", "do_normalize"):
        if values[field] is not True:
            raise refuse(field, "True")
    for field in sorted(values):
        if field.startswith("do_") and field not in (*_DEFAULTS, *_HARMLESS) and values[field]:
            raise refuse(field, "False, since our pictures get no such step")
    if not _is_square(values, size):
        rule = {"height": size, "width": size}
        raise refuse("size", f"{rule}, the image_size of config.json", "correct either file")
    for field in ("image_mean", "image_std"):
        if values[field] not in (_MEAN, _DEFAULTS[field]):
            raise refuse(field, f"{_DEFAULTS[field]}")
    rescale = values["rescale_factor"]
    if not isinstance(rescale, float) or abs(rescale - _RESCALE) > 1e-6:
        raise refuse("rescale_factor", "1/255")
    resample = values["resample"]
    for interpolation, number in _RESAMPLE.items():
        if resample in (interpolation, number) and not isinstance(resample, bool):
            return interpolation
    raise refuse("resample", "2 (bilinear) or 3 (bicubic)")


def _is_square(values: dict[str, Any], size: int) -> bool:
    """Whether transformers resizes to `size` x `size`; without default_to_square, one number is the shorter side."""
    given = values["size"]
    if isinstance(given, dict):
        given = {name: side for name, side in given.items() if side is not None}
    squares: list[Any] = [{"height": size, "width": size}, [size, size]]
    if values.get("default_to_square") is True:
        squares.append(size)
    return given in squares
