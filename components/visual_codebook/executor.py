"""VisualCodebook's work."""

import base64
import hashlib
import heapq
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging
from PIL import Image
from sklearn.cluster import MiniBatchKMeans
from tfx.types import Artifact
from threadpoolctl import threadpool_limits

from components import declaration
from models import features, files
from models.inputs import images, tfrecords
from models.layers import visual_codes
from models.layers.visual_codes import CODEBOOK_FILE, Codebook
from models.settings import VisualCodesSettings, configuration

FACTS_FILE = "codebook.json"
_SHOWN = 8  # pictures in the report
_BATCH = 4096


class Executor(declaration.Executor):
    """Writes codebook.json, and codebook.npz last."""

    def run(self, examples: Artifact, settings: str, codebook: Artifact) -> None:
        """Makes the codebook, or reads the file, and measures it on patches of the train split.

        Raises:
          CodebookError: the file cannot be used.
        """
        wanted = configuration.parse(settings, VisualCodesSettings)
        chosen, tower = wanted.codebook, wanted.image_tower
        given = visual_codes.read(chosen.path, tower.patch, chosen.codes) if chosen.path else None
        pictures = choose(declaration.split_uri(examples, "train"), chosen.pictures, chosen.seed)
        decoded = (_pixels(one, wanted) for one in pictures)
        rows, scales = sample(decoded, len(pictures), tower.patch, chosen.patches, chosen.seed)
        made = given or cluster(rows, scales, tower.patch, chosen.codes, chosen.seed)
        shown = _rebuilt([_pixels(one, wanted) for one in pictures[:_SHOWN]], made)
        facts = measured(made, rows) | {"asked_codes": chosen.codes, "pictures": shown}
        tf.io.gfile.makedirs(codebook.uri)
        files.write_text(os.path.join(codebook.uri, FACTS_FILE), json.dumps(facts, indent=1))
        content = visual_codes.as_bytes(made)
        path = os.path.join(codebook.uri, CODEBOOK_FILE)
        with files.WholeFile(path) as unfinished, tf.io.gfile.GFile(unfinished, "wb") as file:
            file.write(content)
        codebook.set_string_custom_property("sha256", hashlib.sha256(content).hexdigest())


def choose(split: str, count: int, seed: int) -> list[bytes]:
    """At most `count` encoded pictures of a split, those with the smallest hash of seed and key, in this order.

    So the choice depends neither on the number of shards nor on the workers that wrote them.
    """
    held: list[tuple[int, bytes]] = []  # the largest hash first
    for batch in tfrecords.read_shards([os.path.join(split, "*")]).batch(64):
        row = tfrecords.parse(batch, (features.KEY, features.IMAGE))
        for key, picture in zip(row[features.KEY].numpy(), row[features.IMAGE].numpy(), strict=True):
            digest = hashlib.sha256(f"{seed}/".encode() + key).digest()
            item = (-int.from_bytes(digest[:8], "big"), picture)
            if len(held) < count:
                heapq.heappush(held, item)
            else:
                heapq.heappushpop(held, item)
    return [picture for _, picture in sorted(held, reverse=True)]


