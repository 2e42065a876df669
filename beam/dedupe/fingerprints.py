"""Fingerprints: a few hundred bytes of a row that replace its picture in all comparisons."""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import apache_beam as beam
import datasketch
import imagehash
import numpy as np
from PIL import Image, ImageOps

from beam import image_codec, stages
from beam.dedupe import signatures
from beam.dedupe.settings import DeduperSettings
from beam.exported_model import ExportedModel
from beam.records import ImageText, normalised, salted_hash

COLOUR_GRID = 4
PERMUTATIONS = 64
_MINHASH_SEED = 1
_BORDER_SIDE = 512  # pixels of the longer side at which borders are detected
_BORDER_NOISE = 32  # mean distance, in levels of 255, of a line of pixels from the colour of its border
_EMBEDDED = 64  # pictures embedded at a time


class Fingerprint(NamedTuple):
    """One row, without its picture.

    Attributes:
      node: node of the row in the graph of rows that are alike; rows of a group share one.
      rank: order in which a cluster prefers rows, smallest first: a row of an evaluation set, then a held-out row, then
        the row with the most pixels, then the longest caption, then the smallest key, set and position.
      key: key of the row.
      position: position of the row.
      evaluation_set: name of the evaluation set that has the row, or "" for a row of the corpus.
      language: language of the captions.
      captions: all captions as written, if kept rows may take them over; else ().
      exact: "kind:value" of everything that makes two rows alike if it is equal.
      pixels: hash of the decoded picture.
      looks: (hash, colours) of the picture; if the settings say so, also of the picture without its border, and of the
        mirror images; () if pictures are not compared. The hash has 8 bytes, big-endian. Colours are the means of 4 x 4
        parts, 48 bytes, or b"" if colours are not compared.
      caption_signature: MinHash of the caption, or b"".
      embedding_signature: signature of the picture's embedding (see beam.dedupe.signatures), or b"".
    """

    node: int
    rank: tuple[int, int, int, str, str, str]
    key: str
    position: str
    evaluation_set: str
    language: str
    captions: tuple[str, ...]
    exact: tuple[str, ...]
    pixels: str
    looks: tuple[tuple[bytes, bytes], ...]
    caption_signature: bytes
    embedding_signature: bytes = b""


def node_of(row: ImageText, evaluation_set: str = "") -> int:
    """Returns the row's node: a 63-bit hash of its split key. A billion rows have a collision in one run of twenty."""
    return salted_hash(row.split_key, f"node/{evaluation_set}") >> 1  # Beam's integers are signed


class Fingerprints(beam.PTransform):
    """PCollection[ImageText] -> PCollection[Fingerprint], for the corpus or an evaluation set."""

    def __init__(
        self, held_out: Callable[[ImageText], bool], settings: DeduperSettings, evaluation_set: str = ""
    ) -> None:
        super().__init__()
        self._held_out, self._settings, self._evaluation_set = held_out, settings, evaluation_set

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        held_out, settings, evaluation_set = self._held_out, self._settings, self._evaluation_set
        if not settings.embedding_similarity:
            return rows | beam.Map(lambda row: fingerprint(row, held_out(row), settings, evaluation_set))
        batches = rows | beam.BatchElements(min_batch_size=_EMBEDDED, max_batch_size=_EMBEDDED)
        embedded = batches | "Embed" >> beam.ParDo(_Embed(settings.embedding_model))
        return embedded | beam.Map(
            lambda pair: fingerprint(pair[0], held_out(pair[0]), settings, evaluation_set)._replace(
                embedding_signature=pair[1]
            )
        )


class _Embed(beam.DoFn):
    """Batch of rows -> (row, signature of its embedding)."""

    def __init__(self, model: str) -> None:
        self._folder = model

    def setup(self) -> None:
        self._model, self._progress = ExportedModel(self._folder, _EMBEDDED), stages.Progress("embedded")
        self._signatures: signatures.EmbeddingSignatures | None = None

    def process(self, batch: list[ImageText]) -> Iterator[tuple[ImageText, bytes]]:
        embeddings = self._model.embed_images([row.image for row in batch])
        self._signatures = self._signatures or signatures.EmbeddingSignatures(embeddings.shape[1])
        yield from ((row, self._signatures(one)) for row, one in zip(batch, embeddings, strict=True))
        self._progress.add(len(batch))


def fingerprint(row: ImageText, held_out: bool, settings: DeduperSettings, evaluation_set: str = "") -> Fingerprint:
    """Decodes the picture of a row and computes everything that the settings compare."""
    picture = image_codec.on_white(row.image)
    caption = normalised(row.caption)
    pixels = _digest(repr(picture.size).encode() + picture.tobytes())
    values = {
        "bytes": lambda: _digest(row.image),
        "pixels": lambda: pixels,
        "caption": lambda: _digest(caption.encode()),
        "pair": lambda: _digest(f"{pixels} {caption}".encode()),
    }
    place = 0 if evaluation_set else 1 if held_out else 2
    return Fingerprint(
        node=node_of(row, evaluation_set),
        rank=(place, -picture.width * picture.height, -len(caption), row.key, evaluation_set, row.position),
        key=row.key,
        position=row.position,
        evaluation_set=evaluation_set,
        language=row.language,
        captions=(row.caption, *row.more_captions) if settings.keep_captions else (),
        exact=tuple(f"{kind}:{values[kind]()}" for kind in settings.exact),
        pixels=pixels,
        looks=tuple(looks(picture, settings)),
        caption_signature=caption_signature(caption) if settings.caption_similarity else b"",
    )


