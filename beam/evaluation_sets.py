"""Writes evaluation sets as splits of one folder of Examples: each row has one caption and the name of its set."""

import dataclasses
import json
import os
from collections.abc import Iterator

import apache_beam as beam
import tensorflow as tf

from beam import reader, spool, stages, store, writer
from beam.filters import captions
from beam.filters.boxes import BoxCheck
from beam.filters.pictures import DecodeCheck, PictureSettings
from beam.records import AnyRow, ImageText, Outcome, Rejected, Row
from beam.shown_pictures import RequireUnseen, one_picture_a_group
from beam.sources import Source, described
from beam.sources.rows.classes import ClassNames, each, load
from models import features, files
from models.settings.checks import require, require_labels, require_templates, settings_class

CLASSES_FILE = "classes.json"
SEVERAL_CLASSES_FILE = "several_classes.json"
"""A list of the sets in which some row has several right classes."""
_SHARDS, _SHARD_BYTES, _SALT = 2, 128 << 20, "evaluation"


@settings_class("EvaluationSet")
class EvaluationSetSettings:
    """A set of rows that every model is evaluated on. Each set has metrics of its own.

    Attributes:
      name: name of the set in the gate, the report and signatures (letters, digits and _). "eval" is always the
        pipeline's own eval split.
      source: source of the rows, such as @TfdsSource(). None takes `examples`. If both are empty, the set is the eval
        split, evaluated with the settings below.
      examples: folder of Examples, written by `python -m pipeline.build` or by a pipeline, in place of a source. ""
        takes `source`.
      classes: classes that zero-shot classification chooses among, in this order; or the path of a JSON file that holds
        a list of them. Rows of other classes are dropped. () takes the class names of the rows.
      templates: texts with {} in place of the class. The embedding of a class is the mean over its templates. ("{}",)
        is the bare class.
      all_captions: uses every caption of a picture as a query (COCO's protocol). False uses the first only.
      retrieval: computes retrieval metrics. Switch it off for classification sets, whose captions repeat.
      fitted_on: name of the evaluation set on whose pictures `python -m pipeline.evaluate` fits a linear probe and the
        vote of nearest neighbours, to score them on this set. "" measures neither. The gate does not see these.
    """

    name: str = features.OWN_SET
    source: Source | None = None
    examples: str = ""
    classes: str | tuple[str, ...] = ()
    templates: tuple[str, ...] = ("{}",)
    all_captions: bool = True
    retrieval: bool = True
    fitted_on: str = ""

    def __post_init__(self) -> None:
        require(self.name.isidentifier(), "EvaluationSet.name", self.name, "letters, digits and _", "rename it")
        given = [name for name in ("source", "examples") if getattr(self, name)]
        rule = "source or examples, or neither"
        fix = "remove one of them; a set named 'eval' is the pipeline's own eval split and needs neither"
        most = 0 if self.name == features.OWN_SET else 1
        require(len(given) <= most, f"EvaluationSet {self.name!r}", given, rule, fix)
        require_templates("EvaluationSet.templates", self.templates)
        if not isinstance(self.classes, str):
            require_labels("EvaluationSet.classes", self.classes)

    def origin(self, own: str) -> str:
        """What the rows come from, for messages; `own` is the folder of the eval split."""
        return described(self.source) if self.source else self.examples or own

    def class_list(self) -> tuple[str, ...]:
        """The classes of `classes`, each once.

        Raises:
          ValueError: its file cannot be read, or holds no names.
        """
        if not isinstance(self.classes, str) or not self.classes:
            return tuple(self.classes)
        known = load(ClassNames("EvaluationSet.classes", self.classes))
        return tuple(dict.fromkeys(name for names in known.values() for name in each(names)))


@settings_class("EvaluationSuite")
class EvaluationSuiteSettings:
    """Settings of EvaluationSuite. The pipeline fills them in from Pipeline.evaluation_sets.

    Attributes:
      sets: all sets that a model is evaluated on, with different names.
    """

    sets: tuple[EvaluationSetSettings, ...] = ()

    def shards(self, own: str) -> dict[str, list[str]]:
        """{set: paths of its shards} of the sets without a source; `own` is the folder of the eval split."""
        return {
            one.name: reader.shards(one.examples) if one.examples else sorted(tf.io.gfile.glob(os.path.join(own, "*")))
            for one in self.sets
            if not one.source
        }


