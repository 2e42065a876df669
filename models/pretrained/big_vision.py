"""big_vision's .npz: SigLIP B, L and So400m, English and multilingual (i18n), and SigLIP 2, as Google publishes them.

A file holds only flax parameters by path. The reader takes sizes from the shapes. For settings that no shape shows, it
assumes SigLIP's: gelu_tanh, pooling at the last token, and the padding that belongs to the vocabulary's size.
"""

import dataclasses
from typing import Any

import numpy as np

from models import files, settings
from models.pretrained import exchange, vocabularies
from models.pretrained.checkpoint import Checkpoint, Note
from models.pretrained.errors import PretrainedError, require_absent
from models.pretrained.flax_file import FlaxFile, Sizes, flax_name
from models.pretrained.layout import Shapes, shapes

_SIGLIP_2 = Note("text_tower", vocabularies.SIGLIP_2_PUNCTUATION)
_KIND, _EXAMPLE = "a SigLIP file of big_vision", "webli_en_b16_224_63724782.npz"
_ATTENTION, _MLP = "MultiHeadDotProductAttention_0", "MlpBlock_0"


def read(
    file: FlaxFile, vocabulary: bytes | None, size: int | None = None, antialias: bool | None = None
) -> Checkpoint:
    """Reads a file that holds `params/img/...` or `img/...`, with the blocks apart or stacked (scanned).

    The multilingual models have no head after the text tower. It becomes the identity, which changes no bit.

    Args:
      file: the open .npz.
      vocabulary: the SentencePiece model, which the file does not hold; None if it is not known.
      size: side of the pictures in pixels; needed if it is not a multiple of the patch, as in So400m/14 at 384, because
        the file does not hold it.
      antialias: whether pictures are resized with antialiasing; None takes big_vision's default, which is False.

    Raises:
      PretrainedError: the file is damaged, holds pickles, or is not a SigLIP model; the message names the tensor.
    """
    path = file.path
    found, sizes = dict(file.shapes), Sizes(file.shapes, path, _KIND, _EXAMPLE)
    rows, text_width = sizes.shape("txt/Embed_0/embedding", 2)
    found, load = exchange.with_text_head(found, file.read, "txt/head/kernel", "txt/head/bias", text_width)
    image, text = _image_tower(found, sizes, size, path), _text_tower(sizes)
    config = as_read(settings.SiglipSettings(image, text), rows)
    if antialias is not None:
        config = dataclasses.replace(config, image_tower=dataclasses.replace(config.image_tower, antialias=antialias))
    ours = shapes(config, rows)
    weights = exchange.read(_pairs(ours), ours, found, load, path)
    return Checkpoint(config, weights, vocabulary, path, _notes(config, rows, path, antialias is None))


def as_read(config: settings.SiglipSettings, rows: int) -> settings.SiglipSettings:
    """Returns the settings with the values that `read` assumes, since the format does not hold them."""
    image = dataclasses.replace(config.image_tower, resize="squash", interpolation="bilinear", antialias=False)
    rule = "keep" if vocabularies.is_gemma(rows) else "canonicalize"
    text = dataclasses.replace(config.text_tower, pad_id=vocabularies.pad_id(rows), punctuation=rule)
    return dataclasses.replace(config, image_tower=image, text_tower=text)


def write(checkpoint: Checkpoint, path: str) -> None:
    """Writes the weights as `params/...`, with the blocks apart; the file appears whole or not at all.

    The format has no place for the vocabulary and for settings that no shape shows, so they are lost.

    Raises:
      PretrainedError: big_vision's SigLIP has no such tower, or `path` exists.
    """
    image, text = checkpoint.config.image_tower, checkpoint.config.text_tower
    for name, value, rule in (
        ("ImageTower.pooling", image.pooling, ("map", "gap")),
        ("ImageTower.activation", image.activation, ("gelu_tanh",)),
        ("TextTower.activation", text.activation, ("gelu_tanh",)),
        ("TextTower.pooling", text.pooling, ("last",)),
        ("TextTower.causal", text.causal, (False,)),
        ("TextTower.bottleneck", text.bottleneck, (0,)),
    ):
        if value not in rule:
            raise PretrainedError(
                f"{name} is {value!r}, but big_vision's SigLIP has {' or '.join(map(repr, rule))} only"
            )
    pairs = _pairs(shapes(checkpoint.config, checkpoint.vocabulary_size))
    tensors = exchange.write(pairs, checkpoint.weights)
    require_absent(path)
    with files.WholeFile(path) as unfinished, open(unfinished, "wb") as file:
        arrays: dict[str, Any] = {f"params/{name}": tensor for name, tensor in tensors.items()}
        np.savez(file, **arrays)


def _notes(config: settings.SiglipSettings, rows: int, path: str, assumed_antialias: bool) -> tuple[Note, ...]:
    text = config.text_tower
    antialias = " without antialiasing" if assumed_antialias else ""
    picture = (
        f"{path} does not say how pictures are resized; assumed: bilinear{antialias}, as resize() of big_vision's "
        "pp/ops_image.py"
    )
    switch = "; ImageTower.antialias (--antialias of convert) switches antialiasing on" if assumed_antialias else ""
    words = (
        f"{path} does not say how texts are prepared; assumed from its {rows:,} pieces: lower-cased, padded with "
        f"{text.pad_id}, TextTower.punctuation = {text.punctuation!r}"
    )
    if vocabularies.is_gemma(rows):
        return Note("image_tower", picture + switch), Note("text_tower", words), _SIGLIP_2
    words += ", as canonicalize_text() of big_vision's evaluators"
    return Note("image_tower", picture + switch), Note("text_tower", words)


def _pairs(ours: Shapes) -> list[exchange.Pair]:
    return [exchange.same(flax_name(name), name, shape) for name, shape in ours.items()]


def _image_tower(found: Shapes, sizes: Sizes, size: int | None, path: str) -> settings.ImageTowerSettings:
    if len(found.get("img/embedding/kernel", ())) == 2:
        raise PretrainedError(
            f"{path}: img/embedding/kernel is a matrix, as in SigLIP 2 NaFlex, which is not supported; "
            "name a file of fixed resolution"
        )
    pictures = sizes.pictures("img/embedding/kernel", "img/pos_embedding", size)
    pooling = "map" if any(one.startswith("img/MAPHead_0/") for one in found) else "gap"
    transformer = sizes.transformer("img/Transformer", _ATTENTION, _MLP)
    return settings.ImageTowerSettings(**transformer, **pictures, pooling=pooling)


def _text_tower(sizes: Sizes) -> settings.TextTowerSettings:
    transformer = sizes.transformer("txt/Encoder_0", _ATTENTION, _MLP)
    return settings.TextTowerSettings(**transformer, length=sizes.shape("txt/pos_embedding", 3)[1])
