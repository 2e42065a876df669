"""Oner in NumPy, over the whole batch at once: from pictures and token ids to each term.

Arrays may be complex, so that complex_step_gradients differentiates them. The momentum copy has weights of its own.
"""

from collections.abc import Callable, Mapping

import numpy as np

from models import settings
from tests.dense_losses import dense_one_way_loss

Arrays = Mapping[str, np.ndarray]


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x * x).sum(axis=-1, keepdims=True))


def layer_norm(w: Arrays, name: str, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    standard = centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + 1e-6)
    return standard * w[f"{name}/gamma"] + w[f"{name}/beta"]


def attention(w: Arrays, name: str, queries: np.ndarray, others: np.ndarray, seen: np.ndarray) -> np.ndarray:
    q, k, v = (
        np.einsum("nlw,whd->nhld", x, w[f"{name}/{part}/kernel"]) + w[f"{name}/{part}/bias"][None, :, None]
        for part, x in (("query", queries), ("key", others), ("value", others))
    )
    scores = np.exp(np.einsum("nhld,nhmd->nhlm", q, k) / np.sqrt(q.shape[-1])) * seen[:, None, None]
    mixed = np.einsum("nhlm,nhmd->nlhd", scores / scores.sum(axis=-1, keepdims=True), v)
    output = f"{name}/attention_output"
    return np.einsum("nlhd,hdw->nlw", mixed, w[f"{output}/kernel"]) + w[f"{output}/bias"]


def dense(w: Arrays, name: str, x: np.ndarray) -> np.ndarray:
    return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]


