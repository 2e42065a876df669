"""Settings of ModelPackager: label sets and compression of the published model."""

from models.serving import compression
from models.settings.checks import require, require_labels, require_one_of, require_templates, settings_class


@settings_class("LabelSet")
class LabelSetSettings:
    """A set of labels. The published model has a signature classify_NAME, which classifies pictures among them.

    Attributes:
      name: NAME in classify_NAME (letters, digits and _); different from all other label sets and evaluation sets.
        Required.
      labels: the labels, different texts. Required.
      templates: texts with {} in place of the label. The embedding of a label is the mean over its templates. ("{}",)
        is the bare label; more templates often raise accuracy.
    """

    name: str = ""
    labels: tuple[str, ...] = ()
    templates: tuple[str, ...] = ("{}",)

    def __post_init__(self) -> None:
        require(self.name.isidentifier(), "LabelSet.name", self.name, "letters, digits and _", "name it")
        require(bool(self.labels), "LabelSet.labels", self.labels, "not empty", "name at least one label")
        require_labels("LabelSet.labels", self.labels)
        require_templates("LabelSet.templates", self.templates)


@settings_class("Packaging")
class PackagingSettings:
    """What ModelPackager adds to the trained model, and how it stores the weights. The gate checks the result.

    Attributes:
      label_sets: label sets, such as (@a/LabelSet(),), in addition to those of evaluation sets with classes. () adds
        none.
      weights: dtype of the stored matrices, "float32", "bfloat16" or "int8". Fewer bits make the model smaller; the
        report shows how much accuracy they cost.
    """

    label_sets: tuple[LabelSetSettings, ...] = ()
    weights: str = "float32"

    def __post_init__(self) -> None:
        require_one_of(self, "weights", compression.DTYPES)
