"""Retrieval recall and zero-shot accuracy from embeddings, as plain functions of arrays.

Ties count against the model: a right answer must score above every wrong one that it is ranked before, so a model that
gives every pair the same score has recall 0, not 1.
"""

import numpy as np

RECALL_AT = (1, 5, 10)
METRIC_NAMES = (
    *(f"{direction}_recall_at_{k}" for direction in ("image_to_text", "text_to_image") for k in RECALL_AT),
    "zero_shot_accuracy",
    "zero_shot_classes",
    "pictures",
)
Array = np.ndarray


def recall_at_k(image: Array, text: Array, captions: Array, pictures: Array) -> dict[str, float]:
    """Recall of a right caption for each picture and of the right picture for each caption.

    Args:
      image: float [N, D], unit norm; rows of one picture are the same.
      text: float [N, D], unit norm; row i belongs to row i of `image`.
      captions: bytes or str [N]; a caption is right for every picture that has it in some row.
      pictures: bytes or str [N]; rows with the same value show one picture, which is a query and a candidate once.

    Returns:
      {"image_to_text_recall_at_1": share in [0, 1], ..., "text_to_image_recall_at_10": ...}; NaN where N is 0.
    """
    _, caption = np.unique(captions, return_inverse=True)
    _, first, picture = np.unique(pictures, return_index=True, return_inverse=True)
    has_caption = np.zeros([len(first), len(captions)], bool)
    has_caption[picture, caption] = True
    right = has_caption[:, caption]
    scores = image[first].astype(np.float64) @ text.astype(np.float64).T
    recalls = {}
    for direction, oriented, answers in (("image_to_text", scores, right), ("text_to_image", scores.T, right.T)):
        ranks = _ranks(oriented, answers)
        for k in RECALL_AT:
            recalls[f"{direction}_recall_at_{k}"] = float(np.mean(ranks < k)) if len(ranks) else float("nan")
    return recalls


def zero_shot_accuracy(image: Array, class_embedding: Array, class_names: Array) -> dict[str, float]:
    """Share of images whose own class scores highest among the classes that occur in the rows.

    Args:
      image: float [N, D], unit norm.
      class_embedding: float [N, D], the text embedding of each row's class name, unit norm.
      class_names: bytes or str [N]; rows with the empty name have no class and are left out.

    Returns:
      {"zero_shot_accuracy": share, "zero_shot_classes": number of classes}; the accuracy is NaN below two classes.
    """
    empty = class_names.dtype.type(b"" if class_names.dtype.kind == "S" else "")
    labelled = class_names != empty
    names, first, label = np.unique(class_names[labelled], return_index=True, return_inverse=True)
    accuracy = float("nan")
    if len(names) > 1:
        classes = class_embedding[labelled][first].astype(np.float64)
        scores = image[labelled].astype(np.float64) @ classes.T
        accuracy = float(np.mean(_ranks(scores, label[:, None] == np.arange(len(names))) == 0))
    return {"zero_shot_accuracy": accuracy, "zero_shot_classes": float(len(names))}


def chance(pictures: int, classes: int) -> dict[str, float]:
    """What random embeddings would score on `pictures` with distinct captions, as many each, and on `classes`.

    Of image to text it is the upper bound, which one caption a picture reaches.
    """
    recalls = {
        f"{direction}_recall_at_{k}": min(1.0, k / pictures) if pictures else float("nan")
        for direction in ("image_to_text", "text_to_image")
        for k in RECALL_AT
    }
    return {**recalls, "zero_shot_accuracy": 1.0 / classes if classes else float("nan")}


def _ranks(scores: Array, right: Array) -> Array:
    """[N, K], bool [N, K] -> int [N]: how many wrong answers score at least as high as the best right one."""
    best = np.max(np.where(right, scores, -np.inf), axis=1, initial=-np.inf)
    return np.sum(~right & (scores >= best[:, None]), axis=1)
