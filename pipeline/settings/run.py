"""Settings of the pipeline. Every other settings class is a field of these, or of their fields."""

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
from models.evaluation import metrics
from models.evaluation.rules import Rule
from models.settings import TrainingSettings
from models.settings.checks import require, settings_class

_FORMERLY = {
    "Pipeline.ingest": "Pipeline.image_text_gen",
    "Pipeline.serving_check": "Pipeline.infra_validator",
}


@settings_class("Pipeline", formerly=_FORMERLY)
class PipelineSettings:
    """Settings of the whole run.

    Attributes:
      name: name of the pipeline, in the metadata store and in paths (letters, digits and _). Pipelines with different
        names share no models.
      image_text_gen: source, filters, splits and shards.
      deduper: @Deduper() keeps one row of each cluster of duplicates. None leaves the component out.
      vocabulary: the SentencePiece vocabulary of the text tower.
      augmenter: @Augmenter() adds variants of rows before training. None leaves the component out.
      training: objective, optimiser, devices and length of the training run.
      evaluation_sets: further evaluation sets, such as (@a/EvaluationSet(), @b/EvaluationSet()). () evaluates on the
        eval split only.
      packaging: label sets of the published model, and the dtype of its weights.
      gate: metrics that a model must reach to be blessed and pushed.
      infra_validator: how to check that the model can be served.
      report: the page of the run.
      warm_start: starts training from the last blessed model, with its vocabulary, if there is one. Set it to keep
        training one model on new data.
      beam_args: flags of every Beam pipeline. gin/engine/ has those of other engines.
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
        rule, fix = "different", "set EvaluationSet.name and LabelSet.name of each in its scope, as in a/LabelSet.name"
        require(len(set(of_all)) == len(of_all), "the names of evaluation and label sets", of_all, rule, fix)
        known = {features.OWN_SET, *names}
        for text in (*self.gate.min_value, *self.gate.max_drop, *self.gate.max_value):
            asked = Rule.parse(text, metrics.BOUNDED).evaluation_set
            require(asked in known, "Gate: the set", asked, f"one of {', '.join(sorted(known))}", "correct it")
        for one in self.evaluation_sets:
            fix = "add that set, or set it to ''"
            others = known - {one.name} | {""}
            require(one.fitted_on in others, f"fitted_on of {one.name!r}", one.fitted_on, "another evaluation set", fix)
        weights = self.packaging.weights
        require(
            not self.warm_start or weights == "float32",
            "Packaging.weights",
            weights,
            "'float32' with Pipeline.warm_start, because training continues from the packaged weights",
            "change either",
        )
        named = self.training.pretrained is not None or bool(self.vocabulary.path)
        require(
            not (self.warm_start and named),
            "Pipeline.warm_start",
            self.warm_start,
            "False if Training.pretrained or Vocabulary.path is set, because both say where to start",
            "change either",
        )

    @property
    def all_evaluation_sets(self) -> tuple[EvaluationSetSettings, ...]:
        """The evaluation sets. If none is called "eval", the eval split with first captions only comes first."""
        given = self.evaluation_sets
        has_own = any(one.name == features.OWN_SET for one in given)
        return given if has_own else (EvaluationSetSettings(all_captions=False), *given)

    @property
    def train_variants(self) -> int:
        """The largest number of variants that the Augmenter adds for a row of the train split."""
        augmenter = self.augmenter
        return augmenter.variants if augmenter and "train" in augmenter.splits else 0
