"""An index of pictures by their embeddings: it is built once, may be kept in a folder, and is searched by text."""

import dataclasses
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence

import faiss
import numpy as np
import tensorflow as tf

from beam import thumbnails
from beam.filters.pictures import PictureSettings
from beam.progress import Progress
from models import files
from pipeline.demo.collection import BadPicture, Collection, checked
from pipeline.demo.model import LoadedModel

_BATCH = 32
_STORED_SIDE = 768  # pixels: more than any tower reads, and few enough to decode a batch at once
THUMBNAIL_SIDE = 192  # pixels: twice the CSS size, for screens with two pixels to a CSS pixel
INDEX_FILE = "pictures.npz"


@dataclasses.dataclass(frozen=True)
class Entry:
    """An indexed picture: its name, its caption or "", and its thumbnail as a data: URL of a JPEG."""

    name: str
    caption: str
    thumbnail: str


class Index:
    """Entries and their embeddings, float32 [N, D] of unit norm."""

    def __init__(self, entries: list[Entry], embeddings: np.ndarray) -> None:
        self._entries, self._embeddings = entries, embeddings
        self._nearest = faiss.IndexFlatIP(embeddings.shape[1])
        self._nearest.add(embeddings)

    def __len__(self) -> int:
        return len(self._entries)

    def captioned(self, most: int) -> tuple[list[str], np.ndarray]:
        """Captions of the first entries that have one, and the embeddings of their pictures, float32 [N, D]."""
        rows = [row for row, entry in enumerate(self._entries) if entry.caption][:most]
        return [self._entries[row].caption for row in rows], self._embeddings[rows]

    def search(self, embedding: np.ndarray, count: int) -> list[tuple[Entry, float]]:
        """Returns the `count` entries with the largest inner products with `embedding`, float32 [D]; best first."""
        similarity, rows = self._nearest.search(embedding[None], min(count, len(self)))
        return [(self._entries[row], float(value)) for row, value in zip(rows[0], similarity[0], strict=True)]

    def reranked(
        self, embedding: np.ndarray, count: int, depth: int, match: Callable[[Sequence[bytes]], Sequence[float]]
    ) -> list[tuple[Entry, float]]:
        """What `search` returns, with the first `depth` entries ordered by their match, the best first.

        Args:
          embedding: float32 [D].
          count: number of entries.
          depth: number of entries to rank again.
          match: encoded pictures -> the probability of each; it gets the thumbnails.
        """
        found = self.search(embedding, max(count, depth))
        best = found[:depth]
        scores = match([thumbnails.bytes_of(entry.thumbnail) for entry, _ in best])
        order = sorted(range(len(best)), key=lambda place: -scores[place])
        return [*((best[place][0], scores[place]) for place in order), *found[depth:]][:count]

    def save(self, folder: str, fingerprint: str) -> None:
        """Writes `folder`/pictures.npz with the `fingerprint` of its inputs; the file appears whole or not at all."""
        entries = json.dumps([dataclasses.astuple(entry) for entry in self._entries]).encode()
        with files.WholeFile(os.path.join(folder, INDEX_FILE)) as unfinished, open(unfinished, "wb") as file:
            as_bytes = np.frombuffer(entries, np.uint8)
            np.savez(file, entries=as_bytes, embeddings=self._embeddings, fingerprint=fingerprint)

    @classmethod
    def load(cls, folder: str, fingerprint: str) -> "Index | None":
        """Reads what `save` wrote; returns None if there is no file, it is damaged, or its fingerprint is another."""
        try:
            with np.load(os.path.join(folder, INDEX_FILE)) as saved:
                if saved["fingerprint"] != fingerprint:
                    return None
                return cls([Entry(*entry) for entry in json.loads(saved["entries"].tobytes())], saved["embeddings"])
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
            return None


def build(collection: Collection, model: LoadedModel, rules: PictureSettings) -> tuple[Index, list[str]]:
    """Embeds the pictures of a collection; shrinks large ones first, and keeps one of byte-identical ones.

    Returns:
      The index, and a message for each picture that cannot be used.

    Raises:
      ValueError: no picture can be used, or a shard is damaged.
    """
    entries: list[Entry] = []
    embeddings: list[np.ndarray] = []
    problems: list[str] = []
    progress = Progress("indexed", "pictures", collection.total)
    for batch in _batches(collection, rules, problems, progress):
        entries.extend(entry for entry, _ in batch)
        embeddings.append(model.embed_images([image for _, image in batch]))
    if not entries:
        reasons = "; ".join(problems[:3]) or "it has no row"
        raise ValueError(f"no picture of {collection.path} can be used: {reasons}; name another folder")
    return Index(entries, np.concatenate(embeddings)), problems


def _batches(
    collection: Collection, rules: PictureSettings, problems: list[str], progress: Progress
) -> Iterator[list[tuple[Entry, bytes]]]:
    rules = dataclasses.replace(rules, stored_side=_STORED_SIDE)
    seen: set[bytes] = set()
    batch: list[tuple[Entry, bytes]] = []
    for name, caption, image in collection:
        progress.add(1)
        try:
            picture = checked(name, image, rules, caption)
        except BadPicture as problem:
            problems.append(str(problem))
            continue
        if picture.reference in seen:
            continue
        seen.add(picture.reference)
        thumbnail = thumbnails.data_address(picture.image, "JPEG", THUMBNAIL_SIDE)
        batch.append((Entry(name, caption, thumbnail), picture.image))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def fingerprint(collection: Collection, saved_model: str, rules: PictureSettings) -> str:
    """Identifies the inputs of an index: path, size and time of each file of pictures and model, and the rules."""
    model_files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(saved_model) for name in names)
    facts = [_state(path) for path in [*collection.files, *model_files]]
    return json.dumps([facts, dataclasses.asdict(rules)])


def _state(path: str) -> tuple[str, int, int]:
    if not files.is_local(path):
        remote = tf.io.gfile.stat(path)
        return path, remote.length, remote.mtime_nsec
    try:
        found = os.stat(path)
    except OSError:  # a dangling link, which `checked` reports
        return path, 0, 0
    return path, found.st_size, found.st_mtime_ns
