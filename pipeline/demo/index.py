"""Pictures by their embeddings: made once, kept where the user says, searched by inner product."""

import dataclasses
import json
import os
import zipfile
from collections.abc import Iterator

import faiss
import numpy as np

from beam import thumbnails
from beam.filters.pictures import PictureRules
from beam.progress import Progress
from models import files
from pipeline.demo.model import Model
from pipeline.demo.pictures import BadPicture, Source, checked

_BATCH = 32
_STORED_SIDE = 768  # pixels; larger than any tower sees, and small enough to decode a batch at once
THUMBNAIL_SIDE = 192  # pixels of a thumbnail, for screens that show two a point
INDEX_FILE = "pictures.npz"


@dataclasses.dataclass(frozen=True)
class Entry:
    """An indexed picture: its name, its caption or "", and a JPEG as a data: address."""

    name: str
    caption: str
    thumbnail: str


class Index:
    """Entries, and the unit vectors they are found by: float32 [N, D]."""

    def __init__(self, entries: list[Entry], embeddings: np.ndarray) -> None:
        self._entries, self._embeddings = entries, embeddings
        self._nearest = faiss.IndexFlatIP(embeddings.shape[1])
        self._nearest.add(embeddings)

    def __len__(self) -> int:
        return len(self._entries)

    def search(self, embedding: np.ndarray, count: int) -> list[tuple[Entry, float]]:
        """The `count` entries whose inner products with a float32 [D] are largest, best first."""
        similarity, rows = self._nearest.search(embedding[None], min(count, len(self)))
        return [(self._entries[row], float(value)) for row, value in zip(rows[0], similarity[0], strict=True)]

    def save(self, folder: str, fingerprint: str) -> None:
        """Writes `folder`/pictures.npz, whole or not at all; `fingerprint` is what it was made of."""
        entries = json.dumps([dataclasses.astuple(entry) for entry in self._entries]).encode()
        with files.WholeFile(os.path.join(folder, INDEX_FILE)) as unfinished, open(unfinished, "wb") as file:
            as_bytes = np.frombuffer(entries, np.uint8)
            np.savez(file, entries=as_bytes, embeddings=self._embeddings, fingerprint=fingerprint)

    @classmethod
    def load(cls, folder: str, fingerprint: str) -> "Index | None":
        """What `save` wrote, or None where there is nothing, or it was made of something else, or is damaged."""
        try:
            with np.load(os.path.join(folder, INDEX_FILE)) as saved:
                if saved["fingerprint"] != fingerprint:
                    return None
                return cls([Entry(*entry) for entry in json.loads(saved["entries"].tobytes())], saved["embeddings"])
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
            return None


def build(source: Source, model: Model, rules: PictureRules) -> tuple[Index, list[str]]:
    """Embeds every picture of a source, large ones shrunk; of those that are the same byte for byte, the first.

    Returns:
      The index, and a line for each picture that cannot be used.

    Raises:
      ValueError: no picture can be used, or a shard is damaged.
    """
    entries: list[Entry] = []
    embeddings: list[np.ndarray] = []
    problems: list[str] = []
    progress = Progress("indexed", "pictures", source.total)
    for batch in _batches(source, rules, problems, progress):
        entries.extend(entry for entry, _ in batch)
        embeddings.append(model.embed_images([image for _, image in batch]))
    if not entries:
        raise ValueError(f"no picture of {source.path} can be used: {'; '.join(problems[:3]) or 'it has no row'}")
    return Index(entries, np.concatenate(embeddings)), problems


def _batches(
    source: Source, rules: PictureRules, problems: list[str], progress: Progress
) -> Iterator[list[tuple[Entry, bytes]]]:
    rules = dataclasses.replace(rules, stored_side=_STORED_SIDE)
    seen: set[bytes] = set()
    batch: list[tuple[Entry, bytes]] = []
    for name, caption, image in source:
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


def fingerprint(source: Source, saved_model: str, rules: PictureRules) -> str:
    """What an index is made of: path, size and time of every file of the pictures and of the model, and the rules."""
    model_files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(saved_model) for name in names)
    facts = [_state(path) for path in [*source.files, *model_files]]
    return json.dumps([facts, dataclasses.asdict(rules)])


def _state(path: str) -> tuple[str, int, int]:
    try:
        found = os.stat(path)
    except OSError:  # a link to nothing: a picture that cannot be used
        return path, 0, 0
    return path, found.st_size, found.st_mtime_ns
