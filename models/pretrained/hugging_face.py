"""Hugging Face's folder: SigLIP, and SigLIP 2 of fixed resolution, which is also published as model_type siglip."""

import dataclasses
import json
import os
from collections.abc import Iterator

import numpy as np
from safetensors.numpy import save_file

from models import settings
from models.files import WholeFolder
from models.pretrained import (
    exchange,
    hugging_face_config,
    hugging_face_processor,
    hugging_face_tokenizer,
    hugging_face_vocabulary,
    safetensors_folder,
)
from models.pretrained.checkpoint import Checkpoint
from models.pretrained.errors import PretrainedError, require_absent
from models.pretrained.exchange import Pair, flattened, same, transposed
from models.pretrained.layout import shapes
from models.pretrained.safetensors_folder import WEIGHTS

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
    with safetensors_folder.opened(folder) as (found, load):
        for name in _POSITION_IDS:
            if name in found:
                ids = load(name).ravel()
                if not np.array_equal(ids, np.arange(ids.size)):
                    raise PretrainedError(f"{folder}: {name} does not count from 0, but must; remove it")
                del found[name]
        weights = exchange.read(_pairs(config, rows), ours, found, load, os.path.join(folder, WEIGHTS))
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
        save_file(tensors, os.path.join(unfinished, WEIGHTS), metadata={"format": "pt"})
        files = {"config.json": fields}
        if processor := hugging_face_processor.fields(checkpoint):
            files[hugging_face_processor.FILE] = processor
        if checkpoint.vocabulary is not None:
            files |= hugging_face_vocabulary.write(checkpoint, checkpoint.vocabulary, unfinished)
        for name, content in files.items():
            with open(os.path.join(unfinished, name), "w", encoding="utf-8") as file:
                json.dump(content, file, indent=2, sort_keys=True)
                file.write("\n")


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
        *linear("text_model.head", "text_tower/head", text.width, image.width),
    ]


def _positions(theirs: str, ours: str, count: int, width: int) -> Pair:
    name = f"{theirs}.embeddings.position_embedding.weight"
    return Pair(name, (f"{ours}/position_embedding",), (count, width), (0, 1))


def _encoder(theirs: str, norm: str, ours: str, config: settings.TransformerSettings) -> Iterator[Pair]:
    for i in range(config.depth):
        block, layer = f"{ours}/encoder/block_{i}", f"{theirs}.encoder.layers.{i}"
        yield from layer_norm(f"{layer}.layer_norm1", f"{block}/attention_norm", config.width)
        yield from layer_norm(f"{layer}.layer_norm2", f"{block}/mlp_norm", config.width)
        yield from _mlp(f"{layer}.mlp", f"{block}/mlp", config)
        for short, name in (("q", "query"), ("k", "key"), ("v", "value"), ("out", "attention_output")):
            attention = f"{layer}.self_attn.{short}_proj"
            yield from linear(attention, f"{block}/attention/{name}", config.width, config.width)
    yield from layer_norm(f"{theirs}.{norm}", f"{ours}/encoder/norm", config.width)


def _map_head(theirs: str, ours: str, config: settings.TransformerSettings) -> Iterator[Pair]:
    """The head uses Torch's MultiheadAttention, which keeps query, key and value in one matrix."""
    width = config.width
    three = [f"{ours}/attention/{name}" for name in ("query", "key", "value")]
    yield same(f"{theirs}.probe", f"{ours}/probe", (1, 1, width))
    yield transposed(f"{theirs}.attention.in_proj_weight", (f"{name}/kernel" for name in three), width, width)
    yield flattened(f"{theirs}.attention.in_proj_bias", (f"{name}/bias" for name in three), (width,))
    yield from linear(f"{theirs}.attention.out_proj", f"{ours}/attention/attention_output", width, width)
    yield from layer_norm(f"{theirs}.layernorm", f"{ours}/norm", width)
    yield from _mlp(f"{theirs}.mlp", f"{ours}/mlp", config)


def _mlp(theirs: str, ours: str, config: settings.TransformerSettings) -> Iterator[Pair]:
    yield from linear(f"{theirs}.fc1", f"{ours}/expand", config.width, config.mlp_dim)
    yield from linear(f"{theirs}.fc2", f"{ours}/project", config.mlp_dim, config.width)


def linear(theirs: str, ours: str, inputs: int, outputs: int) -> Iterator[Pair]:
    """The pairs of a dense layer of torch, `theirs`, and ours, which may split either side into heads."""
    yield transposed(f"{theirs}.weight", [f"{ours}/kernel"], inputs, outputs)
    yield flattened(f"{theirs}.bias", [f"{ours}/bias"], (outputs,))


def layer_norm(theirs: str, ours: str, width: int) -> Iterator[Pair]:
    """The pairs of a LayerNorm of torch, `theirs`, and ours."""
    yield same(f"{theirs}.weight", f"{ours}/gamma", (width,))
    yield same(f"{theirs}.bias", f"{ours}/beta", (width,))
