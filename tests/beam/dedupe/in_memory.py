"""`NearHashes` in this process, without a Beam pipeline."""

from collections.abc import Sequence

import numpy as np

from beam.dedupe import hamming


def near_edges(
    values: np.ndarray,
    colours: Sequence[bytes],
    distance: int,
    agreeing_bands: int = 2,
    colour_tolerance: int = 255,
    max_bucket: int = 4096,
    chunk: int = 20_000,
) -> np.ndarray:
    """Returns near pairs as indices, int64 [E, 2], of hashes, uint64 [N], and their colours; a pair may occur twice."""
    masks = hamming.masks(distance, agreeing_bands)
    compare = hamming._Compare(masks, distance, colour_tolerance, max_bucket)
    batch = [(int(value).to_bytes(8, "big"), number, colours[number]) for number, value in enumerate(values)]
    groups: dict[tuple[int, int], list[hamming.Hashes]] = {}
    for start in range(0, len(batch), chunk):
        for key, hashes in hamming._partition(batch[start : start + chunk], masks):
            groups.setdefault(key, []).append(hashes)
    edges = [part for group in groups.items() for part in compare.process(group)]
    return np.concatenate(edges).astype(np.int64) if edges else np.empty([0, 2], np.int64)
