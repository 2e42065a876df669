"""TensorFlow Datasets: a builder by name, or one that lies in a folder."""

import dataclasses
import hashlib
import io
from collections.abc import Iterator
from typing import Any, ClassVar

import apache_beam as beam
import numpy as np
from PIL import Image

from beam.records import ImageText, Outcome, Rejected, content_key, salted_hash
from models import features


@dataclasses.dataclass(frozen=True)
class TfdsSource:
    """Captions as they are, or class names put into templates.

    The split of the data set is not kept: rows are split anew, by key, as those of every source.

    Attributes:
      builder: a name, such as "coco_captions" or "cifar10:3.0.2", or a folder that holds a prepared data set.
      split: of the data set, in TFDS's notation.
      data_dir: where prepared data sets lie; empty is TFDS's own. Nothing is downloaded here: prepare the data set
        first.
      image: name of the picture's feature.
      caption: path to the captions, such as "captions/text"; empty makes them of the label.
      label: name of the class's feature.
      templates: texts with one {} for the class name, one of which is drawn for each row.
    """

    name: ClassVar[str] = "tfds"
    builder: str = ""
    split: str = "train"
    data_dir: str = ""
    image: str = "image"
    caption: str = ""
    label: str = "label"
    templates: tuple[str, ...] = ("a photo of a {}.",)

    def __post_init__(self) -> None:
        if not self.caption and not (self.templates and all(text.count("{}") == 1 for text in self.templates)):
            raise ValueError(
                f"TfdsSource.templates is {self.templates!r}, but must be texts with one {{}} each for the class name"
            )

    def fingerprint(self) -> str:
        builder = self._load()
        return hashlib.sha256(
            f"{builder.info.full_name} {builder.info.splits[self.split].num_examples}".encode()
        ).hexdigest()

    def read(self) -> beam.PTransform:
        return _Read(self)

    def _load(self) -> Any:
        import tensorflow_datasets as tfds

        try:
            if "/" in self.builder:
                builder = tfds.builder_from_directory(self.builder)
            else:
                builder = tfds.builder(self.builder, data_dir=self.data_dir or None)
            builder.info.splits[self.split]
        except Exception as error:  # TFDS raises many kinds
            raise ValueError(
                f"TfdsSource.builder is {self.builder!r} and split is {self.split!r}, but there is no such prepared "
                f"data set ({type(error).__name__}: {error}); prepare it with tfds build, or name its folder"
            ) from error
        return builder


class _Read(beam.PTransform):
    def __init__(self, source: TfdsSource) -> None:
        super().__init__()
        self._source = source

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        import tensorflow_datasets as tfds

        builder = self._source._load()
        shards = builder.info.splits[self._source.split].num_shards
        parts = list(enumerate(tfds.even_splits(self._source.split, max(1, shards))))
        return pipeline | beam.Create(parts) | beam.Reshuffle() | beam.ParDo(_Rows(self._source))


class _Rows(beam.DoFn):
    def __init__(self, source: TfdsSource) -> None:
        self._source = source

    def process(self, numbered: tuple[int, Any]) -> Iterator[Outcome]:
        import tensorflow_datasets as tfds

        part, split = numbered
        source, builder = self._source, self._source._load()
        decoders = {source.image: tfds.decode.SkipDecoding()}
        rows = builder.as_dataset(split=split, decoders=decoders, shuffle_files=False)
        label = builder.info.features[source.label] if not source.caption else None
        for number, row in enumerate(tfds.as_numpy(rows), start=1):
            yield self._row(row, label, f"{builder.info.full_name}/{source.split}/{part}:{number}")

    def _row(self, row: dict[str, Any], label: Any, position: str) -> Outcome:
        source = self._source
        image = _encoded(row[source.image])
        if label is None:
            found: Any = row
            for name in source.caption.split("/"):
                found = found[name]
            captions = [bytes(text).decode() for text in np.atleast_1d(found)]
            if not captions:
                return Rejected("", position, "caption_missing", f"{source.caption} is empty")
            class_name = ""
        else:
            class_name = label.int2str(int(row[source.label])).replace("_", " ")
            drawn = salted_hash(content_key(image, class_name), "template") % len(source.templates)
            captions = [source.templates[drawn].replace("{}", class_name)]
        return ImageText(
            key=content_key(image, captions[0]),
            image=image,
            caption=captions[0],
            position=position,
            source=source.name,
            language="en" if label is not None else features.UNKNOWN_LANGUAGE,
            class_name=class_name,
            more_captions=tuple(captions[1:]),
        )


def _encoded(image: Any) -> bytes:
    """The picture as it is stored; pixels, where a data set stores these, as PNG."""
    if isinstance(image, np.ndarray):
        encoded = io.BytesIO()
        Image.fromarray(image.squeeze()).save(encoded, format="PNG")
        return encoded.getvalue()
    return bytes(image)
