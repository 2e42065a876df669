"""Pins the files that settings name when a run begins, so that no cached result of another file is used."""

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from beam import reader, sources
from beam.build import ImageTextGenSettings
from beam.dedupe import DeduperSettings
from components.vocabulary_trainer.settings import VocabularySettings
from models import files, pretrained
from models.inputs import synonyms
from models.layers import visual_codes as codebooks
from models.serving import contract
from models.settings import (
    ObjectiveSettings,
    PretrainedSettings,
    TextAugmentationSettings,
    VisualCodebookSettings,
    visual_codes,
)
from models.settings.checks import require
from pipeline.evaluation import layouts
from pipeline.settings.run import PipelineSettings

_BLOCK = 1 << 24


def pin(run: PipelineSettings) -> PipelineSettings:
    """Fills in the newest version and hash of models and of a vocabulary file, and the newest span of the data.

    Raises:
      ValueError: a file is missing, has another hash than the settings name, or is no codebook that fits.
    """
    run = pin_evaluation_sets(pin_models(run))
    return dataclasses.replace(run, image_text_gen=_pin_span(run.image_text_gen))


def pin_evaluation_sets(run: PipelineSettings) -> PipelineSettings:
    """Fills in the newest span of each evaluation set's source; raises ValueError if no span has files."""
    pinned = []
    for one in run.evaluation_sets:
        try:
            pinned.append(dataclasses.replace(one, source=sources.newest(one.source)))
        except ValueError as error:
            raise _of_set(one.name, error) from error
    return dataclasses.replace(run, evaluation_sets=tuple(pinned))


def _of_set(name: str, error: Exception) -> ValueError:
    return ValueError(f"EvaluationSet {name!r}: {error}")


def pin_models(run: PipelineSettings) -> PipelineSettings:
    """Fills in the newest version and hash of models and of a vocabulary file, like `pin`, but reads no data."""
    run = dataclasses.replace(run, image_text_gen=_pin_similarity(run.image_text_gen))
    if run.deduper:
        run = dataclasses.replace(run, deduper=pin_deduper(run.deduper))
    vocabulary, training = run.vocabulary, run.training
    if vocabulary.path:
        vocabulary = dataclasses.replace(vocabulary, sha256=_sha256(vocabulary, vocabulary.path))
    codes = visual_codes(training.objective)
    if codes and codes.codebook.path:
        codebook = dataclasses.replace(codes.codebook, sha256=_sha256(codes.codebook, codes.codebook.path))
        codebooks.read(codebook.path, codes.image_tower.patch, codebook.codes)
        objective: Any = dataclasses.replace(training.objective, visual_codebook=codebook)  # type: ignore[call-arg]
        training = dataclasses.replace(training, objective=objective)
    if training.pretrained:
        path = files.newest_version(training.pretrained.path)
        pretrained = dataclasses.replace(training.pretrained, path=path, sha256=_sha256(training.pretrained, path))
        training = dataclasses.replace(training, pretrained=pretrained)
    training = dataclasses.replace(training, objective=_pin_synonyms(training.objective))
    return dataclasses.replace(run, vocabulary=vocabulary, training=training)


def _pin_synonyms(objective: ObjectiveSettings) -> ObjectiveSettings:
    """Fills in the hash of the synonyms of each text view; raises ValueError if a file cannot be read."""
    pinned = {}
    for name, texts in text_augmentations(objective).items():
        if texts.synonyms:
            path = texts.synonyms
            _require_file("TextAugmentation.synonyms", path, path, "`python -m pipeline.synonyms` writes one")
            synonyms.read(path)
            found = _pinned("TextAugmentation.synonyms_sha256", texts.synonyms_sha256, path)
            pinned[name] = dataclasses.replace(texts, synonyms_sha256=found)
    return dataclasses.replace(objective, **pinned) if pinned else objective


def text_augmentations(objective: ObjectiveSettings) -> dict[str, TextAugmentationSettings]:
    """{field of the objective: its augmentation of texts}, of the fields that have one."""
    found = {field.name: getattr(objective, field.name) for field in dataclasses.fields(objective)}
    return {name: texts for name, texts in found.items() if isinstance(texts, TextAugmentationSettings)}


