"""Artifact types of our own, for what TFX has no standard type for."""

from tfx.types.artifact import Artifact


class DataReport(Artifact):
    """manifest.json (rows read, written and dropped by reason, shards with checksums) and rejects-*.jsonl."""

    TYPE_NAME = "siglip_tfx.DataReport"


class Vocabulary(Artifact):
    """vocabulary.model: a SentencePiece model whose ids models.inputs.tokenizer understands."""

    TYPE_NAME = "siglip_tfx.Vocabulary"


class RunReport(Artifact):
    """report.html, a self-contained page, and summary.json, the same facts for programs."""

    TYPE_NAME = "siglip_tfx.RunReport"
