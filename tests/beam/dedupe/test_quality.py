"""Near-duplicates of real pictures: bands lose no pair, and precision and recall are at least those of ImageHash."""

import numpy as np
import pytest

from beam.dedupe import fingerprints
from tests.beam.dedupe import quality


@pytest.mark.slow
def test_pairs_equal_brute_force_and_are_at_least_as_good_as_imagehash(capsys):
    images, sources, names = quality.corpus()
    kept = [name != "flip" for name in names]
    true = quality.true_pairs(sources, kept)
    values = np.array([int.from_bytes(fingerprints.perceptual_hash(image), "big") for image in images], np.uint64)
    detectors = quality.detectors(images)
    for distance in quality.DISTANCES:
        without_colours = quality.banded_pairs(values, [b""] * len(values), distance, 255)
        assert without_colours == quality.all_pairs(values, distance)
        scores = {}
        for name, detect in detectors.items():
            pairs = detect(distance)
            scores[name] = quality.score({pair for pair in pairs if kept[pair[0]] and kept[pair[1]]}, true)
        with capsys.disabled():
            print(distance, scores)
        assert scores["Deduper"][0] >= scores["ImageHash"][0]
        assert scores["Deduper"][1] >= scores["ImageHash"][1] + 0.1  # only the Deduper ignores borders
        assert scores["without borders"][0] >= scores["ImageHash"][0]