def require_inputs(run: PipelineSettings) -> None:
    """Checks, before anything runs, that all inputs exist and fit together; raises ValueError otherwise."""
    run.image_text_gen.source.fingerprint()
    if run.deduper:
        run.deduper.evaluation_shards()
    require_evaluation_sets(run)
    require_fit(run)


def require_evaluation_sets(run: PipelineSettings) -> None:
    """Checks, before anything runs, that the data of every evaluation set exist; raises ValueError otherwise."""
    for one in run.evaluation_sets:
        try:
            for path in (getattr(one.source, "path", ""), getattr(one.source, "class_names", ""), one.classes):
                layouts.require_prepared(path if isinstance(path, str) else "")
            if one.source:
                one.source.fingerprint()
            if one.examples:
                reader.shards(one.examples)
            one.class_list()
        except (ValueError, FileNotFoundError) as error:
            raise _of_set(one.name, error) from error


def require_fit(run: PipelineSettings) -> None:
    """Reads the pretrained checkpoint and checks, before anything runs, that it fits the towers and the vocabulary.

    Raises:
      ValueError: it does not fit, or it has a text tower but the run would train its own vocabulary.
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
    """Fills in the newest span, and the newest model of the similarity filter; raises ValueError if one is missing."""
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
    """Fills in the newest version and hash of the Deduper's model; raises ValueError if there is no model."""
    if not deduper.embedding_model:
        return deduper
    path = _newest_model("Deduper.embedding_model", deduper.embedding_model, ("embed_image",))
    found = _pinned("Deduper.embedding_sha256", deduper.embedding_sha256, path)
    return dataclasses.replace(deduper, embedding_model=path, embedding_sha256=found)


def _newest_model(name: str, path: str, signatures: tuple[str, ...]) -> str:
    """Path of the newest version of an exported model; raises ValueError if it lacks one of the signatures."""
    newest = files.newest_version(path)
    file = os.path.join(newest, files.SAVED_MODEL_FILE)
    example = "name one, such as 'output/quickstart/serving'"
    if not tf.io.gfile.exists(file):
        raise ValueError(f"{name} is {path!r}, but holds no SavedModel; {example}")
    if missing := sorted({*signatures} - {*contract.signatures(newest)}):
        raise ValueError(f"{name} is {path!r}, but that has no signature {', '.join(missing)}; {example}")
    return newest


def _sha256(named: VocabularySettings | PretrainedSettings | VisualCodebookSettings, path: str) -> str:
    name = type(named).__name__.removesuffix("Settings")
    fix = "`make quickstart` publishes to output/quickstart/serving"
    if isinstance(named, VisualCodebookSettings):
        fix = "VisualCodebook makes one if VisualCodebook.path is left out"
    _require_file(f"{name}.path", named.path, path, fix)
    return _pinned(f"{name}.sha256", named.sha256, path)


def _require_file(name: str, given: str, path: str, fix: str) -> None:
    if not any(_files(path)):
        raise ValueError(
            f"{name} is {given!r}, but there is no such file (in {os.getcwd()}); name one that exists, or make it "
            f"first: {fix}"
        )


def _pinned(name: str, expected: str, path: str) -> str:
    """SHA-256 of a file or folder (hex); raises ValueError if `expected` is another hash and not ""."""
    digest = hashlib.sha256()
    for file in sorted(_files(path)):
        digest.update(os.path.relpath(file, path).encode() + b"\0")
        with tf.io.gfile.GFile(file, "rb") as opened:
            while block := opened.read(_BLOCK):
                digest.update(block)
    found = digest.hexdigest()
    if expected not in ("", found):
        raise ValueError(
            f"{name} is {expected!r}, but {path} has {found!r}; name the file with that hash, or remove {name}"
        )
    return found


def _files(path: str) -> Iterator[str]:
    if tf.io.gfile.exists(path) and not tf.io.gfile.isdir(path):
        yield path
    for folder, _, names in tf.io.gfile.walk(path):
        yield from (os.path.join(folder, name) for name in names)
