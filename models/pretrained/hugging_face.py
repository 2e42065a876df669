"""Hugging Face's folder: SigLIP, and SigLIP 2 of fixed resolution, which is also published as model_type siglip."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from models import settings
from models.files import WholeFolder
from models.pretrained import (
    exchange,
    hugging_face_config,
    hugging_face_processor,
    hugging_face_tokenizer,
    hugging_face_vocabulary,
)
from models.pretrained.checkpoint import Checkpoint
from models.pretrained.errors import PretrainedError, require_absent
from models.pretrained.exchange import Pair, flattened, same, transposed
from models.pretrained.json_files import read_json
from models.pretrained.layout import shapes

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
# Older versions of transformers also saved these tensors, which count from 0 to L - 1.
_POSITION_IDS = ("vision_model.embeddings.position_ids", "text_model.embeddings.position_ids")


def read(folder: str, vocabulary: bytes | None = None) -> Checkpoint:
    """Reads config.json, model.safetensors (or its parts by model.safetensors.index.json) and the vocabulary.

    preprocessor_config.json or processor_config.json says how to prepare pictures, tokenizer_config.json how texts.

    Args:
      folder: a folder that transformers' save_pretrained wrote, or a copy of one from the Hub.
      vocabulary: a SentencePiece model that replaces the folder's own, or stands in for it in a folder that has only
        tokenizer.json.

    Raises:
      PretrainedError: a file is missing or damaged, a field is missing, wrong or not supported, or a tensor is missing,
        unknown or misshapen; the message names the file and the field or tensor.
    """
    config, rows = hugging_face_config.read(folder)
    interpolation, notes = hugging_face_processor.read(folder, config.image_tower.size)
    config = dataclasses.replace(
        config, image_tower=dataclasses.replace(config.image_tower, interpolation=interpolation)
    )
    vocabulary = vocabulary or hugging_face_tokenizer.read_vocabulary(folder)
    config, more_notes = hugging_face_tokenizer.with_tokenizer(config, folder, vocabulary, rows)
    ours = shapes(config, rows)
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(_open(os.path.join(folder, name))) for name in _parts(folder)}
        keys = {name: file.keys() for name, file in files.items()}
        where = {tensor: name for name, tensors in keys.items() for tensor in tensors}
        _require_index(folder, where, sum(map(len, keys.values())))
        found = {tensor: tuple(files[name].get_slice(tensor).get_shape()) for tensor, name in where.items()}

        def load(tensor: str) -> np.ndarray:
            with _errors_of(os.path.join(folder, where[tensor])):
                return files[where[tensor]].get_tensor(tensor)

        for name in _POSITION_IDS:
            if name in found:
                ids = load(name).ravel()
                if not np.array_equal(ids, np.arange(ids.size)):
                    raise PretrainedError(f"{folder}: {name} does not count from 0, but must; remove it")
                del found[name]
        weights = exchange.read(_pairs(config, rows), ours, found, load, os.path.join(folder, _WEIGHTS))
    return Checkpoint(config, weights, vocabulary, folder, (*notes, *more_notes))


def as_read(checkpoint: Checkpoint) -> settings.SiglipSettings:
    """Returns the settings with the values that a reader of the written folder gets."""
    image = dataclasses.replace(checkpoint.config.image_tower, antialias=True)
    if image.resize != "squash":
        image = dataclasses.replace(image, resize="squash", interpolation="bilinear")
    rule = hugging_face_vocabulary.punctuation(checkpoint)
    text = dataclasses.replace(checkpoint.config.text_tower, punctuation=rule)
    return dataclasses.replace(checkpoint.config, image_tower=image, text_tower=text)


def write(checkpoint: Checkpoint, folder: str) -> None:
    """Writes a folder for transformers' from_pretrained, whole or not at all.

    It has no tokenizer if the checkpoint has no vocabulary.

    Raises:
      PretrainedError: Hugging Face's SigLIP has no such tower, or `folder` exists.
    """
    fields = hugging_face_config.fields(checkpoint)
    tensors = exchange.write(_pairs(checkpoint.config, checkpoint.vocabulary_size), checkpoint.weights)
    require_absent(folder.rstrip("/"))
    with WholeFolder(folder) as unfinished:
        os.makedirs(unfinished)
        save_file(tensors, os.path.join(unfinished, _WEIGHTS), metadata={"format": "pt"})
        files = {"config.json": fields}
        if processor := hugging_face_processor.fields(checkpoint):
            files[hugging_face_processor.FILE] = processor
        if checkpoint.vocabulary is not None:
            files |= hugging_face_vocabulary.write(checkpoint, checkpoint.vocabulary, unfinished)
        for name, content in files.items():
            with open(os.path.join(unfinished, name), "w", encoding="utf-8") as file:
                json.dump(content, file, indent=2, sort_keys=True)
                file.write("\n")


def _parts(folder: str) -> list[str]:
    """Returns the names of the files that hold tensors."""
    if os.path.isfile(os.path.join(folder, _WEIGHTS)):
        return [_WEIGHTS]
    if not os.path.isfile(os.path.join(folder, _INDEX)):
        pickled = [name for name in sorted(os.listdir(folder)) if name.endswith((".bin", ".pt", ".pth", ".msgpack"))]
        why = f"; {', '.join(pickled)} may run any code and is never loaded" if pickled else ""
        raise PretrainedError(f"{folder} has no {_WEIGHTS} and no {_INDEX}{why}; save the model as safetensors")
    parts = sorted({*_weight_map(folder).values()})
    for name in parts:
        if name != os.path.basename(name):
            raise PretrainedError(f"{folder}/{_INDEX} names {name!r}, which lies elsewhere; name files in this folder")
    return parts


def _weight_map(folder: str) -> dict[str, str]:
    found = read_json(folder, _INDEX).get("weight_map")
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()) or not found:
        raise PretrainedError(f"{folder}/{_INDEX}: weight_map must name each tensor's file; get the file again")
    return found


def _require_index(folder: str, where: dict[str, str], count: int) -> None:
    """Raises PretrainedError if there is an index and its tensors differ from those of the files."""
    if os.path.isfile(os.path.join(folder, _WEIGHTS)):
        return
    index = _weight_map(folder)
    differ = sorted(name for name in {*index, *where} if index.get(name) != where.get(name))
    if differ or count != len(where):
        name = differ[0] if differ else ""
        problem = f"{name} is in {where.get(name, 'no file')}, but the index says {index.get(name, 'no file')}"
        raise PretrainedError(
            f"{folder}/{_INDEX}: {problem if differ else 'two files have the same tensor'}; "
            "get all files again, from one place"
        )


@contextlib.contextmanager
def _errors_of(path: str) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        fix = "add it" if isinstance(error, FileNotFoundError) else "it is damaged or cut short, get it again"
        raise PretrainedError(f"{path} cannot be read as safetensors ({error}); {fix}") from error


def _open(path: str) -> Any:
    with _errors_of(path):
        return safe_open(path, "numpy")


def _pairs(config: settings.SiglipSettings, rows: int) -> list[Pair]:
    image, text = config.image_tower, config.text_tower
    patches = "vision_model.embeddings.patch_embedding"
    kernel = (image.patch, image.patch, 3, image.width)
    return [
        same("logit_scale", "log_scale", ()),
        same("logit_bias", "bias", ()),
        Pair(f"{patches}.weight", ("image_tower/patch_embedding/kernel",), kernel, (3, 2, 0, 1)),
        flattened(f"{patches}.bias", ["image_tower/patch_embedding/bias"], (image.width,)),
        _positions("vision_model", "image_tower", image.patches, image.width),
        *_encoder("vision_model", "post_layernorm", "image_tower", image),
        *_map_head("vision_model.head", "image_tower/head", image),
        same(
            "text_model.embeddings.token_embedding.weight", "text_tower/token_embedding/embeddings", (rows, text.width)
        ),
        _positions("text_model", "text_tower", text.length, text.width),
        *_encoder("text_model", "final_layer_norm", "text_tower", text),
        *_linear("text_model.head", "text_tower/head", text.width, image.width),
    ]


def _positions(theirs: str, ours: str, count: int, width: int) -> Pair:
    name = f"{theirs}.embeddings.position_embedding.weight"
    return Pair(name, (f"{ours}/position_embedding",), (count, width), (0, 1))


def _encoder(theirs: str, norm: str, ours: str, config: settings.TransformerSettings) -> Iterator[Pair]:
    for i in range(config.depth):
        block, layer = f"{ours}/encoder/block_{i}", f"{theirs}.encoder.layers.{i}"
        yield from _norm(f"{layer}.layer_norm1", f"{block}/attention_norm", config.width)
        yield from _norm(f"{layer}.layer_norm2", f"{block}/mlp_norm", config.width)
        yield from _mlp(f"{layer}.mlp", f"{block}/mlp", config)
        for short, name in (("q", "query"), ("k", "key"), ("v", "value"), ("out", "attention_output")):
            attention = f"{layer}.self_attn.{short}_proj"
            yield from _linear(attention, f"{block}/attention/{name}", config.width, config.width)
    yield from _norm(f"{theirs}.{norm}", f"{ours}/encoder/norm", config.width)


def _map_head(theirs: str, ours: str, config: settings.TransformerSettings) -> Iterator[Pair]:
    """The head uses Torch's MultiheadAttention, which keeps query, key and value in one matrix."""
    width = config.width
    three = [f"{ours}/attention/{name}" for name in ("query", "key", "value")]
    yield same(f"{theirs}.probe", f"{ours}/probe", (1, 1, width))
    yield transposed(f"{theirs}.attention.in_proj_weight", (f"{name}/kernel" for name in three), width, width)
    yield flattened(f"{theirs}.attention.in_proj_bias", (f"{name}/bias" for name in three), (width,))
    yield from _linear(f"{theirs}.attention.out_proj", f"{ours}/attention/attention_output", width, width)
    yield from _norm(f"{theirs}.layernorm", f"{ours}/norm", width)
    yield from _mlp(f"{theirs}.mlp", f"{ours}/mlp", config)


def _mlp(theirs: str, ours: str, config: settings.TransformerSettings) -> Iterator[Pair]:
    yield from _linear(f"{theirs}.fc1", f"{ours}/expand", config.width, config.mlp_dim)
    yield from _linear(f"{theirs}.fc2", f"{ours}/project", config.mlp_dim, config.width)


def _linear(theirs: str, ours: str, inputs: int, outputs: int) -> Iterator[Pair]:
    yield transposed(f"{theirs}.weight", [f"{ours}/kernel"], inputs, outputs)
    yield flattened(f"{theirs}.bias", [f"{ours}/bias"], (outputs,))


def _norm(theirs: str, ours: str, width: int) -> Iterator[Pair]:
    yield same(f"{theirs}.weight", f"{ours}/gamma", (width,))
    yield same(f"{theirs}.bias", f"{ours}/beta", (width,))
