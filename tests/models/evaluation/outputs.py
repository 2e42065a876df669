"""Random outputs of the signature `evaluate`."""

import numpy as np

from models.evaluation.collector import Collector


def unit(generator: np.random.Generator, rows: int, dim: int) -> np.ndarray:
    values = generator.normal(size=(rows, dim)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def random_outputs(
    rows: int, dim: int, seed: int, captions: int, classes: int = 3, pictures: int = 0
) -> dict[str, np.ndarray]:
    """Rows of `pictures` pictures (0: each row has its own); each row has one of `classes` classes, or none."""
    generator = np.random.default_rng(seed)
    shown = generator.integers(0, pictures, rows) if pictures else np.arange(rows)
    image = unit(generator, max(rows, pictures), dim)[shown]
    index = generator.integers(-1, classes, max(rows, pictures))[shown].astype(np.int32)
    return {
        "image_embedding": image,
        "text_embedding": unit(generator, rows, dim),
        "caption": np.array([f"caption {i}" for i in generator.integers(0, captions, rows)]).astype(bytes),
        "picture": np.array([f"picture {i}" for i in shown]).astype(bytes),
        "evaluation_set": np.array([b"eval"] * rows),
        "class_similarity": image @ unit(generator, classes, dim).T,
        "class_index": index,
        "logit_scale": np.full(rows, 8.0, np.float32),
        "logit_bias": np.full(rows, -2.0, np.float32),
    }


def collected(outputs, bundles: int) -> Collector:
    """Collects row by row, in bundles of a random order, as workers do."""
    order = np.random.default_rng(bundles).permutation(len(outputs["caption"]))
    merged = Collector()
    for indices in np.array_split(order, bundles):
        part = Collector()
        for i in indices:
            part.add({name: value[i : i + 1] for name, value in outputs.items()})
        part.compact()
        merged.merge(part)
    return merged
