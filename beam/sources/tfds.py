"""TensorFlow Datasets, by name or from a folder: with captions, or with classes that templates turn into captions."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from beam.records import Rejected
from beam.sources.rows.classes import Names, each, load
from beam.sources.rows.raw import InvalidRow, RawRow
from beam.sources.rows.source import RowSource
from beam.sources.tfrecord import source as tfrecord
from beam.sources.tfrecord.source import Damage
from models.settings.checks import settings_class

_SHARD = re.compile(r"(.+)\[(\d+)shard\]")


@settings_class("TfdsSource")
class TfdsSource(RowSource):
    """Reads one split of a prepared data set; see `RowSource` for columns.

    The columns are the data set's features, nested ones as "captions/text". With `templates`, the class of a picture
    becomes its `class_name` and, through the templates, its captions. Many rows then share a caption, so set
    ImageTextGen.unique_captions = False.

    Attributes:
      path: folder of a prepared version, such as tensorflow_datasets/coco_captions/2014/1.1.0; set this or `builder`.
      builder: name of a prepared data set, such as "coco_captions".
      data_dir: folder in which TFDS looks for `builder`; "" is TFDS's own default.
      split: split to read, such as "train" or "train[:10%]".
      templates: captions for a class, such as ("a photo of a {}.",); () takes captions from columns.
      label: name of the feature that holds the class, or the list of all right classes. With `templates`, a row without
        a class is dropped as `class_missing`.
      class_names: as in `RowSource`; with `templates`, () takes the data set's own names.
      columns: as in `RowSource`; {"key": "tfds_id"} takes TFDS's id of a row, so that two equal pictures stay two rows.
    """

    name: ClassVar[str] = "tfds"
    example: ClassVar[str] = "tensorflow_datasets/NAME/VERSION"

    captions: tuple[str, ...] = ("captions/text", "captions", "caption")
    builder: str = ""
    data_dir: str = ""
    split: str = "train"
    templates: tuple[str, ...] = ()
    label: str = "label"

    def __post_init__(self) -> None:
        super().__post_init__()
        for template in self.templates:
            if "{}" not in template:
                raise ValueError(f"TfdsSource.templates has {template!r}, but each must hold {{}} for the class")
        if bool(self.path) == bool(self.builder) and self.path:
            raise ValueError("TfdsSource.path and TfdsSource.builder are both set; use one")

    def fingerprint(self) -> str:
        info = self._builder().info
        facts = [info.full_name, *(f"{name} {split.to_proto()}" for name, split in sorted(info.splits.items()))]
        if isinstance(self.class_names, str):
            facts.append(str(sorted(load(self._classes()).items())))
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()

    def inputs(self) -> list[str]:
        if self.class_names:
            load(self._classes())
        splits = self._builder().info.splits
        if self.split not in splits:
            return [self.split]  # a slice, such as train[:10%]
        return [f"{self.split}[{number}shard]" for number in range(splits[self.split].num_shards)]

    def raw_rows(self, split: str) -> Iterator[RawRow | Rejected]:
        import tensorflow_datasets as tfds  # takes seconds, which other sources should not wait for

        builder = self._builder()
        names = self._names(builder.info) if self.templates else {}
        image = self.columns.get("image", "image")
        in_order = tfds.ReadConfig(interleave_cycle_length=1, add_tfds_id=True, try_autocache=False)
        still_encoded = {image: tfds.decode.SkipDecoding()}
        damage = self._damage(builder.info, split)
        if damage and not damage.records:
            raise damage
        whole = _first_records(builder.info, split, damage.records) if damage else split
        rows = builder.as_dataset(split=whole, decoders=still_encoded, read_config=in_order)
        for row in rows.as_numpy_iterator():
            place = row["tfds_id"].decode()
            try:
                yield RawRow(builder.info.full_name, place, {**_flat(row), **self._of_class(row, names)})
            except InvalidRow as error:
                yield Rejected("", f"{builder.info.full_name}:{place}", error.reason, error.detail)
        if damage:
            raise damage

    def _damage(self, info: Any, split: str) -> Damage | None:
        """Returns what is wrong with the shards, of which TensorFlow crashes at some lengths."""
        if info.file_format.value != "tfrecord":
            return None
        parts = info.splits[split].file_instructions
        for part in parts:
            if damage := tfrecord.damage_of(part.filename, self.limits.row_bytes):
                return damage if _SHARD.fullmatch(split) else Damage(str(damage), 0)
        return None

    def _of_class(self, row: dict[str, Any], names: Mapping[int, Names]) -> dict[str, Any]:
        if not names:
            return {}
        label = row[self.label]
        is_list = getattr(label, "ndim", 0) > 0
        numbers = [int(one) for one in label] if is_list else [int(label)]
        for number in numbers:
            if number not in names:
                detail = f"{self.label} is {number}, but the classes are {min(names)} to {max(names)}"
                raise InvalidRow("unknown_class", detail)
        right = [one.replace("_", " ") for number in numbers for one in each(names[number])]
        if not right:
            detail = f"{self.label} is {numbers if is_list else numbers[0]}, which has no class; the row does not count"
            raise InvalidRow("class_missing", detail)
        captions = [template.replace("{}", one) for one in right for template in self.templates]
        is_list = is_list or not isinstance(names[numbers[0]], str)
        field, value = ("class_names", right) if is_list else ("class_name", right[0])
        return {self.captions[0]: captions, self.columns.get(field, field): value}

    def _names(self, info: Any) -> Mapping[int, Names]:
        """{label: right classes}; empty if the label is neither a class nor a list of classes."""
        own = getattr(info.features[self.label], "names", []) if self.label in info.features else []
        if not self.class_names:
            return dict(enumerate(own))
        names = load(self._classes())
        if own and len(names) != len(own):
            raise ValueError(
                f"TfdsSource.class_names has {len(names)} names, but {info.full_name} has {len(own)} "
                "classes; give one for each, in the order of the labels"
            )
        return names if own else {}

    def _builder(self) -> Any:
        import tensorflow_datasets as tfds

        what = f"TfdsSource.path is {self.path!r}" if self.path else f"TfdsSource.builder is {self.builder!r}"
        try:
            if self.path:
                builder = tfds.builder_from_directory(self.path)
            else:
                builder = tfds.builder(self.builder, data_dir=self.data_dir or None)
        except Exception as error:  # a damaged dataset_info.json raises many kinds
            problem = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(
                f"{what}, but there is no such data set ({problem}); name a folder with dataset_info.json "
                f"(gin: TfdsSource.path = '{self.example}')"
            ) from error
        info = builder.info
        if not info.splits:
            raise ValueError(f"{what}, but it is not prepared; run: tfds build {self.builder}")
        if self.split.split("[")[0] not in info.splits:
            raise ValueError(f"TfdsSource.split is {self.split!r}, but must be of {', '.join(info.splits)}; correct it")
        if self.templates and not self._names(info):
            raise ValueError(f"TfdsSource.label is {self.label!r}, but must be a class label of {info.full_name}")
        return builder


def _first_records(info: Any, shard: str, count: int) -> str:
    """The split of the first records of a shard, such as train[200:210] for 10 records of train[2shard]."""
    name, number = _SHARD.fullmatch(shard).groups()  # type: ignore[union-attr]
    before = sum(info.splits[name].shard_lengths[: int(number)])
    return f"{name}[{before}:{before + count}]"


def _flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}/"))
        else:
            flat[prefix + name] = value.tolist() if hasattr(value, "tolist") else value
    return flat
