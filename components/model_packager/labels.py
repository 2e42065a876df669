"""The label sets of a packaged model: which there are, and their embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from components.metrics import saved_model_metrics
from models.serving import label_sets
from models.serving.label_sets import LabelSet

if TYPE_CHECKING:
    from beam.evaluation_sets import EvaluationSetSettings
    from components.model_packager.settings import LabelSetSettings

Wanted = Mapping[str, tuple[Sequence[str], Sequence[str]]]
"""{set: (labels, templates)}."""


def wanted(
    evaluated: Sequence[EvaluationSetSettings], found: Mapping[str, list[str]], served: Sequence[LabelSetSettings]
) -> Wanted:
    """The evaluation sets that have classes, and the sets that are only served.

    Args:
      evaluated: the evaluation sets.
      found: {evaluation set: classes of its rows, or of its file}, for sets whose settings list none.
      served: the other sets.
    """
    sets: dict[str, tuple[Sequence[str], Sequence[str]]] = {}
    for one in evaluated:
        listed = () if isinstance(one.classes, str) else one.classes
        sets[one.name] = (listed or found.get(one.name, []), one.templates)
    sets |= {one.name: (one.labels, one.templates) for one in served}
    return {name: both for name, both in sets.items() if both[0]}


def embed(sets: Wanted, model: saved_model_metrics.Signatures) -> dict[str, LabelSet]:
    """Embeds the labels of each set with the model."""
    embed_text = saved_model_metrics.text_embedder(model)
    return {name: label_sets.embed(list(one), list(templates), embed_text) for name, (one, templates) in sets.items()}
