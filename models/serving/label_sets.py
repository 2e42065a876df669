"""Label sets for zero-shot classification: the embeddings of their labels are computed once."""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np

_TEXTS = 1 << 12  # whose embeddings are in memory at once
TextEmbedder = Callable[[Sequence[str]], np.ndarray]
"""Texts -> float32 [N, D], unit norm."""


@dataclasses.dataclass(frozen=True)
class LabelSet:
    """Labels and their embeddings.

    Attributes:
      labels: K distinct texts.
      templates: texts with {} in the place of a label.
      embedding: float32 [K, D], unit norm.
    """

    labels: tuple[str, ...]
    templates: tuple[str, ...]
    embedding: np.ndarray

    def to_json(self) -> str:
        """The content of the file `labels/<name>.json`."""
        return json.dumps(
            {"labels": self.labels, "templates": self.templates, "embeddings": self.embedding.tolist()},
            ensure_ascii=False,
        )


def embed(labels: Sequence[str], templates: Sequence[str], embed_text: TextEmbedder) -> LabelSet:
    """Embeds each label: the normalised mean of its unit-norm embeddings over templates (CLIP, section 3.1.4)."""
    at_once = max(1, _TEXTS // len(templates))
    means = []
    for start in range(0, len(labels), at_once):
        block = labels[start : start + at_once]
        prompts = [template.replace("{}", label) for label in block for template in templates]
        means.append(embed_text(prompts).reshape([len(block), len(templates), -1]).mean(axis=1, dtype=np.float64))
    mean = np.concatenate(means)
    unit = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return LabelSet(tuple(labels), tuple(templates), unit.astype(np.float32))


def widest(label_sets: Mapping[str, LabelSet]) -> int:
    """The number of labels of the largest set; 1 if there is no set."""
    return max((len(one.labels) for one in label_sets.values()), default=1)