class Tower:
    """The passes of the tower whose weights begin with `name`. A sequence is (tokens with the class token, seen)."""

    def __init__(self, config: settings.OneTowerSettings, weights: Arrays, name: str) -> None:
        self.config, self.w, self.name = config, weights, name

    def patches(self, images: np.ndarray, masked: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        p, grid, kernel = self.config.patch, self.config.grid, self.w[f"{self.name}/patch_embedding/kernel"]
        cuts = [images[:, y * p : (y + 1) * p, x * p : (x + 1) * p] for y in range(grid) for x in range(grid)]
        tokens = np.stack([np.einsum("nhwc,hwcd->nd", cut, kernel) for cut in cuts], axis=1)
        return self.placed(tokens + self.w[f"{self.name}/patch_embedding/bias"], masked, "image")

    def words(self, ids: np.ndarray, shown: np.ndarray | None = None, masked: np.ndarray | None = None):
        tokens = self.w[f"{self.name}/token_embedding/embeddings"][ids if shown is None else shown]
        return self.placed(tokens, masked, "text")[0], ids != self.config.pad_id

    def placed(self, tokens: np.ndarray, masked: np.ndarray | None, kind: str) -> tuple[np.ndarray, np.ndarray]:
        if masked is not None:
            tokens = np.where(masked[:, :, None], self.w[f"{self.name}/mask_token"], tokens)
        return tokens + self.w[f"{self.name}/{kind}_positions"], np.ones(tokens.shape[:2], bool)

    def sequence(self, *parts: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        count = len(parts[0][0])
        first = np.tile(self.w[f"{self.name}/class_token"], [count, 1, 1])
        tokens = np.concatenate([first, *(tokens for tokens, _ in parts)], axis=1)
        return tokens, np.concatenate([np.ones([count, 1], bool), *(seen for _, seen in parts)], axis=1)

    def encode(self, *sequences: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
        """The outputs of one sequence over itself, or of two, each over the other."""
        xs, seen = (list(one) for one in zip(*sequences, strict=True))
        for i in range(self.config.depth):
            block = f"{self.name}/encoder/block_{i}"
            normed = [layer_norm(self.w, f"{block}/attention_norm", x) for x in xs]
            for k, x in enumerate(list(xs)):
                other = len(xs) - 1 - k
                x = x + attention(self.w, f"{block}/attention", normed[k], normed[other], seen[other])
                hidden = dense(self.w, f"{block}/mlp/expand", layer_norm(self.w, f"{block}/mlp_norm", x))
                hidden = 0.5 * hidden * (1 + np.tanh(np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)))
                xs[k] = x + dense(self.w, f"{block}/mlp/project", hidden)
        return [layer_norm(self.w, f"{self.name}/encoder/norm", x) for x in xs]

    def embedding(self, outputs: np.ndarray) -> np.ndarray:
        return unit(outputs[:, 0] @ self.w[f"{self.name}/projection/kernel"])


def predicted(w: Arrays, q: np.ndarray) -> np.ndarray:
    def norm(x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(axis=0)
        return centred / np.sqrt((centred * centred).mean(axis=0) + 1e-5)

    hidden = norm(q @ w["predictor/dense_0/kernel"]) * w["predictor/norm_0/gamma"] + w["predictor/norm_0/beta"]
    return unit(norm(np.where(hidden.real > 0, hidden, 0) @ w["predictor/dense_1/kernel"]))


def contrast(config: settings.OnerSettings, w: Arrays) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    if config.contrast == "softmax":
        return lambda q, k: dense_one_way_loss(q, k, -np.log(config.temperature))

    def sigmoid(q: np.ndarray, k: np.ndarray) -> np.ndarray:
        signs = 2 * np.eye(len(q)) - 1
        return np.log(1 + np.exp(-signs * (np.exp(w["log_scale"]) * q @ k.T + w["bias"]))).sum() / len(q)

    return sigmoid


def masked_words(w: Arrays, outputs: np.ndarray, ids: np.ndarray, places: np.ndarray) -> np.ndarray:
    logits = dense(w, "word_head", outputs)
    errors = np.log(np.exp(logits).sum(axis=-1)) - np.take_along_axis(logits, ids[:, :, None], axis=-1)[:, :, 0]
    return (errors * places).sum() / max(places.sum(), 1)


def masked_patches(w: Arrays, outputs: np.ndarray, images: np.ndarray, patch: int, places: np.ndarray) -> np.ndarray:
    grid, targets = images.shape[1] // patch, []
    for place in range(grid * grid):
        y, x = place // grid * patch, place % grid * patch
        pixels = images[:, y : y + patch, x : x + patch].reshape(len(images), -1)
        centred = pixels - pixels.mean(axis=1, keepdims=True)
        targets.append(centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-6))
    squares = (dense(w, "patch_head", outputs) - np.stack(targets, axis=1)) ** 2
    return (squares.mean(axis=-1) * places).sum() / max(places.sum(), 1)


def terms(config: settings.OnerSettings, w: Arrays, batch: Arrays) -> dict[str, np.ndarray]:
    """Each term before its weight; `batch` has the views, and `masks` as tests.models.objectives.oners draws them."""
    return {**_contrasts(config, w, batch), **_masked(config, w, batch)}


def _contrasts(config: settings.OnerSettings, w: Arrays, batch: Arrays) -> dict[str, np.ndarray]:
    if "momentum_tower/class_token" not in w:
        return {}
    tower, copy = Tower(config.tower, w, "one_tower"), Tower(config.tower, w, "momentum_tower")
    images, ids = batch["images"], batch["token_ids"]
    picture, caption = tower.sequence(tower.patches(images)), tower.sequence(tower.words(ids))
    alone = [tower.encode(one)[0] for one in (picture, caption)]
    (pair,) = tower.encode(tower.sequence(tower.patches(images), tower.words(ids)))
    crossed = tower.encode(picture, caption)
    q = [tower.embedding(one) for one in (*alone, *crossed, pair)]
    q_image, q_text, q_over_text, q_over_image, q_pair = [predicted(w, one) for one in q] if config.predictor else q
    k_image, k_text = (
        copy.embedding(copy.encode(copy.sequence(one))[0])
        for one in (copy.patches(batch["momentum_images"]), copy.words(batch["momentum_token_ids"]))
    )
    k_mean, ctr = unit((k_image + k_text) / 2), contrast(config, w)
    found = {
        "itc": (ctr(q_image, k_text) + ctr(q_text, k_image)) / 2,
        "xmc": ctr(unit((q_image + q_text) / 2), k_mean)
        if config.mix_queries
        else (ctr(q_image, k_mean) + ctr(q_text, k_mean)) / 2,
        "cic": ctr(unit((q_over_text + q_over_image) / 2), k_mean),
        "cmc": ctr(q_pair, k_mean),
    }
    return {name: value for name, value in found.items() if getattr(config, name)}


def _masked(config: settings.OnerSettings, w: Arrays, batch: Arrays) -> dict[str, np.ndarray]:
    tower, images, ids = Tower(config.tower, w, "one_tower"), batch["images"], batch["token_ids"]
    patch, count, found = config.tower.patch, config.tower.patches, {}
    if config.mim:
        (outputs,) = tower.encode(tower.sequence(tower.patches(images, batch["patches"])))
        found["mim"] = masked_patches(w, outputs[:, 1:], images, patch, batch["patches"])
    if config.mlm:
        shown = tower.words(ids, batch["shown"], batch["hidden"])
        (outputs,) = tower.encode(tower.sequence(shown))
        found["mlm"] = masked_words(w, outputs[:, 1:], ids, batch["places"])
    if config.mmm:
        shown = tower.words(ids, batch["pair_shown"], batch["pair_hidden"])
        (outputs,) = tower.encode(tower.sequence(tower.patches(images, batch["pair_patches"]), shown))
        of_patches = masked_patches(w, outputs[:, 1 : 1 + count], images, patch, batch["pair_patches"])
        found["mmm"] = of_patches + masked_words(w, outputs[:, 1 + count :], ids, batch["pair_places"])
    return found


def loss(config: settings.OnerSettings, w: Arrays, batch: Arrays) -> np.ndarray:
    """The sum of the weighted terms."""
    return sum(getattr(config, name) * value for name, value in terms(config, w, batch).items())
