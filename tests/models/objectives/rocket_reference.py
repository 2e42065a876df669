"""ClipRocket and its terms in NumPy, over the whole batch at once: from features of the towers to the loss.

Arrays may be complex, so that complex_step_gradients differentiates them. A stop of the gradient is a real part.
"""

from collections.abc import Mapping

import numpy as np

from models import settings
from tests.dense_losses import dense_one_way_loss

Arrays = Mapping[str, np.ndarray]
MODALITIES = ("image", "text")


def loss(config: settings.ClipRocketSettings, arrays: Arrays) -> np.ndarray:
    """The loss of a batch.

    Args:
      config: of the objective.
      arrays: all that `encode` returns, and the weights of the objective by their names.
    """
    n = config.local_views
    z = {m: unit(arrays[m] @ arrays[f"{m}_projector/kernel"]) for m in MODALITIES}
    total = contrast(config, z, arrays, "", 0.0)
    h = {}
    if n:
        h = {m: unit(local(arrays, m)[-1]) for m in MODALITIES}
        of_pairs = [
            contrast(config, {"image": h["image"][a], "text": h["text"][b]}, arrays, "local_", config.label_smoothing)
            for a in range(n)
            for b in range(n)
        ]
        total = (total + n * np.mean(of_pairs)) / (1 + n)
    total = total * config.contrastive_weight
    for term in config.terms:
        total = total + term.weight * TERMS[type(term)](term, arrays, h)
    return total


def contrast(config, embeddings: Arrays, arrays: Arrays, kind: str, smoothing: float) -> np.ndarray:
    image, text, log_scale = embeddings["image"], embeddings["text"], arrays[f"{kind}log_scale"]
    if config.contrast == "softmax":
        both = (dense_one_way_loss(*rows, log_scale, smoothing) for rows in ((image, text), (text, image)))
        return sum(both) / 2
    logits = np.exp(log_scale) * image @ text.T + arrays[f"{kind}bias"]
    signs = 2 * np.eye(len(image)) - 1
    return np.log(1 + np.exp(-signs * logits)).sum() / len(image)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.sqrt((rows * rows).sum(axis=-1, keepdims=True))


def views_first(rows: np.ndarray) -> np.ndarray:
    return np.transpose(rows, [1, 0, 2])


def features(arrays: Arrays, modality: str) -> np.ndarray:
    """[1 + n, |B|, width]."""
    found = arrays[modality][None]
    if f"local_{modality}" not in arrays:
        return found
    return np.concatenate([found, views_first(arrays[f"local_{modality}"])])


def moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance over the batch, [V, 1, D] each."""
    mean = rows.mean(axis=1, keepdims=True)
    return mean, ((rows - mean) * (rows - mean)).mean(axis=1, keepdims=True)


def running_moments(arrays: Arrays, norm: str) -> tuple[np.ndarray, np.ndarray]:
    """The running statistics of a normalisation, [D] each."""
    return arrays[f"{norm}/running_mean"], arrays[f"{norm}/running_variance"]


def mlp(arrays: Arrays, name: str, rows: np.ndarray, running: bool = False) -> list[np.ndarray]:
    """Dense layers, normalised over the batch or by running statistics: the input of each one, then the output."""
    seen, i = [], 0
    while f"{name}/dense_{i}/kernel" in arrays:
        rows = rows @ arrays[f"{name}/dense_{i}/kernel"] + arrays.get(f"{name}/dense_{i}/bias", 0.0)
        is_last = f"{name}/dense_{i + 1}/kernel" not in arrays
        if f"{name}/dense_{i}/bias" not in arrays:  # a dense layer has a bias only where no normalisation follows
            seen.append(rows)
            mean, variance = running_moments(arrays, f"{name}/norm_{i}") if running else moments(rows)
            rows = (rows - mean) / np.sqrt(variance + 1e-5)
            rows = rows * arrays.get(f"{name}/norm_{i}/gamma", 1.0) + arrays.get(f"{name}/norm_{i}/beta", 0.0)
        if not is_last:
            rows = np.where(np.real(rows) > 0, rows, 0)
        i += 1
    return [*seen, rows]


def local(arrays: Arrays, modality: str) -> list[np.ndarray]:
    return mlp(arrays, f"local_{modality}_projector", views_first(arrays[f"local_{modality}"]))


def served(arrays: Arrays, modality: str, rows: np.ndarray) -> np.ndarray:
    """The local embedding of towers' outputs as evaluation sees it, unit norm: [N, width] -> [N, D]."""
    return unit(mlp(arrays, f"local_{modality}_projector", rows, running=True)[-1])


