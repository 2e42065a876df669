"""What gin can tune about the data: the source, what pictures and captions must be like, splits and shards."""

import dataclasses

from beam import build, sources, writer
from beam.filters.captions import CaptionRules
from beam.filters.pictures import PictureRules
from beam.filters.similarity import SimilarityRules
from beam.sources.openmoji import OpenMojiSource
from models.settings.checks import require, require_fraction, require_positive, require_types
from models.settings.configuration import configurable

_SPLITS = ("train", "eval", "test")

for source in sources.ALL:
    configurable(source.__name__)(source)


@configurable("Pictures")
@dataclasses.dataclass(frozen=True)
class PictureSettings(PictureRules):
    """`beam.filters.pictures.PictureRules`, checked."""

    def __post_init__(self) -> None:
        require_types(self)
        require_positive(self, "min_side", "max_pixels", "max_bytes")
        for name in ("min_pixels", "min_contrast", "stored_side"):
            value = getattr(self, name)
            require(value >= 0, f"Pictures.{name}", value, "0 or more", "0 switches it off")
        aspect = self.max_aspect
        require(aspect == 0 or aspect >= 1, "Pictures.max_aspect", aspect, "1 or more, or 0 for any", "try 3")
        require(0 <= self.quality <= 100, "Pictures.quality", self.quality, "in [0, 100]", "try 95; 0 stores PNG")


@configurable("Captions")
@dataclasses.dataclass(frozen=True)
class CaptionSettings(CaptionRules):
    """`beam.filters.captions.CaptionRules`, checked."""

    def __post_init__(self) -> None:
        require_types(self)
        require_fraction(self, "min_alphanumeric")
        for name in ("min_words", "max_words", "max_repeats"):
            value = getattr(self, name)
            require(value >= 0, f"Captions.{name}", value, "0 or more", "0 switches it off")
        require(
            not self.max_words or self.max_words >= self.min_words,
            "Captions.max_words",
            self.max_words,
            f"0 or at least Captions.min_words, {self.min_words}",
            "raise it",
        )
        for term in self.blocked_terms:
            require(bool(term.strip()), "Captions.blocked_terms", term, "words", "remove the empty one")


@configurable("Similarity")
@dataclasses.dataclass(frozen=True)
class SimilaritySettings(SimilarityRules):
    """`beam.filters.similarity.SimilarityRules`, checked."""

    model: str = ""
    minimum: float = 0.0

    def __post_init__(self) -> None:
        require_types(self)
        require_positive(self, "batch_size")
        require(bool(self.model), "Similarity.model", self.model, "a folder", "name an exported SavedModel")
        require(-1 <= self.minimum <= 1, "Similarity.minimum", self.minimum, "a cosine, in [-1, 1]", "correct it")


@configurable("Ingest")
@dataclasses.dataclass(frozen=True)
class IngestSettings:
    """What ImageTextGen reads, keeps and holds out.

    Attributes:
      source: where rows come from, such as @JsonlSource() or @OpenMojiSource().
      pictures, captions: what either must be like.
      similarity: what they must have in common, by a model of before; None asks for nothing.
      unique_captions: keep one row of those that share a caption, so that no held-out caption is trained on.
      train_share, eval_share, test_share: shares of the splits, in any unit; eval feeds the gate, test only the report.
      salt: changes which rows are held out.
      shards: files of each split for each host, at least.
      hosts: that read the files in training; the number of files is a multiple of it.
      shard_bytes: what a file may hold before it is compressed; 0 for no limit, which saves a pass over the pictures.
      compression: of the files, "GZIP" or "" for none, which suits pictures in JPEG.
    """

    source: sources.Source = OpenMojiSource()
    pictures: PictureSettings = PictureSettings()
    captions: CaptionSettings = CaptionSettings()
    similarity: SimilaritySettings | None = None
    unique_captions: bool = True
    train_share: int = 8
    eval_share: int = 1
    test_share: int = 1
    salt: str = "siglip"
    shards: int = 4
    hosts: int = 1
    shard_bytes: int = 128 << 20
    compression: str = "GZIP"

    def __post_init__(self) -> None:
        require_types(self)
        require_positive(self, "train_share", "eval_share", "test_share", "shards", "hosts")
        no_limit = "set it to 0 for no limit"
        require(self.shard_bytes >= 0, "Ingest.shard_bytes", self.shard_bytes, "a number of 0 or more", no_limit)
        require(
            hasattr(self.source, "fingerprint"),
            "Ingest.source",
            self.source,
            "a source",
            "refer to one with @, such as @JsonlSource()",
        )
        require_types(self.source)
        kinds = ("GZIP", "")
        require(self.compression in kinds, "Ingest.compression", self.compression, "'GZIP' or ''", "correct it")

    def options(self) -> build.BuildOptions:
        """The same as the data plane takes it."""
        splits = dict(zip(_SPLITS, (self.train_share, self.eval_share, self.test_share), strict=True))
        layout = writer.Layout(splits, self.shards, self.salt, self.hosts, self.shard_bytes, self.compression)
        return build.BuildOptions(layout, self.pictures, self.captions, self.similarity, self.unique_captions)