def sample(
    pixels: Iterable[np.ndarray], pictures: int, patch: int, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws at most `count` patches, as many of each picture as of any other, or one fewer.

    One picture at a time is in memory, however many there are.

    Args:
      pixels: of each picture, float32 [S, S, 3] in [-1, 1].
      pictures: their number, N.
      patch: side of a patch (pixels).
      count: the largest number.
      seed: of the draw.

    Returns:
      What `visual_codes.described` gives for them, float32 [M, D], and their standard deviations, [M].
    """
    rng = np.random.default_rng(seed)
    vectors, scales = [], []
    for number, picture in enumerate(pixels):
        found = visual_codes.described(tf.constant(picture[None]), patch).numpy()[0]
        share = (number + 1) * count // pictures - number * count // pictures
        taken = rng.permutation(len(found))[:share]
        vectors.append(found[taken])
        scales.append(_deviations(picture, patch)[taken])
    return np.concatenate(vectors), np.concatenate(scales)


def cluster(rows: np.ndarray, scales: np.ndarray, patch: int, codes: int, seed: int) -> Codebook:
    """K-means over the rows; the distinct rows themselves, if there are no more than codes.

    One thread computes, so that sums have one order, and the same rows give the same bytes.
    """
    distinct = _distinct(rows, codes)
    if distinct is not None:
        logging.warning(
            "VisualCodebook: %d distinct patches give %d codes, where VisualCodebook.codes is %d; raise "
            "VisualCodebook.patches or lower VisualCodebook.codes",
            len(distinct), len(distinct), codes,
        )  # fmt: skip
        centres = distinct
    else:
        with threadpool_limits(1):
            means = MiniBatchKMeans(
                codes, random_state=seed, batch_size=_BATCH, n_init=1, init_size=max(3 * codes, _BATCH), max_iter=30
            )
            centres = means.fit(rows).cluster_centers_.astype(np.float32)
    assigned = assign(rows, centres)
    counts = np.bincount(assigned, minlength=len(centres))
    totals = np.bincount(assigned, weights=scales, minlength=len(centres))
    return Codebook(centres, (totals / np.maximum(counts, 1)).astype(np.float32), patch)


def assign(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The code of each row, as the training step finds it, except for near ties where a device rounds products."""
    known = tf.constant(centres)
    found = [visual_codes.nearest(tf.constant(rows[one]), known).numpy() for one in _blocks(len(rows))]
    return np.concatenate(found)


def _blocks(count: int) -> list[slice]:
    return [slice(start, start + _BATCH) for start in range(0, count, _BATCH)]


def _distinct(rows: np.ndarray, most: int) -> np.ndarray | None:
    """The distinct rows, in order; None if there are more than `most`."""
    seen: dict[bytes, np.ndarray] = {}
    for row in rows:
        seen.setdefault((row + 0.0).tobytes(), row)  # -0.0 is 0.0
        if len(seen) > most:
            return None
    return np.unique(np.stack(list(seen.values())), axis=0)


def measured(codebook: Codebook, rows: np.ndarray) -> dict[str, Any]:
    """What the report shows.

    Returns:
      `codes`; `rows`, the number of patches; `error`, the mean squared error of an entry of a vector, where predicting
      the mean of all patches has `error_of_mean`; `used`, the share of codes that some patch has; `perplexity`, the
      exponential of the entropy of the codes.
    """
    codes = assign(rows, codebook.centres)
    mean = rows.mean(axis=0)
    share = np.bincount(codes, minlength=len(codebook.centres)) / len(codes)
    entropy = -float(np.sum(share[share > 0] * np.log(share[share > 0])))
    return {
        "codes": len(codebook.centres),
        "rows": len(rows),
        "error": _squared(rows, lambda part: codebook.centres[codes[part]]),
        "error_of_mean": _squared(rows, lambda _: mean),
        "used": float(np.mean(share > 0)),
        "perplexity": float(np.exp(entropy)),
    }


def _squared(rows: np.ndarray, predicted: Callable[[slice], np.ndarray]) -> float:
    """The mean squared error of an entry, in blocks of rows."""
    errors = (np.square(rows[one] - predicted(one)) for one in _blocks(len(rows)))
    return sum(float(np.sum(one, dtype=np.float64)) for one in errors) / rows.size


def _pixels(picture: bytes, config: VisualCodesSettings) -> np.ndarray:
    return images.to_unit_range(images.decode_and_resize(tf.constant(picture), config.image_input)).numpy()


def _deviations(picture: np.ndarray, patch: int) -> np.ndarray:
    """The standard deviation of each patch, with the floor of `described`, [P]."""
    side = len(picture) // patch
    cut = picture[: side * patch, : side * patch].reshape(side, patch, side, patch, 3)
    return np.sqrt(cut.transpose(0, 2, 1, 3, 4).reshape(side * side, -1).var(axis=1) + visual_codes.VARIANCE_FLOOR)


def _rebuilt(pixels: Sequence[np.ndarray], codebook: Codebook) -> list[dict[str, str]]:
    """Pictures, and what their codes give, as PNG in base64."""
    found = []
    for picture in pixels:
        vectors = visual_codes.described(tf.constant(picture[None]), codebook.patch).numpy()[0]
        side = len(picture) // codebook.patch
        again = visual_codes.drawn(assign(vectors, codebook.centres).reshape(side, side), codebook)
        found.append({"picture": _png(picture), "rebuilt": _png(again)})
    return found


def _png(pixels: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(np.round((pixels + 1) * 127.5).astype(np.uint8)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()
