"""Settings of the Deduper."""

import dataclasses

from beam import reader
from models.settings.checks import label, require, require_at_least_zero, require_fraction, settings_class

EXACT = ("bytes", "pixels", "caption", "pair")
"""Contents that two duplicates share exactly: the encoded picture, its pixels, the normalised caption, or the pair of
pixels and caption."""


@settings_class("Deduper")
class DeduperSettings:
    """When two rows are duplicates, and how many captions of dropped rows to keep.

    Two rows are duplicates if one of the comparisons below says so. A duplicate of any row of a cluster belongs to the
    cluster. The Deduper keeps one row of each cluster.

    Attributes:
      exact: contents that make two rows duplicates if they are equal, some of "bytes", "pixels", "caption" and "pair"
        (of pixels and caption). () compares none.
      image_distance: largest number of bits, of 64, in which the perceptual hashes of near-duplicate pictures differ.
        Raise it to find more, lower it if different pictures are dropped. -1 compares no hashes.
      colour_tolerance: largest difference of the mean colours of any of 4 x 4 parts of two pictures with near hashes,
        of 255. The hashes ignore colour; lower it if pictures differ only in colour. 255 ignores colours.
      borders: also compares the hashes of pictures without their border of one colour. Switch it off for drawings that
        differ in how much of a white page they fill.
      flips: also compares the hashes of mirrored pictures.
      caption_similarity: smallest Jaccard similarity of the words and word pairs of two near-duplicate captions, which
        MinHash estimates. 0 does not compare them.
      embedding_model: folder of a SavedModel with the signature embed_image, or a folder of pushed models, whose newest
        version counts. "" if embedding_similarity is 0.
      embedding_sha256: hash of that model (hex). Leave it "": the runner fills it in, so a changed model starts another
        run.
      embedding_similarity: smallest cosine of the embeddings of two near-duplicate pictures; 1,024 random planes
        estimate it (to .01 at .95). 0 does not compare them.
      keep_captions: largest number of captions of dropped rows that the kept row gets as further captions. 0 keeps
        none.
      evaluation_sets: {name: folder of Examples}. The Deduper drops all duplicates of their rows. {} compares with
        none.
      agreeing_bands: number of bands of the hash that two pictures must share to be compared. More bands take more
        shuffle and fewer comparisons: use 2 up to some ten million pictures, and 3 above.
      max_bucket: largest number of others that a picture is compared with among those that share the bands. Raise it if
        the counter pictures_in_buckets_cut_short is high; it takes more time.
    """

    exact: tuple[str, ...] = ("pixels",)
    image_distance: int = 4
    colour_tolerance: int = 80
    borders: bool = True
    flips: bool = False
    caption_similarity: float = 0.0
    embedding_model: str = ""
    embedding_sha256: str = ""
    embedding_similarity: float = 0.0
    keep_captions: int = 0
    evaluation_sets: dict[str, str] = dataclasses.field(default_factory=dict)
    agreeing_bands: int = 2
    max_bucket: int = 4096

    def __post_init__(self) -> None:
        rules = [
            ("exact", set(self.exact) <= set(EXACT), f"some of {', '.join(EXACT)}"),
            ("image_distance", -1 <= self.image_distance <= 16, "in [0, 16], or -1 for none"),
            ("colour_tolerance", 0 <= self.colour_tolerance <= 255, "in [0, 255]"),
            (
                "embedding_model",
                bool(self.embedding_model) == (self.embedding_similarity > 0),
                "a SavedModel's folder if embedding_similarity is above 0, and '' if it is 0",
            ),
            (
                "evaluation_sets",
                all(name.isidentifier() for name in self.evaluation_sets),
                "{name in letters, digits and _: folder}",
            ),
            ("agreeing_bands", 1 <= self.agreeing_bands <= 3, "1, 2 or 3"),
            ("max_bucket", self.max_bucket >= 2, "a whole number of 2 or more"),
        ]
        for name, holds, rule in rules:
            require(holds, label(self, name), getattr(self, name), rule, "correct it in gin")
        require_fraction(self, "caption_similarity", "embedding_similarity")
        require_at_least_zero(self, "keep_captions")
        similarities = self.caption_similarity or self.embedding_similarity
        if not self.exact and self.image_distance < 0 and not similarities:
            raise ValueError("Deduper compares nothing; set Deduper.exact, Deduper.image_distance or a similarity")

    def evaluation_shards(self) -> list[str]:
        """Paths of the shards of all evaluation sets, set by set; raises ValueError if a set has none."""
        try:
            return [path for _, folder in sorted(self.evaluation_sets.items()) for path in reader.shards(folder)]
        except FileNotFoundError as error:
            raise ValueError(f"Deduper.evaluation_sets: {error}") from error

    @property
    def compares_colours(self) -> bool:
        """Whether pictures with near hashes must have similar colours too."""
        return self.image_distance >= 0 and self.colour_tolerance < 255
