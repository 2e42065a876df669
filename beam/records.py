"""Rows of the data plane: an image-text pair with its picture or by reference, or a dropped row with the reason."""

import abc
import dataclasses
import functools
import hashlib
import unicodedata
from typing import Any, TypeVar

import tensorflow as tf

from beam.masking import mask
from models import features

_LONGEST_MASKED = 8000  # characters; `mask` leaves out the end of a longer text
_OPTIONAL = (features.GROUP, features.VARIANT, features.EVALUATION_SET)
_OPTIONAL_LISTS = (features.CLASS_NAMES, features.MORE_CAPTIONS)
_TEXTS = (*features.TEXT, *_OPTIONAL, *_OPTIONAL_LISTS)


@dataclasses.dataclass(frozen=True)
class _Keyed:
    key: str


@dataclasses.dataclass(frozen=True)
class _WithImage(_Keyed):
    image: bytes


@dataclasses.dataclass(frozen=True)
class _WithReference(_Keyed):
    reference: bytes


@dataclasses.dataclass(frozen=True)
class Row(_Keyed, abc.ABC):
    """What rows with a picture and rows by reference share.

    Attributes:
      key: identity of the pair; splits, shards and order derive from its hash.
      caption: text, not empty.
      position: where the row was read, as "file:row", for messages and the reject sidecar.
      source: name of the source.
      language: BCP 47 tag.
      category: label to slice metrics by, or "".
      class_name: zero-shot class, or "".
      class_names: all right classes of a picture whose source lists them; `class_name` is the first one.
      more_captions: further captions of the picture. Training draws one caption at each visit; all else uses the first.
      group: the same text in all rows of one picture, such as its captions in several languages, or "".
      variant: what the Augmenter did to make this row out of another, or "".
      evaluation_set: the evaluation set that the row belongs to, or "".
      boxes: top, left, bottom and right of what the caption names, in [0, 1] of the picture's height and width; or ().
    """

    caption: str
    position: str
    source: str
    language: str = features.UNKNOWN_LANGUAGE
    category: str = ""
    class_name: str = ""
    more_captions: tuple[str, ...] = ()
    group: str = ""
    variant: str = ""
    evaluation_set: str = ""
    boxes: tuple[float, ...] = ()
    class_names: tuple[str, ...] = ()

    @property
    @abc.abstractmethod
    def content(self) -> bytes:
        """Bytes that order rows of one key: equal rows have equal bytes, whatever their position."""

    @property
    def split_key(self) -> str:
        """The key whose hash decides the split, so that all rows of a group lie in one split."""
        return self.group or self.key

    @property
    def captions(self) -> tuple[str, ...]:
        """All captions, the first one first."""
        return (self.caption, *self.more_captions)

    @property
    def classes(self) -> tuple[str, ...]:
        """All right classes; () if the row has none."""
        return self.class_names or ((self.class_name,) if self.class_name else ())

    def normalised_captions(self) -> list[str]:
        """All captions, each `normalised`."""
        return [normalised(caption) for caption in self.captions]

    def _shared(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(Row)}

    def _serialized(self, picture: bytes) -> bytes:
        """A tf.Example with `picture` as its picture; equal rows give equal bytes."""
        values = {
            features.KEY: [self.key.encode()],
            features.IMAGE: [picture],
            features.CAPTION: [self.caption.encode()],
            features.SOURCE: [self.source.encode()],
            features.LANGUAGE: [self.language.encode()],
            features.CATEGORY: [self.category.encode()],
            features.CLASS_NAME: [self.class_name.encode()],
        }
        for name in _OPTIONAL:
            if text := getattr(self, name):
                values[name] = [text.encode()]
        for name in _OPTIONAL_LISTS:
            if texts := getattr(self, name):
                values[name] = [one.encode() for one in texts]
        feature = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=v)) for name, v in values.items()}
        if self.boxes:
            feature[features.BOXES] = tf.train.Feature(float_list=tf.train.FloatList(value=self.boxes))
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        return example.SerializeToString(deterministic=True)


