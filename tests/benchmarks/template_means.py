"""How labels of several templates differ from CLIP-rocket's, whose two kinds of embeddings are averaged apart.

python -m tests.benchmarks.template_means MODEL SPLIT    a SavedModel of ClipRocket, and the folder of a split's shards

A label here is the mean of mixed embeddings [sqrt(w) z; sqrt(1 - w) h] over the templates, scaled to unit norm. The
paper's is [sqrt(w) z'; sqrt(1 - w) h'], with z' and h' the means of z and of h, each scaled to unit norm. Each caption
of the split stands for a class; the templates are CLIP's 80 and the bare caption.
"""

import ast
import pathlib
import re
import sys

import numpy as np
import tensorflow as tf

from beam.exported_model import ExportedModel
from components.metrics import saved_model_metrics
from models import features
from models.inputs import tfrecords
from models.pretrained import saved_model

_TEMPLATES = pathlib.Path(__file__).parents[2] / "gin" / "evaluation" / "clip_templates.gin"


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def measure(path: str, split: str) -> str:
    """The figures, in lines."""
    model = ExportedModel(path)
    weight = float(saved_model.read_trained(path).weights["ensemble_weight"])
    templates = ast.literal_eval(re.search(r"=\s*(\(.*\))", _TEMPLATES.read_text(), re.DOTALL)[1])
    examples = list(tfrecords.read_shards([f"{split}/*"]).as_numpy_iterator())
    rows = tfrecords.parse(tf.constant(examples), (features.IMAGE, features.CAPTION))
    captions = [caption.decode() for caption in rows[features.CAPTION].numpy()]
    blocks = (rows[features.IMAGE][start : start + 64] for start in range(0, len(captions), 64))
    image = np.concatenate([model.call("embed_image", image_bytes=block)["image_embedding"] for block in blocks])
    embed_texts = saved_model_metrics.text_embedder(model)
    mean = np.mean([embed_texts([one.replace("{}", caption) for caption in captions]) for one in templates], axis=0)
    z, h = np.split(mean, 2, axis=1)
    norms = np.linalg.norm(z, axis=1) / np.sqrt(weight), np.linalg.norm(h, axis=1) / np.sqrt(1 - weight)
    share = np.sum(z**2, axis=1) / np.sum(mean**2, axis=1)
    paper = np.concatenate([np.sqrt(weight) * _unit(z), np.sqrt(1 - weight) * _unit(h)], axis=1)
    ours, theirs = image @ _unit(mean).T, image @ paper.T
    differs = np.abs(ours - theirs)
    changed = np.mean(ours.argmax(axis=1) != theirs.argmax(axis=1))
    right = [np.mean([np.sum(row > row[i]) < 5 for i, row in enumerate(one)]) for one in (ours, theirs)]
    low, middle, high = np.quantile(share, [0.05, 0.5, 0.95])
    return (
        f"{len(captions)} labels, {len(templates)} templates, w = {weight:.1f}\n"
        f"norm of the mean z {norms[0].mean():.3f}, of the mean h {norms[1].mean():.3f}; "
        f"share of z {middle:.3f} ({low:.3f} to {high:.3f})\n"
        f"similarity differs by {differs.max():.4f} at most, {differs.mean():.4f} on average\n"
        f"another best label for {changed:.1%} of the pictures\n"
        f"top-5 accuracy {right[0]:.4f}, the paper's {right[1]:.4f}"
    )


if __name__ == "__main__":
    print(measure(*sys.argv[1:]))
