"""Visual codes of patches: each patch has the number of the nearest of K centres, as a token of masked pictures.

SIMLA (arXiv 2203.14395) takes the codes of a published dVAE. [ours]: centres of k-means over normalised patches, in a
file that any tokenizer of the same layout can replace. An .npz with these arrays of numbers, never a pickle:

    centres   float32 [K, D], centres of what `described` gives, D = 3 * patch^2 + 1
    scales    float32 [K], mean standard deviation of the patches of each code, to draw them
    patch     int, side of a patch (pixels)
"""

import dataclasses
import io
import zipfile

import numpy as np
import tensorflow as tf

CODEBOOK_FILE = "codebook.npz"
VARIANCE_FLOOR = 1e-4  # added to the variance of a patch, with pixels in [-1, 1], so that flat patches stay flat


# What numpy and zipfile raise for bytes that are no .npz.
_BROKEN = (OSError, ValueError, KeyError, AttributeError, TypeError, EOFError, zipfile.BadZipFile)


class CodebookError(ValueError):
    """A codebook cannot be used."""


@dataclasses.dataclass(frozen=True)
class Codebook:
    """Centres of visual codes, as in the file's layout.

    Attributes:
      centres: float32 [K, D].
      scales: float32 [K].
      patch: side of a patch (pixels).
    """

    centres: np.ndarray
    scales: np.ndarray
    patch: int


def described(images: tf.Tensor, patch: int) -> tf.Tensor:
    """Patches as vectors: [N, S, S, 3] -> [N, P, D], D = 3 * patch^2 + 1.

    A vector is the patch, normalised to mean 0 and variance 1, then its mean times the root of 3 * patch^2, so that a
    difference of means counts as it does in pixels [ours]. Pixels past the last whole patch are left out.
    """
    side = images.shape[1] // patch
    size = 3 * patch * patch
    cut = tf.reshape(images[:, : side * patch, : side * patch], [-1, side, patch, side, patch, 3])
    flat = tf.reshape(tf.transpose(cut, [0, 1, 3, 2, 4, 5]), [-1, side * side, size])
    mean = tf.reduce_mean(flat, axis=-1, keepdims=True)
    centred = flat - mean
    variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
    return tf.concat([centred * tf.math.rsqrt(variance + VARIANCE_FLOOR), mean * size**0.5], axis=-1)


def nearest(vectors: tf.Tensor, centres: tf.Tensor) -> tf.Tensor:
    """The code of each vector: [..., D], [K, D] -> int32 [...]; of equal distances, the first."""
    products = tf.tensordot(vectors, centres, [[-1], [-1]])
    return tf.argmin(tf.reduce_sum(tf.square(centres), axis=1) - 2.0 * products, axis=-1, output_type=tf.int32)


def drawn(codes: np.ndarray, codebook: Codebook) -> np.ndarray:
    """A picture rebuilt from its codes: int [g, g] -> float32 [g * patch, g * patch, 3] in [-1, 1]."""
    side, patch = codes.shape[0], codebook.patch
    chosen = codebook.centres[codes]
    mean = chosen[..., -1:] / (3 * patch * patch) ** 0.5
    pixels = chosen[..., :-1] * codebook.scales[codes][..., None] + mean
    grid = pixels.reshape(side, side, patch, patch, 3).transpose(0, 2, 1, 3, 4)
    return np.clip(grid.reshape(side * patch, side * patch, 3), -1, 1)


def as_bytes(codebook: Codebook) -> bytes:
    """The file; the same codebook gives the same bytes."""
    stream = io.BytesIO()
    np.savez(stream, centres=codebook.centres, scales=codebook.scales, patch=np.int64(codebook.patch))
    return stream.getvalue()


def read(path: str, patch: int, most: int) -> Codebook:
    """Reads a codebook and checks that it fits.

    Args:
      path: the .npz.
      patch: side of the image tower's patches (pixels).
      most: largest number of codes.

    Raises:
      CodebookError: the file cannot be read, holds a pickle or numbers that are not finite, is of another patch size,
        or has more codes.
    """
    try:
        with tf.io.gfile.GFile(path, "rb") as file, np.load(io.BytesIO(file.read()), allow_pickle=False) as arrays:
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise CodebookError(f"VisualCodebook.path is {path!r}, but must be an .npz; name one")
            centres, scales = (arrays[name].astype(np.float32) for name in ("centres", "scales"))
            codebook = Codebook(centres, scales, int(arrays["patch"]))
    except CodebookError:
        raise
    except (*_BROKEN, tf.errors.OpError) as error:
        raise CodebookError(
            f"VisualCodebook.path is {path!r}, which is no .npz with arrays centres, scales and patch ({error}), and a "
            "pickle is never loaded; name a codebook of the layout in models/layers/visual_codes.py"
        ) from error
    _require(codebook, path, patch, most)
    return codebook


def _require(codebook: Codebook, path: str, patch: int, most: int) -> None:
    if codebook.patch != patch:
        raise CodebookError(
            f"the codebook {path} is of patches of {codebook.patch} pixels, but ImageTower.patch is {patch}; name a "
            "codebook of that size, or change ImageTower.patch"
        )
    shapes, dim = (codebook.centres.shape, codebook.scales.shape), 3 * patch * patch + 1
    if len(shapes[0]) != 2 or shapes[0][1] != dim or shapes[1] != shapes[0][:1] or not shapes[0][0]:
        raise CodebookError(
            f"the codebook {path} has centres {list(shapes[0])} and scales {list(shapes[1])}, but must have [K, {dim}] "
            "and [K]; name another codebook"
        )
    if not (np.isfinite(codebook.centres).all() and np.isfinite(codebook.scales).all()):
        raise CodebookError(
            f"the codebook {path} has numbers that are not finite; name another as VisualCodebook.path, or leave it out"
        )
    codes = shapes[0][0]
    if codes > most:
        raise CodebookError(
            f"the codebook {path} has {codes} codes, but VisualCodebook.codes is {most}; set it to {codes}"
        )
