"""Filters: each keeps a row, maybe re-encoded, or names the reason to drop it."""

import dataclasses
import io
import unicodedata
import warnings

import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from beam.records import ImageText, Outcome, Rejected

_SERVED_FORMATS = ("BMP", "GIF", "JPEG", "PNG")  # what every TensorFlow decodes; newer ones decode WebP too

# Not every format Pillow knows: some run other programs on what they are given.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


@dataclasses.dataclass(frozen=True)
class DecodeCheck:
    """Keeps pictures that decode whole and lie within the limits.

    What every TensorFlow decodes is kept byte for byte, so that a stored picture looks to the model as it would when
    served; the rest is re-encoded as PNG.

    Attributes:
      min_side: smallest side of a picture, pixels.
      max_pixels: largest width x height; larger ones are refused before they are decoded.
    """

    min_side: int
    max_pixels: int

    def __call__(self, row: ImageText) -> Outcome:
        if not row.image:
            return _reject(row, "image_empty", "the picture has 0 bytes")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(row.image), formats=_FORMATS) as picture:
                    width, height = picture.size
                    if width * height > self.max_pixels:
                        detail = f"{width} x {height} is more than {self.max_pixels} pixels"
                        return _reject(row, "image_too_large", detail)
                    if min(width, height) < self.min_side:
                        detail = f"{width} x {height} has a side below {self.min_side} pixels"
                        return _reject(row, "image_too_small", detail)
                    picture.load()
                    if picture.format in _SERVED_FORMATS and _tensorflow_decodes(row.image):
                        return row
                    return dataclasses.replace(row, image=_as_png(picture))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            return _reject(row, "image_too_large", str(error))
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
            return _reject(row, "image_undecodable", f"{len(row.image)} bytes: {error}")


@dataclasses.dataclass(frozen=True)
class CaptionCheck:
    """Strips the captions and drops the row where nothing is left of one."""

    def __call__(self, row: ImageText) -> Outcome:
        captions = (row.caption, *row.more_captions)
        first, *more = (" ".join(caption.split()) for caption in captions)
        if not all((first, *more)):
            return _reject(
                row, "caption_empty", f"the captions are {captions!r}" if more else f"the caption is {captions[0]!r}"
            )
        return dataclasses.replace(row, caption=first, more_captions=tuple(more))


def first_caption(row: ImageText) -> list[str]:
    """The first caption as duplicates are told apart: as the vocabulary sees it, less case and spaces."""
    return [_normalised(row.caption)]


def all_captions(row: ImageText) -> list[str]:
    """All captions, the same way."""
    return [_normalised(caption) for caption in (row.caption, *row.more_captions)]


def _normalised(caption: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", caption).casefold().split())


def _tensorflow_decodes(image: bytes) -> bool:
    try:
        tf.io.decode_image(image, expand_animations=False)
    except tf.errors.InvalidArgumentError:
        return False
    return True


def _reject(row: ImageText, reason: str, detail: str) -> Rejected:
    return Rejected(row.key, row.position, reason, detail)


def _as_png(picture: Image.Image) -> bytes:
    encoded = io.BytesIO()
    mode = "RGBA" if "A" in picture.mode or "transparency" in picture.info else "RGB"
    picture.convert(mode).save(encoded, format="PNG")
    return encoded.getvalue()
