"""The decode check keeps a picture, encodes it again, or drops its row with a reason. It never stops a run."""

import dataclasses
import io
import math
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from beam import image_codec, image_formats
from beam.image_formats import tensorflow_view
from beam.records import ImageText, Outcome, Rejected
from models.settings.checks import require, require_at_least_zero, require_positive, settings_class

# Not all formats of Pillow, because Pillow runs other programs on files of some formats.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_JPEG = b"\xff\xd8\xff"
_MOST_PIXELS = 1 << 27  # TensorFlow decodes fewer than 2**29 bytes, which four channels of this many pixels take
_SAMPLES = 64  # contrast is measured on about this many pixels a side


@settings_class("Pictures")
class PictureSettings:
    """Limits of pictures, and how to store them. A row whose picture breaks a limit is dropped with a reason.

    Attributes:
      min_side: smallest width and height (pixels). Reason: "image_too_small".
      min_pixels: smallest width x height (pixels). 0 sets no limit. Reason: "image_too_small".
      max_pixels: largest width x height (pixels) of the picture, and of every frame, page and tile of its file. It is
        checked before decoding, against decompression bombs. Reason: "image_too_large".
      max_bytes: largest size of the encoded picture (bytes). Reason: "image_too_large".
      max_aspect: largest ratio of the longer to the shorter side. 0 allows any; 3 drops banners. Reason:
        "image_aspect".
      min_contrast: smallest standard deviation of the channel that varies most (grey levels, of 255). 0 allows any; 2
        drops placeholders of one colour. Reason: "image_blank".
      stored_side: shorter side of stored pictures (pixels). Larger pictures are shrunk to it. 0 shrinks none. Set it a
        little above ImageTower.size, to save disk and decoding time.
      quality: JPEG quality, 1 to 100, for JPEG and WebP pictures that must be encoded again. Other formats become PNG.
        0 makes all of them PNG.
    """

    min_side: int = 16
    min_pixels: int = 0
    max_pixels: int = 89_478_485
    max_bytes: int = 1 << 26
    max_aspect: float = 0.0
    min_contrast: float = 0.0
    stored_side: int = 0
    quality: int = 95

    def __post_init__(self) -> None:
        require_positive(self, "min_side", "max_pixels", "max_bytes")
        require_at_least_zero(self, "min_pixels", "min_contrast", "stored_side")
        aspect = self.max_aspect
        require(aspect == 0 or aspect >= 1, "Pictures.max_aspect", aspect, "1 or more, or 0 for any", "try 3")
        require(0 <= self.quality <= 100, "Pictures.quality", self.quality, "in [0, 100]", "try 95, or 0 for PNG")