def hash_difference(one: Fingerprint, other: Fingerprint) -> int | None:
    """Returns the smallest number of bits in which two of their hashes differ; None if a row has no hash."""
    pairs = itertools.product(one.looks, other.looks)
    bits = [
        bin(int.from_bytes(first, "big") ^ int.from_bytes(second, "big")).count("1")
        for (first, _), (second, _) in pairs
    ]
    return min(bits, default=None)


def looks(picture: Image.Image, settings: DeduperSettings) -> Iterator[tuple[bytes, bytes]]:
    """Yields (hash, colours) of an RGB picture and of the variants in the settings; see `Fingerprint.looks`."""
    if settings.image_distance < 0:
        return
    seen = [picture]
    if settings.borders and (inner := without_border(picture)) is not picture:
        seen.append(inner)
    if settings.flips:
        seen += [ImageOps.mirror(one) for one in seen]
    for one in seen:
        yield perceptual_hash(one), mean_colours(one) if settings.compares_colours else b""


def without_border(picture: Image.Image) -> Image.Image:
    """Crops borders of one colour; returns the same object if there is none.

    A line of pixels belongs to a border if its mean distance from the border's colour is small, so the noise that a
    lossy format adds along the edge does not matter. A border inside a border, such as a frame on a white page, is
    cropped, too. A border that would leave less than a quarter of a side is not cropped.
    """
    scale = max(1, max(picture.size) // _BORDER_SIDE)
    pixels = np.asarray(picture.reduce(scale) if scale > 1 else picture)
    height, width = pixels.shape[:2]
    top, bottom, left, right = 0, height, 0, width
    for _ in range(2):
        inner = pixels[top:bottom, left:right]
        lines = (inner[0], inner[-1], inner[:, 0], inner[:, -1])
        edge = np.concatenate(lines)
        colour = np.median(edge, axis=0).astype(np.uint8)
        starts = np.cumsum([0, *(len(line) for line in lines[:-1])])
        sums = np.add.reduceat(_distance(edge, colour), starts, dtype=np.int64)
        if all(total > _BORDER_NOISE * len(line) for total, line in zip(sums, lines, strict=True)):
            break  # most pictures have no border, and end here
        off = _distance(inner, colour)
        rows = np.flatnonzero(off.mean(axis=1) > _BORDER_NOISE)
        columns = np.flatnonzero(off[rows[0] : rows[-1] + 1].mean(axis=0) > _BORDER_NOISE) if len(rows) else rows
        if not len(columns) or 4 * np.ptp(rows) < height or 4 * np.ptp(columns) < width:
            break
        top, bottom = top + int(rows[0]), top + int(rows[-1]) + 1
        left, right = left + int(columns[0]), left + int(columns[-1]) + 1
    if (top, bottom, left, right) == (0, height, 0, width):
        return picture
    left, top, right, bottom = (int(scale * edge) for edge in (left, top, right, bottom))
    return picture.crop((left, top, min(right, picture.width), min(bottom, picture.height)))


def _distance(pixels: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Distances from a colour, uint8 [...], of pixels, uint8 [..., 3]: the largest of the three channels."""
    distances = [np.maximum(pixels[..., n], colour[n]) - np.minimum(pixels[..., n], colour[n]) for n in range(3)]
    return np.maximum(np.maximum(distances[0], distances[1]), distances[2])


def perceptual_hash(picture: Image.Image) -> bytes:
    """Returns 8 bytes: for each of the lowest 8 x 8 DCT frequencies, whether it exceeds their median (ImageHash)."""
    return np.packbits(imagehash.phash(picture).hash).tobytes()


def mean_colours(picture: Image.Image) -> bytes:
    """Returns the mean red, green and blue of 4 x 4 parts, 48 bytes."""
    return picture.resize((COLOUR_GRID, COLOUR_GRID), Image.Resampling.BOX).tobytes()


def caption_signature(caption: str) -> bytes:
    """Returns MinHash of a normalised caption's words and word pairs, uint32 [PERMUTATIONS] as bytes (datasketch)."""
    words = caption.split()
    shingles = {*words, *(f"{first} {second}" for first, second in itertools.pairwise(words))}
    minhash = datasketch.MinHash(num_perm=PERMUTATIONS, seed=_MINHASH_SEED)
    minhash.update_batch([shingle.encode() for shingle in sorted(shingles)])
    return minhash.hashvalues.astype(np.uint32).tobytes()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
