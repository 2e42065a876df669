"""What the published model has beside its trained weights."""

from models.serving import compression
from models.settings.checks import require, require_labels, require_one_of, require_templates, settings_class


@settings_class("LabelSet")
class LabelSetSettings:
    """Labels that the published model classifies among, by the signature classify_NAME.

    Attributes:
      name: of the set.
      labels: texts.
      templates: texts with {} for the label; its embedding is the mean over them.
    """

    name: str = ""
    labels: tuple[str, ...] = ()
    templates: tuple[str, ...] = ("{}",)

    def __post_init__(self) -> None:
        require(self.name.isidentifier(), "LabelSet.name", self.name, "letters, digits and _", "name it")
        require(bool(self.labels), "LabelSet.labels", self.labels, "not empty", "name some")
        require_labels("LabelSet.labels", self.labels)
        require_templates("LabelSet.templates", self.templates)


@settings_class("Packaging")
class PackagingSettings:
    """What the model that is evaluated and published has beside the trained weights.

    Attributes:
      label_sets: (@a/LabelSet(),): beside those of the evaluation sets that have classes.
      weights: "float32", "bfloat16" or "int8": fewer bits for the matrices, whose cost the report shows.
    """

    label_sets: tuple[LabelSetSettings, ...] = ()
    weights: str = "float32"

    def __post_init__(self) -> None:
        require_one_of(self, "weights", compression.DTYPES)
