"""Collections of pictures to search, a folder or stored shards, and the check that each picture must pass."""

import itertools
import os
from collections.abc import Iterator

import tensorflow as tf

from beam.filters.pictures import DecodeCheck, PictureSettings
from beam.records import ImageText, Rejected
from pipeline import picture_files


class BadPicture(ValueError):
    """A picture cannot be used; the message is for the person who chose it."""


def checked(name: str, image: bytes, rules: PictureSettings, caption: str = "") -> ImageText:
    """Returns the picture in a form that the model can decode: upright, and as PNG or JPEG.

    Raises:
      BadPicture: the picture is empty, larger than `rules` allow, or cannot be decoded.
    """
    outcome = DecodeCheck(rules)(ImageText(key=name, image=image, caption=caption, position=name, source="demo"))
    if isinstance(outcome, Rejected):
        raise BadPicture(f"{name}: {_problem(outcome)}")
    return outcome


def _problem(rejected: Rejected) -> str:
    if rejected.reason == "image_undecodable":  # its detail is the message of a Python exception
        return f"this is not a complete picture in {picture_files.FORMATS}; choose another or convert it"
    return f"{rejected.detail}; choose another"


class ImageFolder:
    """The pictures below a folder, as `picture_files.find` lists them."""

    def __init__(self, path: str) -> None:
        """Lists the files.

        Args:
          path: the folder.

        Raises:
          ValueError: the folder has no picture or does not exist.
        """
        self.path = path
        found = picture_files.find(path)
        self.files = [os.path.join(path, picture) for picture in found.pictures]
        self.left_out = found.left_out_text() if found.left_out else ""
        self.total = len(self.files)
        if not self.files:
            what = f"has no picture ({found.left_out_text()})" if os.path.isdir(path) else "is not a folder"
            raise ValueError(f"--images={path} {what}; name a folder of files in {picture_files.FORMATS}")

    def __iter__(self) -> Iterator[tuple[str, str, bytes]]:
        """Yields (path below the folder, "", encoded picture): files have no captions."""
        for file in self.files:
            try:
                with open(file, "rb") as opened:
                    image = opened.read()
            except OSError:
                image = b""  # `checked` then reports a picture that cannot be used
            name = os.fsencode(os.path.relpath(file, self.path)).decode(errors="replace")
            yield name, "", image


class StoredExamples:
    """The rows of stored shards: one split, or all splits of an Examples artifact."""

    total = 0  # unknown before the shards are read
    left_out = ""

    def __init__(self, path: str) -> None:
        """Lists the shards.

        Args:
          path: the folder of a split, such as .../Split-test, or the folder that holds the Split-* folders.

        Raises:
          ValueError: the folder has no shard.
        """
        self.path = path
        folder = path.rstrip("/")
        found = itertools.chain.from_iterable(
            tf.io.gfile.glob(f"{folder}/{pattern}") for pattern in ("*tfrecord*", "Split-*/*tfrecord*")
        )
        self.files = sorted(found)
        if not self.files:
            raise ValueError(
                f"--examples={path} has no TFRecord shard; name a folder such as "
                "output/quickstart/artifacts/ImageTextGen/examples/1/Split-test"
            )

    def __iter__(self) -> Iterator[tuple[str, str, bytes]]:
        """Yields (key, first caption, encoded picture).

        Raises:
          ValueError: a shard is damaged or has other stored features; the message names the shard.
        """
        from beam import reader  # here, because it takes seconds to load

        for path in self.files:
            try:
                for row in reader.read_shard(path):
                    yield row.key, row.caption, row.image
            except (tf.errors.OpError, KeyError, IndexError) as error:
                raise ValueError(
                    f"--examples: {path} is damaged, or its rows are not this project's ({type(error).__name__}); "
                    "name a folder of shards that this project wrote"
                ) from error


Collection = ImageFolder | StoredExamples
