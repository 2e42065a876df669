"""Collects the outputs of the signature `evaluate` for `metrics.measure`, from rows in any bundles and any order."""

from collections.abc import Mapping

import numpy as np

from models.evaluation import retrieval
from models.evaluation.calibration import PairCounts
from models.evaluation.keywords import Keywords
from models.evaluation.metrics import Rows
from models.evaluation.pointing import Places

_KEPT = ("image_embedding", "text_embedding", "caption", "picture", "class_index", "logit_scale", "logit_bias")
_PLACES = {"pointed": (), "place": (2,), "box": (4,)}  # with the shape of a row
_KEYWORDS = ("keywords", "words")  # of models with the signature `keywords`
_RANK, _CLASSES, _RIGHT = "class_rank", "classes", "right_classes"
Array = np.ndarray


class Collector:
    """Keeps 2 x D float32 and two texts a row, and reduces the K class similarities of a row to a rank and counts."""

    def __init__(self) -> None:
        names = (*_KEPT, *_PLACES, *_KEYWORDS, _RANK, _CLASSES, _RIGHT)
        self._parts: dict[str, list[Array]] = {name: [] for name in names}
        self._class_counts = PairCounts()
        self._sets: set[bytes] = set()

    def add(self, outputs: Mapping[str, Array]) -> None:
        """Adds the outputs of a batch, each [N, ...]. Without `class_indices`, `class_index` is the one right class."""
        for name in _KEPT:
            self._parts[name].append(np.asarray(outputs[name]))
        for name, shape in _PLACES.items():
            unknown: Array = np.full((len(outputs["picture"]), *shape), np.nan, np.float32)
            self._parts[name].append(np.asarray(outputs.get(name, unknown)))
        for name in _KEYWORDS:
            if name in outputs:
                self._parts[name].append(np.asarray(outputs[name]))
        self._sets.update(np.asarray(outputs["evaluation_set"]).astype(bytes).tolist())
        similarity = np.asarray(outputs["class_similarity"], np.float64)
        index = np.asarray(outputs["class_index"])
        indices = np.asarray(outputs.get("class_indices", index[:, None]))
        known = ~np.isneginf(similarity)
        right = np.zeros(similarity.shape, bool)
        row, column = np.nonzero(indices >= 0)
        right[row, indices[row, column]] = True
        self._parts[_RANK].append(retrieval.rank(similarity, right))
        self._parts[_CLASSES].append(np.sum(known, axis=1))
        self._parts[_RIGHT].append(np.sum(right, axis=1))
        labelled = known & (index >= 0)[:, None]
        logits = np.asarray(outputs["logit_scale"])[:, None] * similarity + np.asarray(outputs["logit_bias"])[:, None]
        self._class_counts.add(logits[labelled], right[labelled])

    def merge(self, other: "Collector") -> None:
        """Adds the rows of another Collector."""
        for name, parts in other._parts.items():
            self._parts[name].extend(parts)
        self._sets |= other._sets
        self._class_counts.merge(other._class_counts)

    def compact(self) -> None:
        """Joins the parts of each output, so that a worker sends one array."""
        for name, parts in self._parts.items():  # one after another: the parts of one output lie twice in memory
            if len(parts) > 1:
                self._parts[name] = [np.concatenate(parts)]

    def rows(self, not_retrieved: frozenset[str] = frozenset()) -> Rows:
        """Returns all rows. They have no retrieval metrics if one of their sets is in `not_retrieved`."""
        self.compact()
        values = {name: parts[0] for name, parts in self._parts.items() if parts}
        return Rows(
            image=values["image_embedding"],
            text=values["text_embedding"],
            caption=values["caption"].astype(bytes),
            picture=values["picture"].astype(bytes),
            class_index=values["class_index"],
            class_rank=values[_RANK],
            classes=int(values[_CLASSES].max()),
            right_classes=values[_RIGHT],
            class_counts=self._class_counts,
            scale=float(values["logit_scale"][0]),
            bias=float(values["logit_bias"][0]),
            places=Places(*(values[name] for name in _PLACES)),
            keywords=Keywords(*(values[name] for name in _KEYWORDS)) if _KEYWORDS[0] in values else None,
            retrieves=not {name.decode() for name in self._sets} & not_retrieved,
        )
