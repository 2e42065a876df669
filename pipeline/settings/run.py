"""What gin can tune about the pipeline: frozen dataclasses, checked as they are made."""

import dataclasses

from beam.augment.augment import AugmentOptions
from beam.dedupe import DedupeOptions
from components.infra_validator.settings import ServingCheckSettings
from models import features
from models.evaluation.rules import Rule
from models.settings import TrainingSettings
from models.settings.checks import require, require_positive, require_types
from models.settings.configuration import configurable
from pipeline.settings.evaluation import EvaluationSetSettings, GateSettings, PackagingSettings
from pipeline.settings.ingest import IngestSettings

configurable("Augmenter")(AugmentOptions)
configurable("Deduper")(DedupeOptions)
configurable("ServingCheck")(ServingCheckSettings)


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
      evaluation_sets: (@a/EvaluationSet(), @b/EvaluationSet()): what the model is evaluated on beside the eval split.
      warm_start: start each training from the last blessed model, with its vocabulary, once there is one.
      beam_args: flags of every Beam pipeline.
    """

    name: str = "siglip"
    ingest: IngestSettings = IngestSettings()
    deduper: DedupeOptions | None = None
    vocabulary: VocabularySettings = VocabularySettings()
    augmenter: AugmentOptions | None = None
    training: TrainingSettings = TrainingSettings()
    evaluation_sets: tuple[EvaluationSetSettings, ...] = ()
    packaging: PackagingSettings = PackagingSettings()
    gate: GateSettings = GateSettings(min_value={"image_to_text_recall_at_1": 0.1})
    serving_check: ServingCheckSettings = ServingCheckSettings()
    report: ReportSettings = ReportSettings()
    warm_start: bool = False
    beam_args: tuple[str, ...] = ("--runner=FnApiRunner",)

    def __post_init__(self) -> None:
        require_types(self)
        require(self.name.isidentifier(), "Pipeline.name", self.name, "letters, digits and _", "rename it")
        names = [one.name for one in self.evaluation_sets]
        of_all = [one.name for one in self.all_evaluation_sets] + [one.name for one in self.packaging.label_sets]
        rule, fix = "different", "set EvaluationSet.name and LabelSet.name of each, by its scope"
        require(len(set(of_all)) == len(of_all), "the names of evaluation and label sets", of_all, rule, fix)
        known = {features.OWN_SET, *names}
        for text in (*self.gate.min_value, *self.gate.max_drop):
            asked = Rule.parse(text).evaluation_set
            require(asked in known, "Gate: the set", asked, f"one of {', '.join(sorted(known))}", "correct it")
        weights = self.packaging.weights
        require(
            not self.warm_start or weights == "float32",
            "Packaging.weights",
            weights,
            "'float32' where Pipeline.warm_start goes on from what was packaged",
            "set either",
        )
        named = self.training.pretrained is not None or bool(self.vocabulary.path)
        require(
            not (self.warm_start and named),
            "Pipeline.warm_start",
            self.warm_start,
            "False where Training.pretrained or Vocabulary.path names what to start from",
            "set either",
        )

    @property
    def all_evaluation_sets(self) -> tuple[EvaluationSetSettings, ...]:
        """Those given, and before them the eval split by its first captions, where no set is called "eval"."""
        given = self.evaluation_sets
        has_own = any(one.name == features.OWN_SET for one in given)
        return given if has_own else (EvaluationSetSettings(all_captions=False), *given)