@dataclasses.dataclass(frozen=True)
class DecodeCheck:
    """Keeps pictures that decode completely and are within the limits.

    It keeps a picture byte for byte if `image_formats` lists its kind: TensorFlow then sees what Pillow shows. It
    stores other pictures as upright RGB on white, first frame only: pictures with an EXIF orientation, animations,
    transparent GIFs, other formats, and pictures that `stored_side` shrinks. Training can decode all that it returns.
    """

    settings: PictureSettings

    def __call__(self, row: ImageText) -> Outcome:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._check(row)
        except Image.DecompressionBombError as error:
            return Rejected(row.key, row.position, "image_too_large", str(error))
        except image_codec.UnknownLook as error:
            return Rejected(row.key, row.position, "image_unclear", str(error))
        except UnidentifiedImageError:  # its text has a memory address, which differs between runs
            detail = f"{len(row.image)} bytes: no {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}"
            return Rejected(row.key, row.position, "image_undecodable", detail)
        except Exception as error:  # a decoder may raise anything for a broken picture
            detail = f"{len(row.image)} bytes: {type(error).__name__}: {error}"
            return Rejected(row.key, row.position, "image_undecodable", detail)

    def _check(self, row: ImageText) -> Outcome:
        settings = self.settings
        if not row.image:
            return Rejected(row.key, row.position, "image_empty", "the picture has 0 bytes")
        if len(row.image) > settings.max_bytes:
            detail = f"{len(row.image)} bytes are more than {settings.max_bytes}"
            return Rejected(row.key, row.position, "image_too_large", detail)
        structure = image_formats.read(row.image)
        if structure.refused:
            return Rejected(row.key, row.position, "image_unclear", structure.refused)
        for width, height in structure.sizes:  # Pillow allocates some of them as it opens a file
            if too_large := _too_large(width, height, settings):
                return Rejected(row.key, row.position, *too_large)
        with Image.open(io.BytesIO(row.image), formats=_FORMATS) as picture:
            if broken := _broken_size(*picture.size, settings):
                return Rejected(row.key, row.position, *broken)
            turned = image_codec.orientation(picture) != 1
            as_it_is = structure.kept and not turned and not _shrunk_size(picture, settings.stored_side)
            seen = _seen(row.image, picture.size) if as_it_is else None
            upright = image_codec.upright(picture) if seen is None else None
            if not structure.is_whole(picture, seen):
                detail = f"{len(row.image)} bytes do not hold all pixels of {picture.width} x {picture.height}"
                return Rejected(row.key, row.position, "image_undecodable", detail)
            image = row.image
            if upright:
                if shrunk := _shrunk_size(upright, settings.stored_side):
                    upright = upright.resize(shrunk, Image.Resampling.LANCZOS, reducing_gap=3.0)
                image = image_codec.encode(upright, picture.format, settings.quality)
                if _seen(image, upright.size) is None:
                    detail = f"TensorFlow decodes no picture of {upright.width} x {upright.height}"
                    return Rejected(row.key, row.position, "image_too_large", detail)
        if settings.min_contrast > 0 and (contrast := _contrast(image, upright)) < settings.min_contrast:
            detail = f"its contrast is {contrast:.2f} grey levels, below {settings.min_contrast}"
            return Rejected(row.key, row.position, "image_blank", detail)
        return row if image is row.image else dataclasses.replace(row, image=image)


def _seen(image: bytes, size: tuple[int, int]) -> np.ndarray | None:
    """What TensorFlow sees, an eighth of it for a JPEG; None if TensorFlow refuses the picture."""
    if not image.startswith(_JPEG):
        return tensorflow_view.decode(image)
    if math.prod(size) >= _MOST_PIXELS and tensorflow_view.decode(image) is None:
        return None
    return tensorflow_view.decode_eighth(image)


def _too_large(width: int, height: int, settings: PictureSettings) -> tuple[str, str] | None:
    if width * height > settings.max_pixels:
        return "image_too_large", f"{width} x {height} is more than {settings.max_pixels} pixels"
    return None


def _broken_size(width: int, height: int, settings: PictureSettings) -> tuple[str, str] | None:
    if too_large := _too_large(width, height, settings):
        return too_large
    size, pixels = f"{width} x {height}", width * height
    if min(width, height) < settings.min_side:
        return "image_too_small", f"{size} has a side below {settings.min_side} pixels"
    if pixels < settings.min_pixels:
        return "image_too_small", f"{size} is less than {settings.min_pixels} pixels"
    if settings.max_aspect and max(width, height) > settings.max_aspect * min(width, height):
        return "image_aspect", f"{size} has an aspect above {settings.max_aspect}"
    return None


def _shrunk_size(picture: Image.Image, side: int) -> tuple[int, ...]:
    """(width, height) to shrink to, or () if the picture stays as it is."""
    if not side or min(picture.size) <= side:
        return ()
    scale = side / min(picture.size)
    return tuple(max(side, round(length * scale)) for length in picture.size)


def _contrast(image: bytes, upright: Image.Image | None) -> float:
    """Standard deviation, on white, of the channel that varies most; takes `upright`, or decodes the picture."""
    pixels = np.asarray(upright) if upright else tensorflow_view.decode(image)
    assert pixels is not None
    step_y, step_x = (max(1, length // _SAMPLES) for length in pixels.shape[:2])
    some: np.ndarray = pixels[::step_y, ::step_x].astype(np.float64)
    if some.shape[-1] in (2, 4):
        alpha = some[..., -1:] / 255
        some = some[..., :-1] * alpha + 255 * (1 - alpha)
    return float(some.std(axis=(0, 1)).max())
