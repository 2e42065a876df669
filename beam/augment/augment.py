"""Augment adds variants of rows for training, with views of the picture and rewrites of the caption."""

import dataclasses
import itertools
import json
import os
import random
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from beam import reader, shuffle, spool, stages, store, thumbnails, writer
from beam.augment import rewrites, views
from beam.records import ImageText, Outcome, Rejected, RowByReference, normalised
from models import files
from models.settings.checks import label, require, require_fraction, require_positive, settings_class

_SAMPLES = 8


@settings_class("Augmenter")
class AugmenterSettings:
    """How the Augmenter makes variants of rows. Every random draw derives from the seed and the row's key.

    Attributes:
      splits: splits that get variants. Keep ("train",): held-out rows should stay as they are.
      variants: number of variants of each row. Each adds the size of the split once more.
      views: changes of the picture, some of "crop", "flip", "colour", "grey", "blur" and "jpeg"; each variant draws
        one. () keeps the picture.
      quality: JPEG quality, 1 to 100, of views of JPEG and WebP pictures. Views of other formats are PNG. 0 makes all
        of them PNG.
      rewrites: {change of the caption: weight}, of "synonym", "swap" and "delete"; each variant draws one. {} keeps the
        words.
      stop_word_removal: probability that a variant loses stop words such as "the", before its rewrite. 0 removes none.
      templates: texts with one {} in place of the caption; each variant draws one. () uses the bare caption.
      seed: seed of the draws; another seed makes other variants.
    """

    splits: tuple[str, ...] = ("train",)
    variants: int = 1
    views: tuple[str, ...] = ()
    quality: int = 95
    rewrites: dict[str, float] = dataclasses.field(default_factory=dict)
    stop_word_removal: float = 0.0
    templates: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        weights = self.rewrites.values()
        rules = [
            ("splits", set() < set(self.splits) <= set(writer.SPLITS), f"some of {', '.join(writer.SPLITS)}"),
            ("views", set(self.views) <= set(views.VIEWS), f"some of {', '.join(views.VIEWS)}"),
            ("quality", 0 <= self.quality <= 100, "a whole number from 0 to 100"),
            (
                "rewrites",
                set(self.rewrites) <= set(rewrites.REWRITES) and all(weight > 0 for weight in weights),
                f"{{name: weight above 0}} with names among {', '.join(rewrites.REWRITES)}",
            ),
            ("templates", all(text.count("{}") == 1 for text in self.templates), "texts with one {} each"),
        ]
        for name, holds, rule in rules:
            require(holds, label(self, name), getattr(self, name), rule, "correct it in gin")
        require_positive(self, "variants")
        require_fraction(self, "stop_word_removal")
        if not (self.views or self.rewrites or self.stop_word_removal or self.templates):
            raise ValueError(
                "Augmenter has nothing to do, because every variant would equal its row; set Augmenter.views, "
                "Augmenter.rewrites, Augmenter.stop_word_removal or Augmenter.templates"
            )


def variants_of(row: ImageText, settings: AugmenterSettings) -> Iterator[ImageText]:
    """Makes the variants of a row. They are in its group, and so in its split; `variant` names the changes."""
    for number in range(settings.variants):
        draw = random.Random(f"{settings.seed}/{row.key}/{number}")
        image, caption, done = row.image, row.caption, []
        if settings.views:
            name = draw.choice(settings.views)
            image = views.view(image, name, draw, settings.quality)
            done.append(name)
        words = caption.split()
        if draw.random() < settings.stop_word_removal:
            words = rewrites.remove_stop_words(words, draw)
            done.append("stop words")
        if settings.rewrites:
            (name,) = draw.choices([*settings.rewrites], [*settings.rewrites.values()])
            words = rewrites.REWRITES[name](words, draw)
            done.append(name)
        caption = " ".join(words)
        if settings.templates:
            caption = draw.choice(settings.templates).replace("{}", caption)
            done.append("template")
        yield dataclasses.replace(
            row,
            key=f"{row.key}/{number}",
            group=row.split_key,
            image=image,
            caption=caption,
            variant=", ".join(done),
            boxes=(),  # a view may have moved what the caption names
        )


