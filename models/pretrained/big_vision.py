"""big_vision's .npz: SigLIP B, L and So400m, English and multilingual (i18n), and SigLIP 2, as Google publishes them.

A file holds only flax parameters by path. The reader takes sizes from the shapes. For settings that no shape shows, it
assumes SigLIP's: gelu_tanh, pooling at the last token, and the padding that belongs to the vocabulary's size.
"""

import dataclasses
import functools
import math
import re
from typing import Any

import numpy as np

from models import files, settings
from models.pretrained import exchange, npz, vocabularies
from models.pretrained.checkpoint import Checkpoint, Note
from models.pretrained.errors import PretrainedError, require_absent
from models.pretrained.layout import Shapes, shapes

# (part of our names, what flax calls it), applied in this order.
_NAMES = (
    (r"^image_tower/encoder/", "img/Transformer/"),
    (r"^image_tower/head/", "img/MAPHead_0/"),
    (r"^image_tower/patch_embedding/", "img/embedding/"),
    (r"^image_tower/", "img/"),
    (r"^text_tower/encoder/", "txt/Encoder_0/"),
    (r"^text_tower/token_embedding/embeddings$", "txt/Embed_0/embedding"),
    (r"^text_tower/", "txt/"),
    (r"^log_scale$", "t"),
    (r"^bias$", "b"),
    (r"/block_(\d+)/", r"/encoderblock_\1/"),
    (r"/position_embedding$", "/pos_embedding"),
    (r"/attention_norm/", "/LayerNorm_0/"),
    (r"/mlp_norm/", "/LayerNorm_1/"),
    (r"MAPHead_0/norm/", "MAPHead_0/LayerNorm_0/"),
    (r"/norm/", "/encoder_norm/"),
    (r"/attention/", "/MultiHeadDotProductAttention_0/"),
    (r"/attention_output/", "/out/"),
    (r"/mlp/expand/", "/MlpBlock_0/Dense_0/"),
    (r"/mlp/project/", "/MlpBlock_0/Dense_1/"),
    (r"/gamma$", "/scale"),
    (r"/beta$", "/bias"),
)
_SIGLIP_2 = Note("text_tower", vocabularies.SIGLIP_2_PUNCTUATION)
_SCANNED = re.compile(r"^(.*/encoderblock)(/.*)$")


def read(path: str, vocabulary: bytes | None, size: int | None = None, antialias: bool | None = None) -> Checkpoint:
    """Reads a file that holds `params/img/...` or `img/...`, with the blocks apart or stacked (scanned).

    The multilingual models have no head after the text tower. It becomes the identity, which changes no bit.

    Args:
      path: path of the .npz.
      vocabulary: the SentencePiece model, which the file does not hold; None if it is not known.
      size: side of the pictures in pixels; needed if it is not a multiple of the patch, as in So400m/14 at 384, because
        the file does not hold it.
      antialias: whether pictures are resized with antialiasing; None takes big_vision's default, which is False.

    Raises:
      PretrainedError: the file is damaged, holds pickles, or is not a SigLIP model; the message names the tensor.
    """
    file = npz.NpzFile(path)
    prefix = "params/" if any(name.startswith("params/") for name in file.shapes) else ""
    stacked: dict[str, tuple[str, int | None]] = {}  # {name with blocks apart: (name in the file, index in the stack)}
    for name, shape in file.shapes.items():
        plain = name.removeprefix(prefix)
        scanned = _SCANNED.match(plain)
        if scanned and shape:
            stacked |= {f"{scanned[1]}_{i}{scanned[2]}": (name, i) for i in range(shape[0])}
        else:
            stacked[plain] = (name, None)
    found = {
        plain: file.shapes[name] if block is None else file.shapes[name][1:] for plain, (name, block) in stacked.items()
    }

    read_stack = functools.cache(file.read)  # reads a stack once; its blocks are views of it
    rows, text_width = _shape(found, "txt/Embed_0/embedding", 2, path)
    identity = {"txt/head/kernel": np.eye(text_width), "txt/head/bias": np.zeros(text_width)}
    has_head = any(name in found for name in identity)
    found |= {} if has_head else {name: value.shape for name, value in identity.items()}

    def load(plain: str) -> np.ndarray:
        if plain in identity and not has_head:
            return identity[plain].astype(np.float32)
        name, block = stacked[plain]
        return file.read(name) if block is None else read_stack(name)[block]

    image, text = _image_tower(found, size, path), _text_tower(found, path)
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
    return [exchange.same(_name(name), name, shape) for name, shape in ours.items()]


def _name(ours: str) -> str:
    for pattern, replacement in _NAMES:
        ours = re.sub(pattern, replacement, ours)
    return ours


def _image_tower(found: Shapes, size: int | None, path: str) -> settings.ImageTowerSettings:
    if len(found.get("img/embedding/kernel", ())) == 2:
        raise PretrainedError(
            f"{path}: img/embedding/kernel is a matrix, as in SigLIP 2 NaFlex, which is not supported; "
            "name a file of fixed resolution"
        )
    patch = _shape(found, "img/embedding/kernel", 4, path)[0]
    positions = _shape(found, "img/pos_embedding", 3, path)[1]
    grid = math.isqrt(positions)
    if grid * grid != positions:
        raise PretrainedError(
            f"{path}: img/pos_embedding has {positions} positions, but must have a square grid of patches; "
            "name another file"
        )
    size = size or grid * patch
    if size // patch != grid:
        raise PretrainedError(
            f"{path}: pictures of {size} px have {size // patch} x {size // patch} patches of {patch} px, but "
            f"img/pos_embedding has {grid} x {grid}; name a size from {grid * patch} to {grid * patch + patch - 1}"
        )
    pooling = "map" if any(name.startswith("img/MAPHead_0/") for name in found) else "gap"
    transformer = _transformer(found, "img/Transformer", path)
    return settings.ImageTowerSettings(
        **transformer, size=size, patch=patch, pooling=pooling, cut_to_patches=size % patch > 0
    )


def _text_tower(found: Shapes, path: str) -> settings.TextTowerSettings:
    return settings.TextTowerSettings(
        **_transformer(found, "txt/Encoder_0", path),
        length=_shape(found, "txt/pos_embedding", 3, path)[1],
    )


def _transformer(found: Shapes, encoder: str, path: str) -> dict[str, Any]:
    width, heads, _ = _shape(found, f"{encoder}/encoderblock_0/MultiHeadDotProductAttention_0/query/kernel", 3, path)
    _, mlp_dim = _shape(found, f"{encoder}/encoderblock_0/MlpBlock_0/Dense_0/kernel", 2, path)
    if width % heads:
        raise PretrainedError(
            f"{path}: {encoder} has {heads} heads, but they must divide its width of {width}; name another file"
        )
    blocks = {name.split("/")[2] for name in found if name.startswith(f"{encoder}/encoderblock_")}
    return {"width": width, "heads": heads, "mlp_dim": mlp_dim, "depth": len(blocks)}


def _shape(found: Shapes, name: str, rank: int, path: str) -> tuple[int, ...]:
    """Returns the tensor's shape; PretrainedError if it is missing or has another rank."""
    if name not in found:
        shown = ", ".join(sorted(found)[:3])
        raise PretrainedError(
            f"{path}: {name} is missing, so this is not a SigLIP file of big_vision (it has {shown}, ...); "
            "name a file such as webli_en_b16_224_63724782.npz"
        )
    if len(found[name]) != rank or not all(found[name]):
        raise PretrainedError(
            f"{path}: {name} is {list(found[name])}, but must have {rank} dimensions above 0; name another file"
        )
    return found[name]
