"""Removes captions that do not fit their picture, by the image-text similarity of a model that was exported before."""

from collections.abc import Iterator

import apache_beam as beam
import numpy as np

from beam import stages
from beam.exported_model import ExportedModel
from beam.records import ImageText
from models.settings.checks import require, require_positive, settings_class


@settings_class("Similarity")
class SimilaritySettings:
    """What a caption must have in common with its picture.

    Attributes:
      model: folder of a SavedModel with the signatures embed_image and embed_text.
      minimum: smallest cosine; captions below are "low_similarity".
      batch_size: pictures and captions embedded at a time.
      sha256: of the model; the runner fills it in, so that a model that has changed is another run.
    """

    model: str = ""
    minimum: float = 0.0
    batch_size: int = 64
    sha256: str = ""

    def __post_init__(self) -> None:
        require_positive(self, "batch_size")
        require(bool(self.model), "Similarity.model", self.model, "a folder", "name an exported SavedModel")
        require(-1 <= self.minimum <= 1, "Similarity.minimum", self.minimum, "a cosine, in [-1, 1]", "correct it")


class SimilarCaptions(beam.PTransform):
    """PCollection[ImageText] -> Kept; removes the captions whose cosine is below the minimum."""

    def __init__(self, rules: SimilaritySettings) -> None:
        super().__init__()
        self._rules = rules

    @beam.typehints.no_annotations
    def expand(self, rows: beam.PCollection) -> stages.Kept:
        size = self._rules.batch_size
        batches = rows | beam.BatchElements(min_batch_size=size, max_batch_size=size)
        scored = batches | "Score" >> beam.ParDo(_Score(self._rules))
        return scored | stages.RemoveCaptions()


class _Score(beam.DoFn):
    def __init__(self, rules: SimilaritySettings) -> None:
        self._rules = rules

    def setup(self) -> None:
        self._model = ExportedModel(self._rules.model, self._rules.batch_size)
        self._progress = stages.Progress("scored")

    def process(self, batch: list[ImageText]) -> Iterator[tuple[ImageText, list[str]]]:
        captions = [(row.caption, *row.more_captions) for row in batch]
        of_row = np.repeat(np.arange(len(batch)), [len(some) for some in captions])
        images = self._model.embed_images([row.image for row in batch])
        texts = self._model.embed_texts([one for some in captions for one in some])
        cosines = np.sum(images[of_row] * texts, axis=1)
        for number, row in enumerate(batch):
            yield row, ["low_similarity" if one < self._rules.minimum else "" for one in cosines[of_row == number]]
        self._progress.add(len(batch))
