"""What flows through the data plane: an image-text pair, or a row that was dropped and why."""

import dataclasses
import functools
import hashlib
import unicodedata

import tensorflow as tf

from models import features

_TEXTS = (*features.TEXT, features.MORE_CAPTIONS, features.GROUP, features.VARIANT, features.EVALUATION_SET)


@dataclasses.dataclass(frozen=True)
class ImageText:
    """One pair.

    Attributes:
      key: identity of the pair; splits, shards and order derive from its hash.
      image: the encoded picture.
      caption: text, not empty.
      position: where the row came from, as "file:row", for messages and the reject sidecar.
      source: name of the source.
      language: BCP 47 tag.
      category: label to slice metrics by, or "".
      class_name: zero-shot class, or "".
      more_captions: others of the same picture; training draws one at each visit, all else uses the first.
      group: what the rows of one picture share, such as its captions in several languages, or "".
      variant: what the Augmenter did to make this row out of another, or "".
      evaluation_set: the set that a model is evaluated on with this row, or "".
    """

    key: str
    image: bytes
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

    @property
    def split_key(self) -> str:
        """What decides the split: rows of one group are held out together."""
        return self.group or self.key

    @functools.cached_property
    def reference(self) -> bytes:
        """What stands for the picture: its length, 8 bytes, and a hash, 16 bytes."""
        return len(self.image).to_bytes(8, "big") + hashlib.sha256(self.image).digest()[:16]

    @property
    def captions(self) -> tuple[str, ...]:
        """All captions, the first one first."""
        return (self.caption, *self.more_captions)

    def normalised_captions(self) -> list[str]:
        """All captions as `normalised` gives them."""
        return [normalised(caption) for caption in self.captions]

    def by_reference(self) -> "ImageText":
        """The row with 24 bytes in its picture's place: what a stage shuffles that looks at no pixels."""
        return dataclasses.replace(self, image=self.reference)

    def to_example(self) -> bytes:
        """The row as a serialized tf.Example; equal rows give equal bytes."""
        values = {
            features.KEY: [self.key.encode()],
            features.IMAGE: [self.image],
            features.CAPTION: [self.caption.encode()],
            features.SOURCE: [self.source.encode()],
            features.LANGUAGE: [self.language.encode()],
            features.CATEGORY: [self.category.encode()],
            features.CLASS_NAME: [self.class_name.encode()],
        }
        if self.group:
            values[features.GROUP] = [self.group.encode()]
        if self.variant:
            values[features.VARIANT] = [self.variant.encode()]
        if self.evaluation_set:
            values[features.EVALUATION_SET] = [self.evaluation_set.encode()]
        if self.more_captions:
            values[features.MORE_CAPTIONS] = [caption.encode() for caption in self.more_captions]
        feature = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=v)) for name, v in values.items()}
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        return example.SerializeToString(deterministic=True)

    @classmethod
    def from_example(cls, serialized: bytes, position: str) -> "ImageText":
        """Reads back what `to_example` wrote; `position` is where."""
        feature = tf.train.Example.FromString(serialized).features.feature
        texts = {
            name: [value.decode() for value in feature[name].bytes_list.value] for name in _TEXTS if name in feature
        }
        return cls(
            key=texts[features.KEY][0],
            image=feature[features.IMAGE].bytes_list.value[0],
            caption=texts[features.CAPTION][0],
            position=position,
            source=texts[features.SOURCE][0],
            language=texts[features.LANGUAGE][0],
            category=texts[features.CATEGORY][0],
            class_name=texts[features.CLASS_NAME][0],
            more_captions=tuple(texts.get(features.MORE_CAPTIONS, ())),
            group=texts.get(features.GROUP, [""])[0],
            variant=texts.get(features.VARIANT, [""])[0],
            evaluation_set=texts.get(features.EVALUATION_SET, [""])[0],
        )


@dataclasses.dataclass(frozen=True)
class Rejected:
    """A row that was dropped; the reject sidecar keeps it.

    Attributes:
      key: the pair's key, or "" where the row was too broken to have one.
      position: where the row came from, as "file:row".
      reason: a short name; the counter is "dropped_<reason>".
      detail: the received value and what was expected.
    """

    key: str
    position: str
    reason: str
    detail: str = ""


Outcome = ImageText | Rejected


def content_key(image: bytes, caption: str) -> str:
    """The key of a pair that brings none: a hash of its content, so that it does not depend on where the row lies."""
    return hashlib.sha256(image + b"\0" + caption.encode()).hexdigest()[:24]


def referenced_bytes(reference: bytes) -> int:
    """The length of the picture that an `ImageText.reference` stands for."""
    return int.from_bytes(reference[:8], "big")


def salted_hash(key: str, salt: str) -> int:
    """An integer in [0, 2**64) that looks random, and is the same on every machine."""
    return int.from_bytes(hashlib.blake2b(f"{salt}\0{key}".encode(), digest_size=8).digest(), "big")


def normalised(caption: str) -> str:
    """The caption as duplicates are told apart: in Unicode's form NFKC, without case and with single spaces."""
    return " ".join(unicodedata.normalize("NFKC", caption).casefold().split())
