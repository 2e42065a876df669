"""What gin can tune about the pipeline: frozen dataclasses, checked as they are made."""

from beam.augment.augment import AugmenterSettings
from beam.build import ImageTextGenSettings
from beam.dedupe import DeduperSettings
from beam.evaluation_sets import EvaluationSetSettings
from components.infra_validator.settings import InfraValidatorSettings
from components.metrics.settings import GateSettings
from components.model_packager.settings import PackagingSettings
from components.run_report.settings import ReportSettings
from components.vocabulary_trainer.settings import VocabularySettings
from models import features
from models.evaluation.rules import Rule
from models.settings import TrainingSettings
from models.settings.checks import require, settings_class

_FORMERLY = {
    "Pipeline.ingest": "Pipeline.image_text_gen",
    "Pipeline.serving_check": "Pipeline.infra_validator",
}


@settings_class("Pipeline", formerly=_FORMERLY)
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
    image_text_gen: ImageTextGenSettings = ImageTextGenSettings()
    deduper: DeduperSettings | None = None
    vocabulary: VocabularySettings = VocabularySettings()
    augmenter: AugmenterSettings | None = None
    training: TrainingSettings = TrainingSettings()
    evaluation_sets: tuple[EvaluationSetSettings, ...] = ()
    packaging: PackagingSettings = PackagingSettings()
    gate: GateSettings = GateSettings()
    infra_validator: InfraValidatorSettings = InfraValidatorSettings()
    report: ReportSettings = ReportSettings()
    warm_start: bool = False
    beam_args: tuple[str, ...] = ("--runner=FnApiRunner",)

    def __post_init__(self) -> None:
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
