"""What a row is recognised by, some hundred bytes in place of the picture."""

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
from beam.dedupe.options import DedupeOptions
from beam.exported_model import ExportedModel
from beam.records import ImageText, normalised, salted_hash

COLOUR_GRID = 4
PERMUTATIONS = 64
_MINHASH_SEED = 1
_BORDER_SIDE = 512  # pixels of the longer side that borders are looked for at
_BORDER_NOISE = 32  # levels of 255 that a line of a border may be off its colour, on average
_EMBEDDED = 64  # pictures at a time


class Fingerprint(NamedTuple):
    """One row, without its picture.

    Attributes:
      node: of the graph of what is alike; rows of a group share one.
      rank: what is kept of a cluster is the smallest: an evaluation set's row, then a held-out one, then the one with
        the most pixels, then with the longest caption, then the smallest key, set and position.
      key, position: of the row.
      evaluation_set: name of the set the row belongs to, "" for a row of the corpus.
      language: of the captions.
      captions: all of them, as written, where rows that stay may take them over; else ().
      exact: what the row may have in common with others to the bit, "kind:value".
      pixels: hash of the decoded picture.
      looks: (hash, colours) of the picture, of what lies within its border and of their mirror images, as the options
        have it; () where pictures are not compared. The hash has 8 bytes, the first one the highest; colours, 48
        bytes, are the means of 4 x 4 parts, or b"" where they do not count.
      caption_signature: MinHash of the caption, or b"".
      embedding_signature: of the picture's embedding, or b"" (beam.dedupe.signatures).
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
    """The row's node: 63 bits of its split key; at a billion rows, two share one in one run of twenty."""
    return salted_hash(row.split_key, f"node/{evaluation_set}") >> 1  # Beam's whole numbers have a sign


class Fingerprints(beam.PTransform):
    """PCollection[ImageText] -> PCollection[Fingerprint], of the corpus or of an evaluation set."""

    def __init__(self, held_out: Callable[[ImageText], bool], options: DedupeOptions, evaluation_set: str = "") -> None:
        super().__init__()
        self._held_out, self._options, self._evaluation_set = held_out, options, evaluation_set

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        held_out, options, evaluation_set = self._held_out, self._options, self._evaluation_set
        if not options.embedding_similarity:
            return rows | beam.Map(lambda row: fingerprint(row, held_out(row), options, evaluation_set))
        batches = rows | beam.BatchElements(min_batch_size=_EMBEDDED, max_batch_size=_EMBEDDED)
        embedded = batches | "Embed" >> beam.ParDo(_Embed(options.embedding_model))
        return embedded | beam.Map(
            lambda pair: fingerprint(pair[0], held_out(pair[0]), options, evaluation_set)._replace(
                embedding_signature=pair[1]
            )
        )


class _Embed(beam.DoFn):
    """Rows -> each with its embedding's signature."""

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


def fingerprint(row: ImageText, held_out: bool, options: DedupeOptions, evaluation_set: str = "") -> Fingerprint:
    """Decodes the picture and hashes what the options compare."""
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
        captions=(row.caption, *row.more_captions) if options.keep_captions else (),
        exact=tuple(f"{kind}:{values[kind]()}" for kind in options.exact),
        pixels=pixels,
        looks=tuple(looks(picture, options)),
        caption_signature=caption_signature(caption) if options.caption_similarity else b"",
    )


def hash_difference(one: Fingerprint, other: Fingerprint) -> int | None:
    """In how many bits the perceptual hashes differ, or None where there are none."""
    pairs = itertools.product(one.looks, other.looks)
    bits = [
        bin(int.from_bytes(first, "big") ^ int.from_bytes(second, "big")).count("1")
        for (first, _), (second, _) in pairs
    ]
    return min(bits, default=None)


def looks(picture: Image.Image, options: DedupeOptions) -> Iterator[tuple[bytes, bytes]]:
    """(hash, colours) of an RGB picture, and of what else the options compare of it; see `Fingerprint.looks`."""
    if options.image_distance < 0:
        return
    seen = [picture]
    if options.borders and (inner := without_border(picture)) is not picture:
        seen.append(inner)
    if options.flips:
        seen += [ImageOps.mirror(one) for one in seen]
    for one in seen:
        yield perceptual_hash(one), mean_colours(one) if options.compares_colours else b""


def without_border(picture: Image.Image) -> Image.Image:
    """What lies within borders of one colour; the picture itself where there is none.

    A line of pixels is border whose mean distance from the colour is small, so that what a lossy format adds along the
    edge does not count. Two borders go where one lies in the other, such as a frame on a white page. What would leave
    less than a quarter of a side is no border.
    """
    scale = max(1, max(picture.size) // _BORDER_SIDE)
    pixels = np.asarray(picture.reduce(scale) if scale > 1 else picture).astype(np.int16)
    top, bottom, left, right = 0, pixels.shape[0], 0, pixels.shape[1]
    for _ in range(2):
        inner = pixels[top:bottom, left:right]
        outline = np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])
        off = np.abs(inner - np.median(outline, axis=0).astype(np.int16)).max(axis=-1)
        rows = np.flatnonzero(off.mean(axis=1) > _BORDER_NOISE)
        columns = np.flatnonzero(off[rows[0] : rows[-1] + 1].mean(axis=0) > _BORDER_NOISE) if len(rows) else rows
        if not len(columns) or 4 * np.ptp(rows) < pixels.shape[0] or 4 * np.ptp(columns) < pixels.shape[1]:
            break
        top, bottom, left, right = top + rows[0], top + rows[-1] + 1, left + columns[0], left + columns[-1] + 1
    if (top, bottom, left, right) == (0, pixels.shape[0], 0, pixels.shape[1]):
        return picture
    left, top, right, bottom = (int(scale * edge) for edge in (left, top, right, bottom))
    return picture.crop((left, top, min(right, picture.width), min(bottom, picture.height)))


def perceptual_hash(picture: Image.Image) -> bytes:
    """8 bytes: signs, against their median, of the lowest 8 x 8 frequencies of the grey picture (package ImageHash)."""
    return bytes.fromhex(str(imagehash.phash(picture)))


def mean_colours(picture: Image.Image) -> bytes:
    """Mean red, green and blue of 4 x 4 parts, 48 bytes."""
    return picture.resize((COLOUR_GRID, COLOUR_GRID), Image.Resampling.BOX).tobytes()


def caption_signature(caption: str) -> bytes:
    """MinHash of the normalised caption's words and word pairs: uint32 [PERMUTATIONS] as bytes (package datasketch)."""
    words = caption.split()
    shingles = {*words, *(f"{first} {second}" for first, second in itertools.pairwise(words))}
    minhash = datasketch.MinHash(num_perm=PERMUTATIONS, seed=_MINHASH_SEED)
    minhash.update_batch([shingle.encode() for shingle in sorted(shingles)])
    return minhash.hashvalues.astype(np.uint32).tobytes()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