class WriteEvaluationSets(beam.PTransform):
    """Pipeline -> PCollection of one dict, {set: class names}, after everything is written.

    Set S lies in `examples_folder`/Split-S, its manifest and rejects in `report_folder`/S. `report_folder`/classes.json
    holds the dict. several_classes.json beside it lists the sets in which a row has several classes.
    """

    def __init__(
        self, suite: EvaluationSuiteSettings, own: str, examples_folder: str, report_folder: str, train: str = ""
    ) -> None:
        """`own` is the folder of the shards of the eval split, `train` that of the train split.

        Sources with a method `pictures_of` say which pictures a row shows. The pipeline fails with a ValueError if a
        row of such a set shows a picture that a training row shows.
        """
        super().__init__()
        self._train = train
        self._sets, self._shards = suite.sets, suite.shards(own)
        self._examples, self._report = examples_folder, report_folder

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        spool.Spool.lie_beside(pipeline, self._examples)
        classes = []
        for one in self._sets:
            name = one.name
            flow = pipeline | f"Read {name}" >> _ReadSet(one, self._shards.get(name, []))
            # The signature `evaluate` embeds a picture once a batch, however many captions the batch has of it.
            layout = writer.Layout({name: 1}, _SHARDS, _SALT, shard_bytes=_SHARD_BYTES, groups_together=True)
            flow | f"Store {name}" >> store.Store(layout, self._examples, os.path.join(self._report, name))
            pictures_of = getattr(one.source, "pictures_of", None)
            if self._train and pictures_of:
                read = pipeline | f"Train {name}" >> reader.ReadShards(self._train)
                (flow.rows, read) | f"Unseen {name}" >> RequireUnseen(name, pictures_of)
            named = flow.rows | f"Classes {name}" >> beam.FlatMap(_class_of, name)
            classes.append(named | f"Distinct {name}" >> beam.Distinct())
        listed = {one.name: list(one.class_list()) for one in self._sets}
        empty = pipeline | "Anchor" >> beam.Create([("", "", False)])
        return (
            (*classes, empty)
            | "All" >> beam.Flatten()
            | "Together" >> beam.combiners.ToList()
            | "WriteClasses" >> beam.Map(_write_classes, listed, self._report)
        )


class _ReadSet(beam.PTransform):
    def __init__(self, one: EvaluationSetSettings, shards: list[str]) -> None:
        super().__init__()
        self._set, self._shards = one, shards

    @beam.typehints.no_annotations  # Beam would warn that Flow is not a PCollection
    def expand(self, pipeline: beam.Pipeline) -> store.Flow:
        name, one = self._set.name, self._set
        if one.source is None:
            read = pipeline | beam.Create(self._shards) | beam.Reshuffle() | beam.FlatMap(reader.read_shard)
        else:
            read = pipeline | "Source" >> one.source.read()
        outcomes = read | beam.ParDo(stages.ReportProgress(f"{name}:"))
        kept = [outcomes | "Separate" >> stages.Separate()]
        for label, stage in (
            ("CaptionCheck", captions.CheckedCaptions(captions.CaptionSettings())),
            ("BoxCheck", stages.Filter(BoxCheck())),
            ("DecodeCheck", stages.Filter(DecodeCheck(PictureSettings()))),
            ("ClassCheck", stages.Filter(_ClassCheck(one.class_list()))),
        ):
            kept.append(kept[-1].rows | label >> stage)
        pictured = kept[-1].rows
        by_reference = kept[-1].rows | "ByReference" >> beam.Map(ImageText.by_reference)
        kept.append(by_reference | "UniqueKeys" >> stages.KeepFirst(lambda row: row.key, "duplicate_key"))
        kept.append(kept[-1].rows | "OnePicture" >> one_picture_a_group())
        rejected = [stage.rejected for stage in kept] | "Rejects" >> beam.Flatten()
        rows = kept[-1].rows | "Rows" >> beam.FlatMap(_one_caption_each, name, one.all_captions)
        more = kept[-1].rows | "More" >> beam.FlatMap(_further, name, one.all_captions)
        removed = [stage.removed for stage in kept if stage.removed] | "Removed" >> beam.Flatten()
        return store.Flow((outcomes, more), pictured, rows, rejected, removed)


class _ClassCheck:
    """Removes classes that the set does not have; drops a row that has classes, but none of the set's."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = frozenset(classes)

    def __call__(self, row: ImageText) -> Outcome:
        if not self._classes or not row.classes:
            return row
        known = tuple(name for name in row.classes if name in self._classes)
        if not known:
            names = ", ".join(map(repr, row.classes))
            return Rejected(row.key, row.position, "unknown_class", f"{names} is not in the set's classes")
        return dataclasses.replace(row, class_name=known[0], class_names=known) if row.class_names else row


def _one_caption_each(row: AnyRow, name: str, all_captions: bool) -> Iterator[AnyRow]:
    """The row with its first caption alone, and one more row in its group for each further caption."""
    yield dataclasses.replace(row, more_captions=(), evaluation_set=name, group=row.split_key)
    yield from _further(row, name, all_captions)


def _further(row: AnyRow, name: str, all_captions: bool) -> Iterator[AnyRow]:
    for number, caption in enumerate(row.more_captions if all_captions else (), start=1):
        alone = dataclasses.replace(row, caption=caption, more_captions=(), evaluation_set=name)
        yield dataclasses.replace(alone, key=f"{row.key}#{number}", group=row.split_key)


def _class_of(row: Row, name: str) -> Iterator[tuple[str, str, bool]]:
    """Yields, for each class of the row: the set, the class, and whether the row has several classes."""
    yield from ((name, class_name, len(row.classes) > 1) for class_name in row.classes)


def _write_classes(
    found_in_rows: list[tuple[str, str, bool]], listed: dict[str, list[str]], folder: str
) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {name: set() for name in listed}
    for name, class_name, _ in found_in_rows:
        if name:
            found[name].add(class_name)
    classes = {name: listed[name] or sorted(found[name]) for name in listed}
    several = sorted({name for name, _, has_several in found_in_rows if has_several})
    for file_name, content in ((SEVERAL_CLASSES_FILE, several), (CLASSES_FILE, classes)):
        lines = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True)
        files.write_text(os.path.join(folder, file_name), f"{lines}\n")
    return classes