@dataclasses.dataclass(frozen=True)
class ImageText(Row, _WithImage):
    """A row with its picture; the arguments are key, image, caption, position, source and the rest of `Row`.

    Attributes:
      image: the encoded picture.
    """

    @functools.cached_property
    def reference(self) -> bytes:
        """Stands for the picture: its length, 8 bytes, and a hash, 16 bytes."""
        return len(self.image).to_bytes(8, "big") + hashlib.sha256(self.image).digest()[:16]

    @property
    def content(self) -> bytes:
        return self.to_example()

    def by_reference(self) -> "RowByReference":
        """The row without its picture: stages that look at no pixels shuffle this one."""
        return RowByReference(reference=self.reference, **self._shared())

    def to_example(self) -> bytes:
        """The row as a serialized tf.Example; equal rows give equal bytes."""
        return self._serialized(self.image)

    @classmethod
    def from_example(cls, serialized: bytes, position: str) -> "ImageText":
        """Reads a tf.Example that `to_example` wrote; `position` is where it lay."""
        feature = tf.train.Example.FromString(serialized).features.feature
        texts = {
            name: [value.decode() for value in feature[name].bytes_list.value] for name in _TEXTS if name in feature
        }
        named: dict[str, Any] = {name: texts[name][0] for name in features.TEXT}
        named |= {name: texts.get(name, [""])[0] for name in _OPTIONAL}
        named |= {name: tuple(texts.get(name, ())) for name in _OPTIONAL_LISTS}
        return cls(
            image=feature[features.IMAGE].bytes_list.value[0],
            position=position,
            **named,
            boxes=tuple(feature[features.BOXES].float_list.value) if features.BOXES in feature else (),
        )


@dataclasses.dataclass(frozen=True)
class RowByReference(Row, _WithReference):
    """A row without its picture.

    Attributes:
      reference: `ImageText.reference` of the picture.
    """

    @property
    def content(self) -> bytes:
        return self._serialized(self.reference)

    @property
    def referenced_bytes(self) -> int:
        """The length of the encoded picture."""
        return int.from_bytes(self.reference[:8], "big")

    def with_image(self, image: bytes) -> ImageText:
        """The row with its picture again."""
        return ImageText(image=image, **self._shared())


@dataclasses.dataclass(frozen=True)
class Rejected:
    """A row that was dropped; the reject sidecar keeps it. Secrets of URLs are masked in all its texts.

    Attributes:
      key: the pair's key, or "" where the row was too broken to have one.
      position: where the row was read, as "file:row".
      reason: a short name; the counter is "dropped_<reason>".
      detail: the received value and what was expected.

    Texts from the input may have any length, so each is cut in the middle: rejects never repeat a large value.
    """

    key: str
    position: str
    reason: str
    detail: str = ""

    def __post_init__(self) -> None:
        for name, most in (("key", 200), ("position", 1000), ("detail", 500)):
            masked = mask(cut(getattr(self, name), _LONGEST_MASKED))
            object.__setattr__(self, name, cut(masked, most))


@dataclasses.dataclass(frozen=True)
class Skipped:
    """Parts of the input that are no rows, such as tar members whose name begins with a dot; they are only counted.

    Attributes:
      position: the file.
      reason: a short name; the counter is "skipped_<reason>".
      count: number of such parts.
    """

    position: str
    reason: str
    count: int


Outcome = ImageText | Rejected
"""What a source or a filter makes of a row with its picture. A source may also give Skipped."""
AnyRow = TypeVar("AnyRow", bound=Row)
"""ImageText or RowByReference; a stage gives rows of the type that it takes."""


def cut(text: str, most: int) -> str:
    """Returns the start and the end of a text that is longer than `most` characters."""
    return text if len(text) <= most else f"{text[: most * 2 // 3]} [{len(text)} characters] {text[-most // 4 :]}"


def is_utf8(text: str) -> bool:
    """Whether UTF-8 can hold the text: it has no halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def content_key(image: bytes, caption: str) -> str:
    """The key of a pair that has none: a hash of its content, so that the key does not depend on where the row lies."""
    return hashlib.sha256(image + b"\0" + caption.encode()).hexdigest()[:24]


def salted_hash(key: str, salt: str) -> int:
    """A hash in [0, 2**64), the same on every machine."""
    return int.from_bytes(hashlib.blake2b(f"{salt}\0{key}".encode(), digest_size=8).digest(), "big")


def normalised(caption: str) -> str:
    """The caption in Unicode's form NFKC, without case and with single spaces: duplicates are compared in this form."""
    return " ".join(unicodedata.normalize("NFKC", caption).casefold().split())
