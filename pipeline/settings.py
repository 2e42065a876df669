"""What gin can tune about the pipeline: frozen dataclasses, checked as they are made."""

import dataclasses

from beam.augment import AugmentOptions
from beam.dedupe import DedupeOptions
from models import features
from models.checks import require, require_positive, require_types
from models.configuration import configurable
from models.retrieval import METRIC_NAMES
from models.settings import TrainingSettings
from pipeline.ingest_settings import IngestSettings

configurable("Augmenter")(AugmentOptions)
configurable("Deduper")(DedupeOptions)


@configurable("Vocabulary")
@dataclasses.dataclass(frozen=True)
class VocabularySettings:
    """The SentencePiece vocabulary: made from the captions, or brought along.

    Attributes:
      path: a SentencePiece model to use as it is, as a pretrained text tower needs its own; empty makes one.
      sha256: of that file; the runner fills it in, so that a file that has changed is another run.
      size: pieces, the 256 bytes of the fallback included.
      max_sentences: captions drawn to train it.
      seed: of the draw.
    """

    path: str = ""
    sha256: str = ""
    size: int = 32_000
    max_sentences: int = 1_000_000
    seed: int = 0

    def __post_init__(self) -> None:
        require_types(self)
        require_positive(self, "size", "max_sentences")
        require(
            self.size > 300, "Vocabulary.size", self.size, "above 300", "256 bytes and the control pieces count too"
        )


@configurable("Gate")
@dataclasses.dataclass(frozen=True)
class GateSettings:
    """What a model must reach, on the eval split, to be blessed and pushed.

    Attributes:
      min_value: {metric: smallest value}.
      max_drop: {metric: largest fall against the last blessed model}.
      slice_by: features that metrics are also reported by.
    """

    min_value: dict[str, float] = dataclasses.field(default_factory=dict)
    max_drop: dict[str, float] = dataclasses.field(default_factory=dict)
    slice_by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_types(self)
        for field in ("min_value", "max_drop"):
            for metric in getattr(self, field):
                require(
                    metric in METRIC_NAMES, f"Gate.{field}", metric, f"one of {', '.join(METRIC_NAMES)}", "correct it"
                )
        require(
            bool(self.min_value),
            "Gate.min_value",
            self.min_value,
            "not empty",
            "name at least one metric, or every model would pass",
        )
        for field in ("min_value", "max_drop"):
            for metric, value in getattr(self, field).items():
                require(
                    0 <= value <= 1, f"Gate.{field}[{metric!r}]", value, "in [0, 1]", "metrics are shares, not percent"
                )
        for name in self.slice_by:
            require(name in features.TEXT, "Gate.slice_by", name, f"one of {', '.join(features.TEXT)}", "correct it")


@configurable("ServingCheck")
@dataclasses.dataclass(frozen=True)
class ServingCheckSettings:
    """What InfraValidator asks of the served model.

    Attributes:
      rows: pairs in a request.
      max_load_seconds: time the server may take to start and load.
    """

    rows: int = 8
    max_load_seconds: float = 120.0

    def __post_init__(self) -> None:
        require_types(self)
        require_positive(self, "rows", "max_load_seconds")


@configurable("Report")
@dataclasses.dataclass(frozen=True)
class ReportSettings:
    """The run's page.

    Attributes:
      title: its heading.
      attribution: credit that the data's licence asks for.
      gallery: held-out pictures shown.
      max_rows: rows of the test split that are embedded for the headline.
    """

    title: str = "siglip-tfx"
    attribution: str = ""
    gallery: int = 12
    max_rows: int = 5000

    def __post_init__(self) -> None:
        require_types(self)
        require_positive(self, "gallery", "max_rows")


@configurable("Pipeline")
@dataclasses.dataclass(frozen=True)
class PipelineSettings:
    """The whole run, and what every other settings class hangs on.

    Attributes:
      name: of the pipeline, in metadata.
      deduper: @Deduper(), where of rows that are alike only one is kept; None leaves it out.
      augmenter: @Augmenter(), where rows are made of others before training; None leaves it out.
      beam_args: flags of every Beam pipeline.
    """

    name: str = "siglip"
    ingest: IngestSettings = IngestSettings()
    deduper: DedupeOptions | None = None
    vocabulary: VocabularySettings = VocabularySettings()
    augmenter: AugmentOptions | None = None
    training: TrainingSettings = TrainingSettings()
    gate: GateSettings = GateSettings(min_value={"image_to_text_recall_at_1": 0.1})
    serving_check: ServingCheckSettings = ServingCheckSettings()
    report: ReportSettings = ReportSettings()
    beam_args: tuple[str, ...] = ("--runner=FnApiRunner",)

    def __post_init__(self) -> None:
        require_types(self)
        require(self.name.isidentifier(), "Pipeline.name", self.name, "letters, digits and _", "rename it")
