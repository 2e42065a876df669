"""Our artifact types, where TFX has no standard one."""

from tfx.types.artifact import Artifact


class DataReport(Artifact):
    """manifest.json (rows read, written and dropped by reason, shards with checksums) and rejects-*.jsonl."""

    TYPE_NAME = "siglip_tfx.DataReport"


class Vocabulary(Artifact):
    """vocabulary.model: a SentencePiece model with the special ids of `models.inputs.tokenizer`."""

    TYPE_NAME = "siglip_tfx.Vocabulary"


class VisualCodebook(Artifact):
    """codebook.npz (models/layers/visual_codes.py), and codebook.json, which says how well it does."""

    TYPE_NAME = "siglip_tfx.VisualCodebook"


class RunReport(Artifact):
    """report.html, a self-contained page, and summary.json, which has the same facts for programs."""

    TYPE_NAME = "siglip_tfx.RunReport"
