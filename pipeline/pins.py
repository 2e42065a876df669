"""Files that settings name, pinned as a run begins: a changed file is another run, and is never served from cache."""

import dataclasses
import hashlib
import os
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from beam import reader, sources
from beam.build import ImageTextGenSettings
from beam.dedupe import DeduperSettings
from components.vocabulary_trainer.settings import VocabularySettings
from models import files, pretrained
from models.settings import PretrainedSettings
from models.settings.checks import require
from pipeline.settings.run import PipelineSettings

_BLOCK = 1 << 24


def pin(run: PipelineSettings) -> PipelineSettings:
    """Fills in what models and a vocabulary file are at this moment, and which span of the data is the newest.

    Raises:
      ValueError: a file is missing, or is not the one whose hash the settings give.
    """
    run = pin_models(run)
    return dataclasses.replace(run, image_text_gen=_pin_span(run.image_text_gen))


def pin_models(run: PipelineSettings) -> PipelineSettings:
    """Fills in newest version and hash of models and a vocabulary file; looks at no data. Errors are `pin`'s."""
    run = dataclasses.replace(run, image_text_gen=_pin_similarity(run.image_text_gen))
    if run.deduper:
        run = dataclasses.replace(run, deduper=pin_deduper(run.deduper))
    vocabulary, training = run.vocabulary, run.training
    if vocabulary.path:
        vocabulary = dataclasses.replace(vocabulary, sha256=_sha256(vocabulary, vocabulary.path))
    if training.pretrained:
        path = files.newest_version(training.pretrained.path)
        pretrained = dataclasses.replace(training.pretrained, path=path, sha256=_sha256(training.pretrained, path))
        training = dataclasses.replace(training, pretrained=pretrained)
    return dataclasses.replace(run, vocabulary=vocabulary, training=training)


def require_evaluation_sets(run: PipelineSettings) -> None:
    """Looks at what is behind every evaluation set, before anything runs; raises ValueError where it is missing."""
    for one in run.evaluation_sets:
        try:
            if one.source:
                one.source.fingerprint()
            if one.examples:
                reader.shards(one.examples)
        except (ValueError, FileNotFoundError) as error:
            raise ValueError(f"EvaluationSet {one.name!r}: {error}") from error


def require_fit(run: PipelineSettings) -> None:
    """Holds the pretrained checkpoint, which is read for it, against towers and vocabulary, before anything runs.

    Raises:
      ValueError: training would refuse it, or its text tower would get a vocabulary of the run's own.
    """
    chosen, vocabulary = run.training.pretrained, run.vocabulary.path
    if chosen is None:
        return
    if "text_tower" in chosen.parts:
        fix = "name the model file of the checkpoint (docs/checkpoints.md), or leave text_tower out of Pretrained.parts"
        require(
            bool(vocabulary), "Vocabulary.path", vocabulary, "the vocabulary that the text tower was trained with", fix
        )
    pretrained.load_fitting(chosen, run.training.objective, vocabulary)


def pin_image_text_gen(settings: ImageTextGenSettings) -> ImageTextGenSettings:
    """Fills in the newest span, and which version of a model the similarity filter uses; ValueError without them."""
    return _pin_span(_pin_similarity(settings))


def _pin_span(settings: ImageTextGenSettings) -> ImageTextGenSettings:
    return dataclasses.replace(settings, source=sources.newest(settings.source))


def _pin_similarity(settings: ImageTextGenSettings) -> ImageTextGenSettings:
    if settings.similarity is None:
        return settings
    path = _newest_model("Similarity.model", settings.similarity.model, ("embed_image", "embed_text"))
    found = _pinned("Similarity.sha256", settings.similarity.sha256, path)
    return dataclasses.replace(settings, similarity=dataclasses.replace(settings.similarity, model=path, sha256=found))


def pin_deduper(deduper: DeduperSettings) -> DeduperSettings:
    """Fills in which version of a model the Deduper uses; raises ValueError where there is none."""
    if not deduper.embedding_model:
        return deduper
    path = _newest_model("Deduper.embedding_model", deduper.embedding_model, ("embed_image",))
    found = _pinned("Deduper.embedding_sha256", deduper.embedding_sha256, path)
    return dataclasses.replace(deduper, embedding_model=path, embedding_sha256=found)


def _newest_model(name: str, path: str, signatures: tuple[str, ...]) -> str:
    """The newest version of an exported model that has these signatures."""
    newest = files.newest_version(path)
    file = os.path.join(newest, files.SAVED_MODEL_FILE)
    example = "name one, such as 'output/quickstart/serving'"
    if not tf.io.gfile.exists(file):
        raise ValueError(f"{name} is {path!r}, but holds no SavedModel; {example}")
    model = saved_model_pb2.SavedModel()
    with tf.io.gfile.GFile(file, "rb") as opened:
        model.ParseFromString(opened.read())
    missing = sorted({*signatures} - {key for graph in model.meta_graphs for key in graph.signature_def})
    if missing:
        raise ValueError(f"{name} is {path!r}, but that has no signature {', '.join(missing)}; {example}")
    return newest


def _sha256(named: VocabularySettings | PretrainedSettings, path: str) -> str:
    name = type(named).__name__.removesuffix("Settings")
    if not any(_files(path)):
        raise ValueError(
            f"{name}.path is {named.path!r}, but there is no such file (in {os.getcwd()}); name one that is there, or "
            "make it first: `make quickstart` publishes to output/quickstart/serving"
        )
    return _pinned(f"{name}.sha256", named.sha256, path)


def _pinned(name: str, expected: str, path: str) -> str:
    """The hash of a file or folder; ValueError where another one is expected."""
    digest = hashlib.sha256()
    for file in sorted(_files(path)):
        digest.update(os.path.relpath(file, path).encode() + b"\0")
        with tf.io.gfile.GFile(file, "rb") as opened:
            while block := opened.read(_BLOCK):
                digest.update(block)
    found = digest.hexdigest()
    if expected not in ("", found):
        raise ValueError(
            f"{name} is {expected!r}, but {path} has {found!r}; name the file that the hash is of, or remove {name}"
        )
    return found


def _files(path: str) -> Iterator[str]:
    if tf.io.gfile.exists(path) and not tf.io.gfile.isdir(path):
        yield path
    for folder, _, names in tf.io.gfile.walk(path):
        yield from (os.path.join(folder, name) for name in names)
