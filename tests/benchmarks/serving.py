"""Requests over TF Serving's protos, compared with the same model in this process: eager Keras, and a SavedModel."""

import dataclasses
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

import tensorflow as tf
import tf_keras as keras

from components.serving_clients import Client, GrpcClient, LocalClient
from components.vocabulary_trainer.executor import train
from models import objectives
from models.inputs import images
from models.inputs.tokenizer import Tokenizer
from models.serving import export, label_sets
from tests.benchmarks.measure import Ratio, ratio
from tests.benchmarks.models import TINY
from tests.pictures import shape_pairs
from tests.served import process_server

_LABELS, _BAKED = 8, "shapes"
_ZERO_SHOT = f"zero-shot with {_LABELS} labels"


@dataclasses.dataclass(frozen=True)
class Exported:
    """The model of gin/model/tiny.gin, untrained: its Keras objects, and the SavedModel of them."""

    objective: objectives.Objective
    tokenizer: Tokenizer
    saved_model: str


def export_quickstart(folder: str) -> Exported:
    """Creates and exports the model below `folder`; its vocabulary is trained on the captions of the drawn shapes."""
    keras.utils.set_random_seed(0)
    vocabulary = pathlib.Path(folder) / "vocabulary.model"
    vocabulary.write_bytes(train([caption for _, caption, _ in shape_pairs()], 320))
    tokenizer = Tokenizer(str(vocabulary), TINY.text_tower)
    objective = objectives.create(TINY, tokenizer.vocabulary_size)
    texts = [label.decode() for label in _inputs(1)[2]]
    baked = label_sets.embed(
        texts, ("{}",), lambda some: objective.embed_text(tokenizer.served(tf.constant(some))).numpy()
    )
    export.save(objective, tokenizer, "", f"{folder}/1", {_BAKED: baked})
    return Exported(objective, tokenizer, f"{folder}/1")


def run(rounds: int) -> tuple[list[str], list[Ratio]]:
    """Lines with p50 and p99, and the ratios of times, for batches of 1 and 32."""
    lines, ratios = [], []
    with tempfile.TemporaryDirectory() as folder:
        exported = export_quickstart(folder)
        with process_server(exported.saved_model) as runner:
            clients = {"served": GrpcClient(runner.GetEndpoint()), "SavedModel": LocalClient(exported.saved_model)}
            for rows in (1, 32):
                ways = {name: _questions(client, rows) for name, client in clients.items()}
                ways["eager Keras"] = _eager(exported, rows)
                for question, served in ways["served"].items():
                    title = f"{question}, {rows} rows"
                    lines.append(f"{title}: served {_percentiles(served, 10 * rounds)}")
                    for baseline in ("SavedModel", "eager Keras"):
                        name = f"{title}: served / {baseline} in this process"
                        ratios.append(ratio(name, served, ways[baseline][question], rounds))
                classify = _classify(clients["served"], rows)
                name = f"baked labels, {rows} rows: served / {_ZERO_SHOT}, served"
                ratios.append(ratio(name, classify, ways["served"][_ZERO_SHOT], rounds))
    return lines, ratios


def _inputs(rows: int) -> tuple[list[bytes], list[bytes], list[bytes]]:
    pictures, captions, _ = zip(*shape_pairs()[:rows], strict=True)
    labels = [caption.encode() for _, caption, _ in shape_pairs()[:_LABELS]]
    return list(pictures), [caption.encode() for caption in captions], labels


def _questions(client: Client, rows: int) -> dict[str, Callable[[], object]]:
    pictures, texts, labels = _inputs(rows)
    return {
        "embed_image": lambda: client.predict("embed_image", {"image_bytes": pictures}),
        "embed_text": lambda: client.predict("embed_text", {"text": texts}),
        _ZERO_SHOT: lambda: client.predict("serving_default", {"image_bytes": pictures, "labels": labels}),
    }


def _classify(client: Client, rows: int) -> Callable[[], object]:
    pictures, _, _ = _inputs(rows)
    return lambda: client.predict(export.CLASSIFY + _BAKED, {"image_bytes": pictures})


def _eager(exported: Exported, rows: int) -> dict[str, Callable[[], object]]:
    pictures, texts, labels = _inputs(rows)
    objective, tokenizer = exported.objective, exported.tokenizer

    def embed_image() -> tf.Tensor:
        return objective.embed_image(images.decode_batch(tf.constant(pictures), TINY.image_input))

    def embed_text(values: list[bytes]) -> tf.Tensor:
        return objective.embed_text(tokenizer.served(tf.constant(values)))

    return {
        "embed_image": lambda: embed_image().numpy(),
        "embed_text": lambda: embed_text(texts).numpy(),
        _ZERO_SHOT: lambda: objective.logits(embed_image(), embed_text(labels)).numpy(),
    }


def _percentiles(work: Callable[[], object], count: int) -> str:
    work()
    milliseconds = []
    for _ in range(max(count, 2)):
        start = time.perf_counter()
        work()
        milliseconds.append(1000 * (time.perf_counter() - start))
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms"
