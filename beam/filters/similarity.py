"""Removes captions that do not fit their picture, by the cosine of their embeddings in an exported model."""

from collections.abc import Iterator

import apache_beam as beam
import numpy as np

from beam import stages
from beam.exported_model import ExportedModel
from beam.records import ImageText
from models.settings.checks import require, require_positive, settings_class


@settings_class("Similarity")
class SimilaritySettings:
    """How similar a caption must be to its picture, and the model that measures it.

    Attributes:
      model: folder of a SavedModel with the signatures embed_image and embed_text, or a folder of pushed models, whose
        newest version counts. Required.
      minimum: smallest cosine of a caption's and a picture's embedding, in [-1, 1]. Captions below it are removed with
        the reason "low_similarity". Good values depend on the model.
      batch_size: number of pictures that the model embeds at a time. Lower it if memory runs out.
      sha256: hash of the model (hex). Leave it "": the runner fills it in, so a changed model starts another run.
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

    def __init__(self, settings: SimilaritySettings) -> None:
        super().__init__()
        self._settings = settings

    @beam.typehints.no_annotations
    def expand(self, rows: beam.PCollection) -> stages.Kept:
        size = self._settings.batch_size
        batches = rows | beam.BatchElements(min_batch_size=size, max_batch_size=size)
        scored = batches | "Score" >> beam.ParDo(_Score(self._settings))
        return scored | stages.RemoveCaptions()


class _Score(beam.DoFn):
    def __init__(self, settings: SimilaritySettings) -> None:
        self._settings = settings

    def setup(self) -> None:
        self._model = ExportedModel(self._settings.model, self._settings.batch_size)
        self._progress = stages.Progress("scored")

    def process(self, batch: list[ImageText]) -> Iterator[tuple[ImageText, list[str]]]:
        captions = [(row.caption, *row.more_captions) for row in batch]
        of_row: np.ndarray = np.repeat(np.arange(len(batch)), [len(some) for some in captions])
        images = self._model.embed_images([row.image for row in batch])
        texts = self._model.embed_texts([one for some in captions for one in some])
        cosines = np.sum(images[of_row] * texts, axis=1)
        for number, row in enumerate(batch):
            yield row, ["low_similarity" if one < self._settings.minimum else "" for one in cosines[of_row == number]]
        self._progress.add(len(batch))
