"""Augment: makes more rows for training, with views of the picture and rewrites of the caption."""

import dataclasses
import itertools
import json
import os
import random
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam

from beam import reader, stages, store, thumbnails, writer
from beam.augment import rewrites, views
from beam.records import ImageText, Outcome, Rejected, RowByReference, normalised
from models import files
from models.settings.checks import label, require, require_fraction, require_positive, settings_class

_SAMPLES = 8


@settings_class("Augmenter")
class AugmenterSettings:
    """How variants are made; every draw derives from the seed and the row's key.

    Attributes:
      splits: those that get variants; the others stay as they are.
      variants: rows made of each row.
      views: names of `views.VIEWS`, one of which is drawn for each variant; empty keeps the picture.
      quality: of JPEG, 1 to 100, where the view is of a JPEG or WebP; others become PNG. 0: PNG always.
      rewrites: {name of `rewrites.REWRITES`: weight}, one of which is drawn for each variant; empty keeps the words.
      stop_word_removal: probability that stop words are removed, before the rewrite.
      templates: texts with one {} for the caption, one of which is drawn for each variant; empty leaves it bare.
      seed: of the draws.
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
            ("views", set(self.views) <= set(views.VIEWS), f"some of {', '.join(views.VIEWS)}"),
            ("quality", 0 <= self.quality <= 100, "a whole number from 0 to 100"),
            (
                "rewrites",
                set(self.rewrites) <= set(rewrites.REWRITES) and all(weight > 0 for weight in weights),
                f"{{name: weight above 0}} with names out of {', '.join(rewrites.REWRITES)}",
            ),
            ("templates", all(text.count("{}") == 1 for text in self.templates), "texts with one {} each"),
        ]
        for name, holds, rule in rules:
            require(holds, label(self, name), getattr(self, name), rule, "correct it in gin")
        require_positive(self, "variants")
        require_fraction(self, "stop_word_removal")
        if not (self.views or self.rewrites or self.stop_word_removal or self.templates):
            raise ValueError(
                "Augmenter has nothing to do: every variant would be the row itself; set Augmenter.views, "
                "Augmenter.rewrites, Augmenter.stop_word_removal or Augmenter.templates"
            )


def variants_of(row: ImageText, options: AugmenterSettings) -> Iterator[ImageText]:
    """The variants of a row: they are in its group, so in its split; `variant` says what was done."""
    for number in range(options.variants):
        draw = random.Random(f"{options.seed}/{row.key}/{number}")
        image, caption, done = row.image, row.caption, []
        if options.views:
            name = draw.choice(options.views)
            image = views.view(image, name, draw, options.quality)
            done.append(name)
        words = caption.split()
        if draw.random() < options.stop_word_removal:
            words = rewrites.remove_stop_words(words, draw)
            done.append("stop words")
        if options.rewrites:
            (name,) = draw.choices([*options.rewrites], [*options.rewrites.values()])
            words = rewrites.REWRITES[name](words, draw)
            done.append(name)
        caption = " ".join(words)
        if options.templates:
            caption = draw.choice(options.templates).replace("{}", caption)
            done.append("template")
        yield dataclasses.replace(
            row,
            key=f"{row.key}/{number}",
            group=row.split_key,
            image=image,
            caption=caption,
            variant=", ".join(done),
        )


class Augment(beam.PTransform):
    """Pipeline -> PCollection of the manifest; reads a folder of Examples and writes another, with variants.

    It drops a variant with the picture and caption of its row as "same_as_original". It drops a variant whose caption a
    row outside `options.splits` has as "held_out_caption", because training would see the answer.
    """

    def __init__(self, options: AugmenterSettings, layout: writer.Layout, folders: store.Folders) -> None:
        super().__init__()
        self._options, self._layout, self._folders = options, layout, folders

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        options, layout, folders = self._options, self._layout, self._folders
        rows = pipeline | "Read" >> reader.ReadShards(folders.source) | beam.ParDo(stages.ReportProgress("augmented"))

        def augmented(row: ImageText) -> bool:
            return layout.split_of(row.split_key) in options.splits

        made = rows | beam.Filter(augmented) | "Variants" >> beam.FlatMap(_outcomes, options)
        variants = made | "Same" >> stages.Separate()
        held_out = rows | "HeldOut" >> beam.Filter(lambda row: not augmented(row))
        answers = (
            held_out
            | beam.FlatMap(ImageText.normalised_captions)
            | beam.Distinct()
            | beam.Map(lambda caption: (caption, 1))
        )
        by_caption = variants.rows | beam.Map(lambda row: (normalised(row.caption), row.by_reference()))
        new = (
            {"rows": by_caption, "held_out": answers}
            | beam.CoGroupByKey()
            | beam.FlatMap(_unless_held_out)
            | "Answers" >> stages.Separate()
        )
        read = (rows, made) | "AllRead" >> beam.Flatten()
        pictured = (rows, variants.rows) | "Pictured" >> beam.Flatten()
        unchanged = rows | "ByReference" >> beam.Map(ImageText.by_reference)
        kept = (unchanged, new.rows) | "Kept" >> beam.Flatten()
        rejected = (variants.rejected, new.rejected) | "Rejects" >> beam.Flatten()
        no_caption = pipeline | "NoCaption" >> beam.Create([])
        samples = pipeline | "Folders" >> beam.Create([folders]) | "Samples" >> beam.Map(_write_samples, options)
        flow = store.Flow(read, pictured, kept, rejected, removed=no_caption)
        return flow | "Store" >> store.Store(layout, folders.examples, folders.report, reports=samples)


def _outcomes(row: ImageText, options: AugmenterSettings) -> Iterator[Outcome]:
    for variant in variants_of(row, options):
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


def _write_samples(folders: store.Folders, options: AugmenterSettings) -> str:
    """Writes the first rows, in the order of a hash, with their variants."""
    paths = [path for path in reader.shards(folders.source) if f"/Split-{options.splits[0]}/" in path]
    rows = itertools.islice(itertools.chain.from_iterable(map(reader.read_shard, paths)), _SAMPLES)
    samples = [{**_shown(row), "variants": [_shown(made) for made in variants_of(row, options)]} for row in rows]
    path = os.path.join(folders.report, store.SAMPLES_FILE)
    files.write_text(path, json.dumps(samples, indent=1, sort_keys=True) + "\n")
    return path


def _shown(row: ImageText) -> dict[str, str]:
    return {"image": thumbnails.data_address(row.image), "caption": row.caption, "variant": row.variant}
