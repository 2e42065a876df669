"""What counts as the same, and what becomes of it."""

import dataclasses

from beam import reader
from models.settings.checks import label, require, require_at_least_zero, require_fraction, settings_class

EXACT = ("bytes", "pixels", "caption", "pair")
"""What two rows may have in common to the bit: the encoded picture, its pixels, the normalised caption, or pixels and
caption."""


@settings_class("Deduper")
class DeduperSettings:
    """Two rows are alike where any of these says so.

    Clusters are closed: what is alike to one row of a cluster belongs to it.

    Attributes:
      exact: some of EXACT.
      image_distance: bits of 64 in which the perceptual hashes of two pictures may differ; -1 does not look at them.
      colour_tolerance: of 255, how far the mean colours of any of 4 x 4 parts of two pictures may lie apart where the
        hashes, which see no colour, are near; 255 does not look at colours.
      borders: compare what lies within a border of one colour, too, where hashes are compared; not for drawings that
        differ in how much of a white page they fill.
      flips: compare each picture's mirror image, too, where hashes are compared.
      caption_similarity: Jaccard similarity of two captions' words and word pairs, as MinHash estimates it, from
        which on they are alike; 0 does not look at it.
      embedding_model: folder of a SavedModel with the signature embed_image, where embeddings are compared.
      embedding_sha256: of that model; the runner fills it in, so that a model that has changed is another run.
      embedding_similarity: cosine of two pictures' embeddings, as 1,024 random planes estimate it (to .01 at .95), from
        which on they are alike; 0 does not look at it.
      keep_captions: captions of dropped rows that the row kept gets as further ones, at most.
      evaluation_sets: {name: folder of Examples}; whatever is alike to a row of these is dropped.
      agreeing_bands: parts of the hash that near ones must share to be compared: more of them take more shuffle and
        less comparing; 2 is right up to some ten million pictures, 3 from there on.
      max_bucket: pictures that one is compared with at most, of those that share these parts.
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
                "a SavedModel's folder where embedding_similarity is above 0, and '' where it is not",
            ),
            ("evaluation_sets", all(name.isidentifier() for name in self.evaluation_sets), "{letters and _: folder}"),
            ("agreeing_bands", 1 <= self.agreeing_bands <= 3, "1, 2 or 3"),
            ("max_bucket", self.max_bucket >= 2, "a whole number of 2 or more"),
        ]
        for name, holds, rule in rules:
            require(holds, label(self, name), getattr(self, name), rule, "correct it in gin")
        require_fraction(self, "caption_similarity", "embedding_similarity")
        require_at_least_zero(self, "keep_captions")
        similarities = self.caption_similarity or self.embedding_similarity
        if not self.exact and self.image_distance < 0 and not similarities:
            raise ValueError("Deduper compares nothing; set Deduper.exact, image_distance or a similarity")

    def evaluation_shards(self) -> list[str]:
        """Paths of the shards of all evaluation sets, set by set; raises ValueError where a set has none."""
        try:
            return [path for _, folder in sorted(self.evaluation_sets.items()) for path in reader.shards(folder)]
        except FileNotFoundError as error:
            raise ValueError(f"Deduper.evaluation_sets: {error}") from error

    @property
    def compares_colours(self) -> bool:
        """Whether near hashes are held against colours."""
        return self.image_distance >= 0 and self.colour_tolerance < 255
