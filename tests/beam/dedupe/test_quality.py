"""Near duplicates on real pictures: banding loses no pair, and neither precision nor recall is below ImageHash's."""

import pytest

from tests.beam.dedupe import quality


@pytest.mark.slow
def test_pairs_are_those_of_brute_force_and_no_worse_than_imagehash(capsys):
    images, sources, names = quality.corpus()
    kept = [name != "flip" for name in names]
    true = quality.true_pairs(sources, kept)
    hashes = quality.hashes_of(images)
    for distance in quality.DISTANCES:
        values = hashes["ours"]
        without_colours = quality.banded_pairs(values, [b""] * len(values), distance, 255)
        assert without_colours == quality.all_pairs(values, distance)
        scores = {}
        for name in ("ours", "ImageHash"):
            pairs = quality.found_by(name, hashes[name], images, distance)
            scores[name] = quality.score({pair for pair in pairs if kept[pair[0]] and kept[pair[1]]}, true)
        with capsys.disabled():
            print(distance, scores)
        assert scores["ours"][0] >= scores["ImageHash"][0]
        assert scores["ours"][1] >= scores["ImageHash"][1]
