"""Pictures that come in: uploaded, of a folder, or of stored shards; each is checked before the model sees it."""

import itertools
import os
from collections.abc import Iterator

import tensorflow as tf

from beam.filters.pictures import DecodeCheck, PictureRules
from beam.records import ImageText, Rejected

_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
_FORMATS = "JPEG, PNG, GIF, BMP, WebP, TIFF or PPM"


class BadPicture(ValueError):
    """A picture that cannot be used; the message is for the person who brought it."""


def checked(name: str, image: bytes, rules: PictureRules, caption: str = "") -> ImageText:
    """The picture as the model can decode it: upright, and PNG or JPEG where it was another format.

    Raises:
      BadPicture: it is empty, too large by `rules`, or cannot be decoded.
    """
    outcome = DecodeCheck(rules)(ImageText(key=name, image=image, caption=caption, position=name, source="demo"))
    if isinstance(outcome, Rejected):
        raise BadPicture(f"{name}: {_problem(outcome)}")
    return outcome


def _problem(rejected: Rejected) -> str:
    if rejected.reason == "image_undecodable":  # its detail is what Python says
        return f"this is no whole picture in {_FORMATS}; choose another, or convert it"
    return f"{rejected.detail}; choose another"


class Folder:
    """The pictures below a folder; those that start with a dot are left out."""

    def __init__(self, path: str) -> None:
        """Lists them.

        Args:
          path: of the folder.

        Raises:
          ValueError: there is none.
        """
        self.path = path
        self.files = sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(path)
            for name in names
            if name.lower().endswith(_SUFFIXES) and not name.startswith(".")
        )
        self.total = len(self.files)
        if not self.files:
            what = "has no picture" if os.path.isdir(path) else "is no folder"
            raise ValueError(f"--images={path} {what}; name a folder of files in {_FORMATS}")

    def __iter__(self) -> Iterator[tuple[str, str, bytes]]:
        """(name, caption, encoded picture); there are no captions."""
        for file in self.files:
            try:
                with open(file, "rb") as opened:
                    image = opened.read()
            except OSError:
                image = b""  # counted as a picture that cannot be used
            name = os.fsencode(os.path.relpath(file, self.path)).decode(errors="replace")
            yield name, "", image


class Examples:
    """The rows of stored shards: of one split, or of all splits of an Examples artifact."""

    total = 0  # no one knows before they are read

    def __init__(self, path: str) -> None:
        """Lists the shards.

        Args:
          path: the folder of a split, such as .../Split-test, or one of Split-* folders.

        Raises:
          ValueError: there is none.
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
        """(key, first caption, encoded picture).

        Raises:
          ValueError: a shard is damaged, or has other features; the message names it.
        """
        from beam import reader  # loads Beam, which --images does not need

        for path in self.files:
            try:
                for row in reader.read_shard(path):
                    yield row.key, row.caption, row.image
            except (tf.errors.OpError, KeyError, IndexError) as error:
                raise ValueError(
                    f"--examples: {path} is damaged, or its rows are not this project's ({type(error).__name__}); "
                    "name the folder of shards that this project has written"
                ) from error


Source = Folder | Examples