def pairs(arrays: Arrays) -> list[tuple[int, int]]:
    views = range(1, len(features(arrays, "image")))
    return [(0, 0), *((a, b) for a in views for b in views)]


def barlip(term, arrays: Arrays, _: Arrays) -> np.ndarray:
    z = {m: mlp(arrays, f"barlip_{m}_projector", features(arrays, m))[-1] for m in MODALITIES}
    found = []
    for a, b in pairs(arrays):
        correlation = z["image"][a].T @ z["text"][b] / z["image"].shape[1]
        off = correlation * (1 - np.eye(len(correlation)))
        found.append(((np.diag(correlation) - 1) ** 2).sum() + term.redundancy * (off * off).sum())
    return sum(found) / len(found)


def predicting(name: str, targets, arrays: Arrays) -> np.ndarray:
    z = {m: mlp(arrays, f"{name}_{m}_projector", features(arrays, m))[-1] for m in MODALITIES}
    p = {m: unit(mlp(arrays, f"{name}_{m}_predictor", z[m])[-1]) for m in MODALITIES}
    v = {m: np.real(unit(target)) for m, target in targets(z).items()}
    found = [
        np.mean(2 - 2 * (p[one][i] * v[other][j]).sum(axis=-1))
        for a, b in pairs(arrays)
        for one, i, other, j in (("image", a, "text", b), ("text", b, "image", a))
    ]
    return sum(found) / len(found)


def siamlip(_term, arrays: Arrays, _: Arrays) -> np.ndarray:
    return predicting("siamlip", lambda z: z, arrays)


def byolip(_term, arrays: Arrays, _: Arrays) -> np.ndarray:
    def targets(_z):
        return {
            m: mlp(arrays, f"byolip_{m}_momentum_projector", views_first(arrays[f"byolip_{m}"]))[-1] for m in MODALITIES
        }

    return predicting("byolip", targets, arrays)


def assigned(similarity: np.ndarray, temperature: float, rounds: int) -> np.ndarray:
    rows, columns = similarity.shape
    found = np.exp(np.real(similarity) / temperature)
    for _ in range(rounds):
        found = found / found.sum(axis=0, keepdims=True) / columns
        found = found / found.sum(axis=1, keepdims=True) / rows
    return found * rows


def swalip(term, arrays: Arrays, h: Arrays) -> np.ndarray:
    if term.prototypes:
        return of_prototypes(term, arrays)
    found = []
    for a in range(2):
        for b in range(2):
            other = h["image"][1 - a] @ h["text"][1 - b].T
            for x, y, similarity in ((h["image"][a], h["text"][b], other), (h["text"][b], h["image"][a], other.T)):
                target = assigned(similarity, term.temperature, term.rounds)
                found.append(dense_one_way_loss(x, y, arrays["local_log_scale"], targets=target))
    return sum(found) / len(found)


def of_prototypes(term, arrays: Arrays) -> np.ndarray:
    prototypes = unit(arrays["swalip_prototypes/vectors"])
    scores = {
        m: unit(mlp(arrays, f"swalip_{m}_projector", features(arrays, m)[:1])[-1][0]) @ prototypes.T for m in MODALITIES
    }
    found = 0.0
    for one, other in (("image", "text"), ("text", "image")):
        logits = scores[one] / term.prototype_temperature
        log_probability = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        target = assigned(scores[other], term.temperature, term.rounds)
        found = found - (target * log_probability).sum() / len(logits) / 2
    return found


TERMS = {
    settings.BarlipSettings: barlip,
    settings.ByolipSettings: byolip,
    settings.SiamlipSettings: siamlip,
    settings.SwalipSettings: swalip,
}