class Augment(beam.PTransform):
    """Pipeline -> PCollection of the manifest; reads a folder of Examples and writes another, with variants.

    It drops a variant with the picture and caption of its row as "same_as_original". It drops a variant whose caption a
    row outside `settings.splits` has as "held_out_caption", because training would see the answer.
    """

    def __init__(self, settings: AugmenterSettings, layout: writer.Layout, folders: store.Folders) -> None:
        super().__init__()
        self._settings, self._layout, self._folders = settings, layout, folders

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        settings, layout, folders = self._settings, self._layout, self._folders
        spool.Spool.lie_beside(pipeline, folders.examples)
        rows = pipeline | "Read" >> reader.ReadShards(folders.source) | beam.ParDo(stages.ReportProgress("augmented"))

        def augmented(row: ImageText) -> bool:
            return layout.split_of(row.split_key) in settings.splits

        made = rows | beam.Filter(augmented) | "Variants" >> beam.FlatMap(_outcomes, settings)
        variants = made | "Same" >> stages.Separate()
        held_out = rows | "HeldOut" >> beam.Filter(lambda row: not augmented(row))
        answers = held_out | beam.FlatMap(ImageText.normalised_captions) | beam.Map(lambda caption: (caption, None))
        by_caption = variants.rows | beam.Map(lambda row: (normalised(row.caption), row.by_reference()))
        new = (
            {"rows": by_caption, "held_out": answers}
            | shuffle.CoGroupByKey()
            | beam.FlatMap(_unless_held_out)
            | "Answers" >> stages.Separate()
        )
        unchanged = rows | "ByReference" >> beam.Map(ImageText.by_reference)
        kept = (unchanged, new.rows) | "Kept" >> shuffle.Wait()
        rejected = (variants.rejected, new.rejected) | "Rejects" >> beam.Flatten()
        no_caption = pipeline | "NoCaption" >> beam.Create([])
        samples = pipeline | "Folders" >> beam.Create([folders]) | "Samples" >> beam.Map(_write_samples, settings)
        flow = store.Flow((rows, made), (rows, variants.rows), kept, rejected, removed=no_caption)
        return flow | "Store" >> store.Store(layout, folders.examples, folders.report, reports=samples)


def _outcomes(row: ImageText, settings: AugmenterSettings) -> Iterator[Outcome]:
    for variant in variants_of(row, settings):
        if (variant.image, variant.caption) == (row.image, row.caption):
            yield Rejected(variant.key, row.position, "same_as_original", f"{variant.variant}: {row.caption!r}")
        else:
            yield variant


def _unless_held_out(group: tuple[str, dict[str, Iterable[Any]]]) -> Iterator[RowByReference | Rejected]:
    caption, found = group
    for row in found["rows"]:
        if found["held_out"]:
            yield Rejected(row.key, row.position, "held_out_caption", f"{row.variant}: {caption!r} is held out")
        else:
            yield row


def _write_samples(folders: store.Folders, settings: AugmenterSettings) -> str:
    """Writes samples: the first rows, in the order of a hash, with their variants. Returns the path of the file."""
    paths = [path for path in reader.shards(folders.source) if f"/Split-{settings.splits[0]}/" in path]
    rows = itertools.islice(itertools.chain.from_iterable(map(reader.read_shard, paths)), _SAMPLES)
    samples = [{**_shown(row), "variants": [_shown(made) for made in variants_of(row, settings)]} for row in rows]
    path = os.path.join(folders.report, store.SAMPLES_FILE)
    files.write_text(path, json.dumps(samples, indent=1, sort_keys=True) + "\n")
    return path


def _shown(row: ImageText) -> dict[str, str]:
    return {"image": thumbnails.data_address(row.image), "caption": row.caption, "variant": row.variant}
